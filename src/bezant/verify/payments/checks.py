"""The checks of payments, refunds and attempts, by name."""

from typing import Final

from bezant.base import ids
from bezant.verify.payments import store
from bezant.verify.report import Check

CHECKS: Final = (
    Check(
        "authorized_is_derived",
        "Of each payment, what is authorized is what one approved attempt authorized, under its reference.",
        ids.PAYMENT,
        store.AUTHORIZED_WRONG,
    ),
    Check(
        "captured_is_derived",
        "Of each payment, what is captured is the sum of what its approved attempts captured.",
        ids.PAYMENT,
        store.CAPTURED_WRONG,
    ),
    Check(
        "refunded_is_derived",
        "Of each payment, what is refunded and refunding is the sum of its refunds.",
        ids.PAYMENT,
        store.REFUNDED_WRONG,
    ),
    Check(
        "released_is_derived",
        "Of each payment, what is released is what was left when it was canceled or captured for good, else nothing.",
        ids.PAYMENT,
        store.RELEASED_WRONG,
    ),
    Check(
        "reservations_are_in_flight",
        "Of each payment, what is reserved is the sum of its unresolved captures and refunds.",
        ids.PAYMENT,
        store.RESERVED_WRONG,
    ),
    Check(
        "amounts_are_in_bounds",
        "Of each payment, captured and released stay within authorized, refunded and disputed within captured.",
        ids.PAYMENT,
        store.OUT_OF_BOUNDS,
    ),
    Check(
        "excess_is_a_break",
        "Each payment of which a PSP moved more than was allowed has a break.",
        ids.PAYMENT,
        store.EXCESS_WITHOUT_BREAK,
    ),
    Check(
        "refunds_agree_with_attempts",
        "Each refund has one attempt, of its payment, amount, currency and outcome.",
        ids.REFUND,
        store.REFUND_WITHOUT_ITS_ATTEMPT,
    ),
    Check(
        "attempts_agree_with_themselves",
        "Each attempt has its payment's currency and PSP, moved no more than was asked, and only if it was approved.",
        ids.ATTEMPT,
        store.ATTEMPT_CONTRADICTS_ITSELF,
    ),
    Check(
        "one_attempt_at_a_time",
        "Of each payment at most one authorization, capture or cancel is unresolved.",
        ids.PAYMENT,
        store.TWO_UNRESOLVED,
    ),
    Check(
        "attempts_are_not_forgotten",
        "Each unresolved attempt has a lease or a next check, and no other has one.",
        ids.ATTEMPT,
        store.FORGOTTEN,
    ),
    Check(
        "operations_have_one_effect",
        "No operation of a PSP was counted by two attempts.",
        ids.ATTEMPT,
        store.ONE_OPERATION_TWO_EFFECTS,
    ),
    Check(
        "outcomes_have_evidence",
        "Each outcome stands on an answer of the PSP, on what it told, or on a person's word.",
        ids.ATTEMPT,
        store.OUTCOME_WITHOUT_EVIDENCE,
    ),
)
