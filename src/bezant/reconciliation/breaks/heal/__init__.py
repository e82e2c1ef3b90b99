"""Operations that no report names are looked for: in the inbox first, then at the PSP.

What is found goes into the books on the same road as a webhook. Guarantees: each is asked about seldom and ever more
seldom, a bounded number at a time, and no transaction is open meanwhile. Moves no money at a PSP.
"""
