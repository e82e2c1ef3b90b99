"""Every SQL statement of the outbox."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from bezant.base.db import Connection, Row, Transaction

if TYPE_CHECKING:
    from bezant.outbox.append import Event

_INSERT = """
INSERT INTO outbox_events (id, merchant_id, payment_id, type, tx, position, data, shard, created_at)
SELECT e.id, e.merchant_id, e.payment_id, e.type, e.tx, e.position, e.data, e.shard, $9
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::integer[], $7::json[], $8::smallint[])
    AS e (id, merchant_id, payment_id, type, tx, position, data, shard)
"""

_SELECT = "SELECT id, payment_id, type, data, created_at FROM outbox_events "

# Only below the snapshot's xmin: a transaction that is still open could otherwise appear later, behind what was read.
_AFTER = (
    _SELECT
    + """
WHERE merchant_id = $1 AND (tx, position, id) > ($2, $3, $4)
    AND tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
ORDER BY tx, position, id LIMIT $5
"""
)

_ORDER_OF = "SELECT tx, position, id FROM outbox_events WHERE id = $2 AND merchant_id = $1"
_BY_ID = _SELECT + "WHERE id = $2 AND merchant_id = $1"
_OF_PAYMENT = _SELECT + "WHERE merchant_id = $1 AND id BETWEEN $2 AND $3 AND payment_id = $4 ORDER BY tx, position, id"


async def insert_events(
    transaction: Transaction, event_ids: Sequence[UUID], shards: Sequence[int], events: "Sequence[Event]"
) -> None:
    """Insert events at their place in this transaction."""
    await transaction.connection.execute(
        _INSERT,
        event_ids,
        [e.merchant_id for e in events],
        [e.payment_id for e in events],
        [e.type for e in events],
        [e.tx for e in events],
        [e.position for e in events],
        [e.data.decode() for e in events],
        shards,
        transaction.now,
    )


async def order_of(connection: Connection, merchant_id: UUID, event_id: UUID) -> Row | None:
    """The (tx, position, id) of one event."""
    return await connection.fetchrow(_ORDER_OF, merchant_id, event_id)


async def after(connection: Connection, merchant_id: UUID, order: tuple[int, int, UUID], limit: int) -> Sequence[Row]:
    """Events behind `order` that no open transaction can still precede, oldest first."""
    return await connection.fetch(_AFTER, merchant_id, *order, limit)


async def by_id(connection: Connection, merchant_id: UUID, event_id: UUID) -> Row | None:
    """One event of the merchant."""
    return await connection.fetchrow(_BY_ID, merchant_id, event_id)


async def of_payment(
    connection: Connection, merchant_id: UUID, id_range: tuple[UUID, UUID], payment_id: UUID
) -> Sequence[Row]:
    """The events of one payment in order."""
    return await connection.fetch(_OF_PAYMENT, merchant_id, *id_range, payment_id)
