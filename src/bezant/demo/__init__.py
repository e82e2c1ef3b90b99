"""`bezant demo`: the whole system on one machine, and customers who shop, hang up and change their minds.

Owns no table. What it does goes over HTTP like any client's call, and what it shows was read back from there. What must
not happen here: SQL, or a look past the API at how a payment stands.
"""
