"""The checks of reconciliation, by name."""

from typing import Final

from bezant.base import ids
from bezant.verify.reconciliation import store
from bezant.verify.report import Check

CHECKS: Final = (
    Check(
        "operations_wait_or_are_explained",
        "Each operation that was collected waits for its report or is explained, never both, never neither.",
        ids.JOURNAL,
        store.OPERATION_ASTRAY,
    ),
    Check(
        "lines_are_open_or_explained",
        "Each line of a PSP and of a bank is open or explained, and each payout that came is explained.",
        "",
        store.LINE_ASTRAY,
    ),
    Check(
        "explained_lines_are_posted",
        "The net of each explained line is in the book for which it is explained, and of no other line anything is.",
        ids.PSP_LINE,
        store.LINE_NOT_POSTED,
    ),
    Check(
        "matches_leave_nothing_in_transit",
        "Of each match, its lines and write-offs have taken from transit just what its operations left there.",
        ids.MATCH,
        store.MATCH_LEAVES_A_REST,
    ),
    Check(
        "deposits_are_shared_by_lines",
        "Of each deposit, every merchant got the nets of his explained lines.",
        ids.PAYOUT_AT_PSP,
        store.SHARE_WRONG,
    ),
    Check(
        "payouts_came_whole",
        "Payouts and the bank lines that explain them are the same amount.",
        ids.MATCH,
        store.DEPOSIT_DISAGREES,
    ),
    Check(
        "funds_in_transit_are_operations",
        "Of each merchant and currency, customer funds in transit are the operations that wait for their report.",
        "",
        store.FUNDS_DISAGREE,
    ),
    Check(
        "disputed_funds_are_operations",
        "Of each merchant and currency, disputed funds held and at PSPs differ by what was not reported yet.",
        "",
        store.DISPUTES_DISAGREE,
    ),
    Check(
        "clearing_is_on_its_way",
        "Of each merchant and currency, what is in clearing are the explained lines that are not deposited.",
        "",
        store.CLEARING_DISAGREES,
    ),
    Check(
        "suspense_is_unexplained",
        "What is in suspense is what came to the bank and is not explained, and nothing else.",
        "",
        store.SUSPENSE_DISAGREES,
    ),
    Check(
        "settled_is_at_the_bank",
        "Of each payment, what is settled are its captures whose lines are all reported and at the bank.",
        ids.PAYMENT,
        store.SETTLED_WRONG,
    ),
    Check(
        "breaks_end_with_a_name",
        "Each break that a person has ended has who and why in the audit log, and its journal in the ledger.",
        ids.BREAK,
        store.DECISION_WITHOUT_A_NAME,
    ),
)
