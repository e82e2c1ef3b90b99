"""An event as a CloudEvent: CloudEvents 1.0, structured mode, JSON. The same event is the same bytes each time."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Row
from bezant.sinks.contract import Envelope

SCHEMA_PREFIX: Final = "https://bezant.dev/schemas/events/"

_encoder = msgspec.json.Encoder()


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver reads.

    `subject` is the payment, or the merchant where the event is of no payment; `sequence` sorts the events of one
    subject as texts; `merchantid` is an extension attribute.
    """

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    dataschema: str
    sequence: str
    merchantid: str
    data: msgspec.Raw


def envelope(row: Row) -> Envelope:
    """The event of a row (id, merchant, payment, type, tx, position, data, created_at)."""
    event_id: UUID
    merchant_id: UUID
    payment_id: UUID | None
    event_id, merchant_id, payment_id, kind, tx, position, data, created_at = row
    merchant = ids.show(ids.MERCHANT, merchant_id)
    shown_id = ids.show(ids.EVENT, event_id)
    subject = merchant if payment_id is None else ids.show(ids.PAYMENT, payment_id)
    event = CloudEvent(
        id=shown_id,
        source=f"/merchants/{merchant}",
        type=kind,
        subject=subject,
        time=created_at,
        dataschema=f"{SCHEMA_PREFIX}{kind}.json",
        sequence=f"{tx:020d}.{position:010d}",
        merchantid=merchant,
        data=msgspec.Raw(data.encode()),
    )
    return Envelope(event_id=shown_id, type=kind, key=subject, merchant_id=merchant, body=_encoder.encode(event))
