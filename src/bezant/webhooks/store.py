"""Every SQL statement about endpoints, and about deliveries as merchants read them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Connection, Row, Transaction
from bezant.webhooks.states import Delivery, DeliveryStatus, Endpoint

_ENDPOINT = f"SELECT {', '.join(Endpoint.__struct_fields__)} FROM webhook_endpoints "
_BY_ID = _ENDPOINT + "WHERE id = $1 AND merchant_id = $2 AND status <> 'deleted'"
_BY_ID_LOCKED = _BY_ID + " FOR NO KEY UPDATE"
_BY_CLAIM = (
    _ENDPOINT + "WHERE merchant_id = $1 AND claim_id = $2 AND status <> 'deleted' ORDER BY created_at DESC LIMIT 1"
)
_OF_MERCHANT = _ENDPOINT + "WHERE merchant_id = $1 AND status <> 'deleted' ORDER BY created_at, id"

_ACCESS = """
SELECT k.revoked_at IS NULL, m.status FROM api_keys AS k INNER JOIN merchants AS m ON m.id = k.merchant_id
WHERE k.id = $1
"""

_LOCK_MERCHANT = "SELECT id FROM merchants WHERE id = $1 FOR NO KEY UPDATE"
_COUNT = "SELECT count(*) FROM webhook_endpoints WHERE merchant_id = $1 AND status <> 'deleted'"

_INSERT = """
INSERT INTO webhook_endpoints (id, merchant_id, url, description, event_types, key_id, sealed, claim_id, created_at,
    updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
"""

_UPDATE = """
UPDATE webhook_endpoints SET url = $3, description = $4, event_types = $5, updated_at = $6
WHERE id = $1 AND merchant_id = $2
"""

_ENABLE = """
UPDATE webhook_endpoints SET status = 'enabled', disabled_reason = NULL, failing_since = NULL, backlog = $3,
    backlog_until = $4, updated_at = $4
WHERE id = $1 AND merchant_id = $2
"""

_DISABLE = """
UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = 'requested', updated_at = $3
WHERE id = $1 AND merchant_id = $2
"""

_DELETE = """
UPDATE webhook_endpoints SET status = 'deleted', disabled_reason = NULL, backlog = 'cancel',
    backlog_until = 'infinity', updated_at = $3
WHERE id = $1 AND merchant_id = $2
"""

_SEALED = "SELECT key_id, sealed FROM webhook_endpoints WHERE id = $1 AND merchant_id = $2"
_SET_SEALED = """
UPDATE webhook_endpoints SET key_id = $3, sealed = $4, updated_at = $5 WHERE id = $1 AND merchant_id = $2
"""

_LAST_EVENT = """
SELECT id, tx, position FROM outbox_events
WHERE merchant_id = $1 AND tx = $2 AND type = $3 ORDER BY position DESC LIMIT 1
"""

_DELIVERY = """
SELECT d.id, d.merchant_id, d.endpoint_id, d.event_id, d.event_type, nullif(d.ordering_id, d.event_id), d.status,
    d.tries, d.next_try_at, d.lease_until, d.created_at, d.settled_at
FROM webhook_deliveries AS d
"""
_DELIVERY_BY_ID = _DELIVERY + "WHERE d.id = $1 AND d.merchant_id = $2"
_DELIVERIES = (
    _DELIVERY
    + """
WHERE d.endpoint_id = $1 AND d.merchant_id = $2 AND (d.created_at, d.id) < ($3, $4) AND d.created_at >= $5
    AND ($6::text IS NULL OR d.event_type = $6){}
ORDER BY d.created_at DESC, d.id DESC LIMIT $7
"""
)
# Said in the statement and not by parameters, so that the indexes of the few can be used: of a big shop's deliveries
# nearly all are delivered, and of one payment there is a handful. A payment's deliveries are of its family of ids.
_OF_STATUS = {status.value: f" AND d.status = '{status.value}'" for status in DeliveryStatus}
_OF_PAYMENT = " AND d.ordering_id = $8 AND d.id BETWEEN $9 AND $10"

_TRIES = """
SELECT id, status, error, answer, latency_ms, manual, tried_at FROM webhook_tries
WHERE delivery_id = $1 AND merchant_id = $2 ORDER BY id
"""

_ENDPOINT_STATUS = "SELECT status FROM webhook_endpoints WHERE id = $1 AND merchant_id = $2"

_TO_REDELIVER = """
SELECT d.id, d.merchant_id, d.endpoint_id, d.ordering_id, d.created_at FROM webhook_deliveries AS d
WHERE d.endpoint_id = $1 AND d.merchant_id = $2 AND (d.created_at, d.id) > ($3, $4) AND d.created_at < $5
    AND d.status = ANY($6::text[]) AND (cardinality($7::text[]) = 0 OR d.event_type LIKE ANY($7)){}
ORDER BY d.created_at, d.id LIMIT $8
"""
_NOT_TAKEN = " AND d.status IN ('failed', 'canceled')"

# Whoever begins now has seen nothing of what is still being written.
_END_OF_EVENTS = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1"
_EVENTS_AFTER = """
SELECT o.id, o.merchant_id, o.payment_id, o.type, o.tx, o.position, o.data::text, o.created_at FROM outbox_events AS o
WHERE o.merchant_id = $1 AND (o.tx, o.position, o.id) > ($2, $3, $4)
    AND o.tx < (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
ORDER BY o.tx, o.position, o.id LIMIT $5
"""
_LAST_POSITION = (1 << 31) - 1
_LAST_ID = UUID(int=(1 << 128) - 1)

EventPlace = tuple[int, int, UUID]
"""Where an event stands: (tx, position, id)."""

Place = tuple[datetime, UUID]
"""Where a delivery stands in a list: (created_at, id)."""


async def access(connection: Connection, key_id: UUID) -> Row | None:
    """Whether a key is valid, and its merchant's status."""
    return await connection.fetchrow(_ACCESS, key_id)


async def endpoint(connection: Connection, merchant_id: UUID, endpoint_id: UUID) -> Endpoint | None:
    """One endpoint."""
    row = await connection.fetchrow(_BY_ID, endpoint_id, merchant_id)
    return None if row is None else Endpoint(*row)


async def endpoint_for_change(transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> Endpoint | None:
    """One endpoint, which nobody else changes meanwhile."""
    row = await transaction.connection.fetchrow(_BY_ID_LOCKED, endpoint_id, merchant_id)
    return None if row is None else Endpoint(*row)


async def endpoint_by_claim(connection: Connection, merchant_id: UUID, claim_id: UUID) -> Endpoint | None:
    """The endpoint that was made under an Idempotency-Key."""
    row = await connection.fetchrow(_BY_CLAIM, merchant_id, claim_id)
    return None if row is None else Endpoint(*row)


async def endpoints(connection: Connection, merchant_id: UUID) -> list[Endpoint]:
    """All endpoints, oldest first."""
    return [Endpoint(*row) for row in await connection.fetch(_OF_MERCHANT, merchant_id)]


async def lock_and_count(transaction: Transaction, merchant_id: UUID) -> int:
    """How many endpoints the merchant has; nobody else makes one meanwhile."""
    await transaction.connection.execute(_LOCK_MERCHANT, merchant_id)
    return int(await transaction.connection.fetchval(_COUNT, merchant_id))


async def insert(transaction: Transaction, new: Endpoint, key_id: str, sealed: bytes, claim_id: UUID | None) -> None:
    """A new endpoint."""
    await transaction.connection.execute(
        _INSERT,
        new.id,
        new.merchant_id,
        new.url,
        new.description,
        new.event_types,
        key_id,
        sealed,
        claim_id,
        new.created_at,
    )


async def update(transaction: Transaction, changed: Endpoint) -> None:
    """Write what a merchant may change."""
    await transaction.connection.execute(
        _UPDATE,
        changed.id,
        changed.merchant_id,
        changed.url,
        changed.description,
        changed.event_types,
        changed.updated_at,
    )


async def enable(transaction: Transaction, merchant_id: UUID, endpoint_id: UUID, backlog: str) -> None:
    """Send to it again; what waits is hurried or canceled."""
    await transaction.connection.execute(_ENABLE, endpoint_id, merchant_id, backlog, transaction.now)


async def disable(transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> None:
    """Send nothing to it."""
    await transaction.connection.execute(_DISABLE, endpoint_id, merchant_id, transaction.now)


async def delete(transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> None:
    """As if it were not there; what was delivered stays readable."""
    await transaction.connection.execute(_DELETE, endpoint_id, merchant_id, transaction.now)


async def sealed(connection: Connection, merchant_id: UUID, endpoint_id: UUID) -> Row:
    """The sealed secrets of an endpoint that is there: (key, sealed)."""
    return await connection.fetchrow(_SEALED, endpoint_id, merchant_id)


async def set_sealed(
    transaction: Transaction, merchant_id: UUID, endpoint_id: UUID, key_id: str, sealed: bytes
) -> None:
    """Other secrets."""
    await transaction.connection.execute(_SET_SEALED, endpoint_id, merchant_id, key_id, sealed, transaction.now)


async def last_event(transaction: Transaction, merchant_id: UUID, kind: str) -> Row:
    """The event of this type that this transaction has appended: (id, tx, position)."""
    return await transaction.connection.fetchrow(_LAST_EVENT, merchant_id, transaction.xid, kind)


async def end_of_events(connection: Connection) -> EventPlace:
    """The place behind everything that is committed and cannot be preceded any more."""
    return await connection.fetchval(_END_OF_EVENTS), _LAST_POSITION, _LAST_ID


async def events_after(connection: Connection, merchant_id: UUID, place: EventPlace, limit: int) -> Sequence[Row]:
    """Events behind a place that no open transaction can still precede, as the outbox makes envelopes of them."""
    return await connection.fetch(_EVENTS_AFTER, merchant_id, *place, limit)


async def delivery(connection: Connection, merchant_id: UUID, delivery_id: UUID) -> Delivery | None:
    """One delivery."""
    row = await connection.fetchrow(_DELIVERY_BY_ID, delivery_id, merchant_id)
    return None if row is None else Delivery(*row)


async def deliveries(
    connection: Connection,
    merchant_id: UUID,
    endpoint_id: UUID,
    *,
    before: Place,
    created_gte: datetime,
    status: str | None,
    event_type: str | None,
    payment_id: UUID | None,
    limit: int,
) -> list[Delivery]:
    """An endpoint's deliveries before a place, newest first."""
    of, family = "" if status is None else _OF_STATUS[status], ()
    if payment_id is not None:
        of, family = of + _OF_PAYMENT, (payment_id, *ids.family_range(payment_id))
    rows = await connection.fetch(
        _DELIVERIES.format(of), endpoint_id, merchant_id, *before, created_gte, event_type, limit, *family
    )
    return [Delivery(*row) for row in rows]


async def tries(connection: Connection, merchant_id: UUID, delivery_id: UUID) -> Sequence[Row]:
    """What was tried, oldest first: (id, status, error, answer, latency, manual, tried_at)."""
    return await connection.fetch(_TRIES, delivery_id, merchant_id)


async def endpoint_status(connection: Connection, merchant_id: UUID, endpoint_id: UUID) -> str:
    """The status of an endpoint that is or was there."""
    return await connection.fetchval(_ENDPOINT_STATUS, endpoint_id, merchant_id)


async def to_redeliver(
    connection: Connection,
    merchant_id: UUID,
    endpoint_id: UUID,
    *,
    after: Place,
    created_lt: datetime,
    statuses: Sequence[str],
    patterns: Sequence[str],
    limit: int,
) -> Sequence[Row]:
    """Deliveries behind a place, oldest first: (id, merchant, endpoint, ordering, created_at)."""
    of = "" if DeliveryStatus.DELIVERED in statuses else _NOT_TAKEN
    return await connection.fetch(
        _TO_REDELIVER.format(of), endpoint_id, merchant_id, *after, created_lt, statuses, patterns, limit
    )
