"""Reads events."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Connection, Row
from bezant.outbox import store


class EventView(msgspec.Struct, frozen=True):
    """A change that has happened."""

    event_id: str
    type: str
    payment_id: str | None
    data: Any
    created_at: datetime


async def events_of_payment(connection: Connection, merchant_id: UUID, payment_id: UUID) -> list[EventView]:
    """The events of one payment in order."""
    rows = await store.of_payment(connection, merchant_id, ids.family_range(payment_id), payment_id)
    return [event_view(row) for row in rows]


def event_view(row: Row) -> EventView:
    """An event from its row."""
    event_id, payment_id, kind, data, created_at = row
    return EventView(
        ids.show(ids.EVENT, event_id),
        kind,
        None if payment_id is None else ids.show(ids.PAYMENT, payment_id),
        msgspec.Raw(data.encode()),
        created_at,
    )
