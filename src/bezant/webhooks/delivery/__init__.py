"""The queue of deliveries: filled by the relay, emptied by workers, put back by people.

The rows are the queue. A delivery is due when `next_try_at` has come; of those of one payment to one endpoint only the
first has one. Whoever makes, settles or puts back deliveries first locks what keeps their order
(`store.lock_orderings`), so that the next one is never forgotten between two that look at the same moment. A worker
leases what it tries: should it die, the delivery is due again when the lease ends.
"""
