"""The checks of webhooks to merchants by name."""

from typing import Final

from bezant.base import ids
from bezant.verify.report import Check
from bezant.verify.webhooks import store

CHECKS: Final = (
    Check(
        "waiting_webhooks_are_due",
        "Of what waits for an endpoint about one payment, the first is due at some time.",
        ids.WEBHOOK_DELIVERY,
        store.NOBODY_IS_DUE,
    ),
    Check(
        "webhooks_are_of_their_event",
        "Each delivery has the type, the place and the payment of its event.",
        ids.WEBHOOK_DELIVERY,
        store.ANOTHER_EVENT,
    ),
    Check(
        "delivered_webhooks_were_taken",
        "Each delivery that counts as delivered was answered with 2xx.",
        ids.WEBHOOK_DELIVERY,
        store.NOT_TAKEN,
    ),
)
