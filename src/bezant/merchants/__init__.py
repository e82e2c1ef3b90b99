"""Merchants and their keys.

Tables owned: merchants, api_keys. Guarantees: a key is shown once and stored as a hash; a revoked key and a merchant
that is not active are seen by the very next transaction that would move money. What must not happen here: a key in a
log.
"""
