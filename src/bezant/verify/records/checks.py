"""The checks of idempotency keys, events and owners, by name."""

from typing import Final

from bezant.base import ids
from bezant.verify.records import store
from bezant.verify.report import Check

KEY: Final = "idk"

CHECKS: Final = (
    Check(
        "key_ids_are_derived",
        "Each idempotency key's id is the digest of merchant, operation and key.",
        KEY,
        store.KEY_ID_NOT_DERIVED,
    ),
    Check(
        "keys_lead_somewhere",
        "Each key in flight has its attempt; each other one of a payment's that answers has a payment with an outcome.",
        KEY,
        store.KEY_LEADS_NOWHERE,
    ),
    Check("attempts_have_one_key", "No two keys made the same attempt.", ids.ATTEMPT, store.TWO_KEYS_ONE_ATTEMPT),
    Check("commands_have_their_key", "Each client's attempt has its key.", ids.ATTEMPT, store.COMMAND_WITHOUT_KEY),
    Check("keys_make_one_payment", "No key made two payments.", ids.PAYMENT, store.TWO_PAYMENTS_ONE_KEY),
    Check(
        "changes_are_told",
        "Of each payment, every creation, authorization, capture, refund, failure and cancel is told, once.",
        ids.PAYMENT,
        store.EVENT_MISSING,
    ),
    Check(
        "last_event_agrees",
        "Each payment's last event tells its status and amounts.",
        ids.PAYMENT,
        store.LAST_EVENT_DISAGREES,
    ),
    Check(
        "events_are_in_order",
        "The events of each payment stand in the order of its changes, each at its own place.",
        ids.EVENT,
        store.EVENT_OUT_OF_ORDER,
    ),
    Check(
        "events_are_in_their_shard",
        "Each event is in the shard of its payment, so that one teller at a time tells it.",
        ids.EVENT,
        store.EVENT_IN_OTHER_SHARD,
    ),
    Check(
        "notices_concern_their_account",
        "What a PSP told was applied to payments that were made in the account which told it.",
        ids.INBOX_EVENT,
        store.NOTICE_OF_OTHER_ACCOUNT,
    ),
    Check(
        "rows_stay_in_their_family",
        "Each row belongs to a payment of the same merchant and carries its time bits.",
        "",
        store.STRANGERS,
    ),
    Check("rows_have_a_merchant", "Each row belongs to a merchant.", "", store.WITHOUT_MERCHANT),
)
