"""What reconciliation cannot explain: kept, worked on by people, closed when a later file explains it.

Tables owned: break_comments, and of breaks all but their first insertion by payments and disputes. Guarantees: one
break of a kind for a thing, however often it is found; what a person decided is never changed by a run; every decision
commits with its journal and its line in the audit log. Must not happen here: a break that is deleted.
"""
