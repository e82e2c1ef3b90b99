"""The checks of disputes, by name."""

from typing import Final

from bezant.base import ids
from bezant.verify.disputes import store
from bezant.verify.report import Check

CHECKS: Final = (
    Check(
        "disputed_is_derived",
        "Of each payment, what is disputed is what the rounds of its disputes hold that are open or lost.",
        ids.PAYMENT,
        store.DISPUTED_WRONG,
    ),
    Check(
        "disputes_agree_with_their_rounds",
        "Each dispute stands where its last round does, those before were won, all of the payment that it is about.",
        ids.DISPUTE,
        store.STATUS_WRONG,
    ),
    Check(
        "disputes_are_posted",
        "Each round of a dispute has its journals: opened, won, lost, absorbed, reversed and the fee, as it stands.",
        ids.DISPUTE,
        store.ROUND_NOT_POSTED,
    ),
    Check(
        "postings_of_disputes_have_a_round",
        "Each journal of a dispute belongs to a round that gives it, with its accounts and its currency.",
        ids.JOURNAL,
        store.POSTED_WITHOUT_ROUND,
    ),
    Check(
        "disputes_are_told",
        "Of each round of a dispute its opening and its end are told, once.",
        ids.DISPUTE,
        store.NOT_TOLD,
    ),
    Check(
        "dispute_actions_are_not_forgotten",
        "Each unresolved action about a dispute has a lease and a next check, and no other has one.",
        ids.DISPUTE_ACTION,
        store.ACTION_FORGOTTEN,
    ),
    Check(
        "disputes_are_answered_once",
        "In each round of a dispute evidence was handed in, or it was accepted, once at most.",
        ids.DISPUTE_ACTION,
        store.SUBMITTED_TWICE,
    ),
    Check(
        "evidence_stays_as_it_was",
        "Each document is the one that was brought, and what was handed in has its action.",
        ids.DISPUTE_EVIDENCE,
        store.EVIDENCE_CHANGED,
    ),
)
