"""Disputes: what customers' banks take back, what merchants bring against it, and how it ends.

Tables owned: disputes, dispute_rounds, dispute_actions, dispute_evidence. Guarantees: each time that money was taken is
one round, with its journals and its part of the payment's `disputed_minor`, in one transaction and under the payment's
lock; the same notices in any order and number come to the same end, since an older one undoes nothing and a
contradiction is taken to the PSP; evidence is handed in once a round. What must not happen here: a change of a
payment's status (payments/ derives it), a PSP's word, evidence that is shown or run.
"""
