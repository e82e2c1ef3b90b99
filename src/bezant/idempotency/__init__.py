"""One key, one effect, one reply, per merchant and operation.

Table owned: idempotency_keys. A key is claimed in the transaction that accepts the command; its reply is stored in the
transaction that records the outcome. The lease of a claim in flight is the lease of its attempt.
"""
