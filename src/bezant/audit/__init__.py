"""What people did by hand: who, what, why.

Tables owned: audit_log. Guarantees: a record commits together with what it tells of; none is changed or deleted. What
must not happen here: a secret in a record.
"""
