"""The checks of the ledger, by name."""

from typing import Final

from bezant.base import ids
from bezant.verify.ledger import store
from bezant.verify.report import Check

CHECKS: Final = (
    Check("journals_balance", "Of each journal, debits equal credits.", ids.JOURNAL, store.UNBALANCED),
    Check(
        "journals_are_complete",
        "Each journal has as many entries as it says, numbered from 1 without a gap.",
        ids.JOURNAL,
        store.INCOMPLETE,
    ),
    Check("entries_have_a_journal", "Each entry belongs to a journal.", ids.JOURNAL, store.WITHOUT_JOURNAL),
    Check(
        "entries_have_one_side",
        "Each entry is on a known account and has one side, above zero.",
        ids.JOURNAL,
        store.NOT_ONE_SIDE,
    ),
    Check(
        "journals_agree_with_payments",
        "Each journal has the merchant of its payment; captures, refunds and their settlement have its currency, too.",
        ids.JOURNAL,
        store.OF_OTHER_PAYMENT,
    ),
    Check(
        "journal_ids_are_derived",
        "Each journal's id is the one of its natural key: merchant, payment, kind, correlation id.",
        ids.JOURNAL,
        store.ID_NOT_DERIVED,
    ),
    Check("facts_are_posted_once", "There is one journal for each fact.", ids.JOURNAL, store.POSTED_TWICE),
    Check("balances_are_sums", "Each balance is the sum of its entries.", "", store.BALANCE_WRONG),
    Check(
        "trial_balance_is_zero",
        "Of each merchant and currency, debits equal credits over all accounts.",
        "",
        store.TRIAL_BALANCE_WRONG,
    ),
    Check(
        "effects_are_posted",
        "Each capture, refund and refund that came back has its journal, with its attempt and amount.",
        ids.ATTEMPT,
        store.EFFECT_NOT_POSTED,
    ),
    Check(
        "postings_have_an_effect",
        "Each journal of a capture or refund belongs to an attempt that was approved.",
        ids.JOURNAL,
        store.POSTED_WITHOUT_EFFECT,
    ),
    Check(
        "journals_follow_the_posting_table",
        "Each journal uses only the accounts that the posting table gives for its kind.",
        ids.JOURNAL,
        store.NOT_BY_THE_TABLE,
    ),
    Check(
        "payments_are_booked",
        "Of each payment, what is booked as captured, refunded and fee is what the payment says.",
        ids.PAYMENT,
        store.PAYMENT_NOT_BOOKED,
    ),
)
