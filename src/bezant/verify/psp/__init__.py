"""What must hold between our payments and what the PSPs hold. Reads both sides, moves nothing.

No transaction is open while a PSP is asked. Our rows are read after the PSP's, and what changed since is left to the
next run, so payments that are being made are never taken for wrong.
"""
