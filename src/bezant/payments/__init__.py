"""Payments: create, confirm, capture, cancel, refund, and what is found out when nobody answered.

Tables owned: payments, refunds, payment_attempts, breaks. Guarantees: an attempt is committed before a PSP
hears of it; one attempt has one effect however often and by whomever its outcome is reported; state, journal, event
and reply commit together. `apply.py` is the only code that moves a payment from one state to another after its first
insert. What must not happen here: a call to a PSP inside a transaction, a PSP's own word, a guess.
"""
