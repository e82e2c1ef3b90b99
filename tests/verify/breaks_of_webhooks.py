"""One way to break each thing that must hold of webhooks to merchants."""

from typing import Final

from tests.verify.breaking import Breaking

_DELIVERED: Final = "(SELECT id FROM webhook_deliveries WHERE status = 'delivered' ORDER BY id LIMIT 1)"

WEBHOOKS: Final = (
    Breaking(
        "waiting_webhooks_are_due",
        "whd",
        "UPDATE webhook_deliveries SET next_try_at = NULL WHERE status = 'pending' RETURNING id",
        drop=("webhook_deliveries", "webhook_deliveries_leased"),
    ),
    Breaking(
        "webhooks_are_of_their_event",
        "whd",
        f"UPDATE webhook_deliveries SET event_type = 'payment.captured' WHERE id = {_DELIVERED} RETURNING id",
        what="type",
    ),
    Breaking(
        "webhooks_are_of_their_event",
        "whd",
        f"UPDATE webhook_deliveries SET ordering_id = gen_random_uuid() WHERE id = {_DELIVERED} RETURNING id",
        what="payment",
    ),
    Breaking(
        "webhooks_are_of_their_event",
        "whd",
        f"UPDATE webhook_deliveries SET event_id = gen_random_uuid() WHERE id = {_DELIVERED} RETURNING id",
        what="event",
    ),
    Breaking(
        "delivered_webhooks_were_taken",
        "whd",
        f"UPDATE webhook_tries SET status = 500 WHERE delivery_id = {_DELIVERED} RETURNING delivery_id",
        what="refused",
    ),
    Breaking(
        "delivered_webhooks_were_taken",
        "whd",
        f"DELETE FROM webhook_tries WHERE delivery_id = {_DELIVERED} RETURNING delivery_id",
        what="never tried",
    ),
)
