"""Which payout carries a line, where that is known only after the line was there: said by a later file, or by sums.

A PSP of whose lines none names a payout pays out of a balance. Where the balance is drawn whole, what has moved it
between two payouts comes to just what the second one takes: then those lines are its lines. Where they come to
anything else nothing is said, and the deposit waits for a person.

Table owned: late_payouts, but for its first insertion by files.
"""
