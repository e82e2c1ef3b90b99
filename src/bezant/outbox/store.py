"""Every SQL statement of the outbox."""

from collections.abc import Sequence
from datetime import datetime
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


_XMIN = "(SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint)"
_COLUMNS = "e.id, e.merchant_id, e.payment_id, e.type, e.tx, e.position, e.data::text, e.created_at"

# A cursor that is lost with the server tells again what it told: nobody waits for the disk here.
_NO_HURRY = "no_hurry AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"

_MAKE_CURSORS = """
INSERT INTO outbox_cursors (sink, shard) SELECT s, n FROM unnest($1::text[]) AS s, generate_series(0, $2 - 1) AS n
ON CONFLICT DO NOTHING
"""

_TAKE_SHARDS = f"""
WITH {_NO_HURRY}, free AS (
    SELECT c.shard FROM outbox_cursors AS c
    WHERE c.sink = $1 AND c.lease_until <= clock_timestamp() AND c.next_try_at <= clock_timestamp()
        AND EXISTS (
            SELECT 1 FROM outbox_events AS e
            WHERE e.shard = c.shard AND (e.tx, e.position, e.id) > (c.tx, c.position, c.event_id) AND e.tx < {_XMIN}
        )
    ORDER BY c.updated_at, c.shard LIMIT $3
    FOR UPDATE SKIP LOCKED
)
UPDATE outbox_cursors AS c SET holder = $2, lease_until = clock_timestamp() + make_interval(secs => $4)
FROM free, no_hurry WHERE c.sink = $1 AND c.shard = free.shard
RETURNING c.shard, c.tx, c.position, c.event_id, c.failures
"""

# What fails is tried again in halves, and doubles with what is taken: an event that is refused stops only what is
# behind it, and a receiver that has room for a few gets a few.
_UNTOLD = f"""
SELECT c.shard, e.* FROM unnest($1::smallint[], $2::bigint[], $3::integer[], $4::uuid[], $5::integer[])
    WITH ORDINALITY AS c (shard, tx, position, id, failures, n)
CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM outbox_events AS e
    WHERE e.shard = c.shard AND (e.tx, e.position, e.id) > (c.tx, c.position, c.id) AND e.tx < {_XMIN}
    ORDER BY e.tx, e.position, e.id LIMIT greatest(1, $6::integer >> c.failures)
) AS e
ORDER BY c.n, e.tx, e.position, e.id
"""

_ADVANCE = f"""
WITH {_NO_HURRY}
UPDATE outbox_cursors AS c SET tx = d.tx, position = d.position, event_id = d.event_id,
    delivered = c.delivered + d.count, failures = greatest(0, c.failures - 1), last_error = NULL,
    next_try_at = '-infinity', holder = NULL, lease_until = '-infinity', updated_at = clock_timestamp()
FROM no_hurry, unnest($3::smallint[], $4::bigint[], $5::integer[], $6::uuid[], $7::integer[])
    AS d (shard, tx, position, event_id, count)
WHERE c.sink = $1 AND c.shard = d.shard AND c.holder = $2 AND c.lease_until > clock_timestamp()
RETURNING c.shard
"""

_LAST = f"""
SELECT s.shard, e.tx, e.position, e.id FROM generate_series(0, $1 - 1) AS s (shard)
CROSS JOIN LATERAL (
    SELECT o.tx, o.position, o.id FROM outbox_events AS o
    WHERE o.shard = s.shard AND o.tx < {_XMIN} ORDER BY o.tx DESC, o.position DESC, o.id DESC LIMIT 1
) AS e
"""
_MOVE_PAST = """
UPDATE outbox_cursors AS c SET tx = d.tx, position = d.position, event_id = d.event_id, updated_at = clock_timestamp()
FROM unnest($2::smallint[], $3::bigint[], $4::integer[], $5::uuid[]) AS d (shard, tx, position, event_id)
WHERE c.sink = $1 AND c.shard = d.shard AND c.lease_until <= clock_timestamp()
    AND (c.tx, c.position, c.event_id) < (d.tx, d.position, d.event_id)
"""

_BACK_OFF = """
UPDATE outbox_cursors AS c SET failures = least(c.failures + 1, 16), last_error = left($4, 500), holder = NULL,
    lease_until = '-infinity', updated_at = clock_timestamp(),
    next_try_at = clock_timestamp() + make_interval(
        secs => least($6::float8, $5::float8 * 2 ^ c.failures) * (0.8 + 0.4 * random())
    )
WHERE c.sink = $1 AND c.holder = $2 AND c.shard = ANY($3::smallint[])
"""

_RELEASE = "UPDATE outbox_cursors SET holder = NULL, lease_until = '-infinity' WHERE holder = $1"

_STATUS = """
SELECT c.sink, c.shard, c.delivered, w.waiting, extract(epoch FROM clock_timestamp() - w.oldest)::float8,
    c.holder IS NOT NULL AND c.lease_until > clock_timestamp(), c.failures, c.next_try_at, c.last_error
FROM outbox_cursors AS c CROSS JOIN LATERAL (
    SELECT count(*) AS waiting, min(n.created_at) AS oldest FROM (
        SELECT e.created_at FROM outbox_events AS e
        WHERE e.shard = c.shard AND (e.tx, e.position, e.id) > (c.tx, c.position, c.event_id)
        ORDER BY e.tx, e.position, e.id LIMIT $1
    ) AS n
) AS w
WHERE $2::text[] IS NULL OR c.sink = ANY($2)
ORDER BY c.sink, c.shard
"""

_TOLD = """
FROM outbox_events AS e INNER JOIN outbox_cursors AS c ON c.sink = $1 AND c.shard = e.shard
WHERE (e.tx, e.position, e.id) <= (c.tx, c.position, c.event_id) AND e.created_at >= $2 AND e.created_at < $3
    AND ($4::text[] IS NULL OR e.type LIKE ANY($4)) AND ($5::uuid IS NULL OR e.merchant_id = $5)
"""
_TOLD_RANGE = f"SELECT count(*), min(e.tx), max(e.tx) {_TOLD}"
_TOLD_PAGE = f"""
SELECT {_COLUMNS} {_TOLD} AND e.shard = $6 AND (e.tx, e.position, e.id) > ($7, $8, $9) AND e.tx <= $10
ORDER BY e.tx, e.position, e.id LIMIT $11
"""

Place = tuple[int, int, UUID]
"""Where an event stands: (tx, position, id)."""


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


async def make_cursors(connection: Connection, sinks: Sequence[str], shards: int) -> None:
    """Cursors at the beginning for sinks that have none yet."""
    await connection.execute(_MAKE_CURSORS, sinks, shards)


async def take_shards(
    transaction: Transaction, sink: str, holder: UUID, shards_max: int, lease_s: float
) -> Sequence[Row]:
    """Lease free shards that have something to tell, those served longest ago first.

    Rows of (shard, tx, position, id, failures so far).
    """
    return await transaction.connection.fetch(_TAKE_SHARDS, sink, holder, shards_max, lease_s)


async def untold(transaction: Transaction, cursors: Sequence[Row], limit: int) -> Sequence[Row]:
    """Of each row of `take_shards` the next events that no open transaction can still precede, at most `limit`.

    Rows of (shard, id, merchant, payment, type, tx, position, data, created_at), each shard's in order.
    """
    return await transaction.connection.fetch(_UNTOLD, *zip(*cursors, strict=True), limit)


async def advance(
    connection: Connection, sink: str, holder: UUID, told: Sequence[tuple[int, int, int, UUID, int]]
) -> Sequence[Row]:
    """Move cursors to the last events told, (shard, tx, position, id, how many), and give the shards back.

    Returns the shards whose lease was still the holder's; the others stay where they are.
    """
    shards, txs, positions, event_ids, counts = zip(*told, strict=True)
    return await connection.fetch(_ADVANCE, sink, holder, shards, txs, positions, event_ids, counts)


async def last_events(connection: Connection, shards: int) -> Sequence[Row]:
    """The last event of each shard that no open transaction can still precede: (shard, tx, position, id)."""
    return await connection.fetch(_LAST, shards)


async def pass_by(connection: Connection, sink: str, last: Sequence[Row]) -> None:
    """Move the sink's cursors on to these events, unless somebody is telling or they are further."""
    await connection.execute(_MOVE_PAST, sink, *[list(column) for column in zip(*last, strict=True)])


async def back_off(
    connection: Connection,
    sink: str,
    holder: UUID,
    shards: Sequence[int],
    reason: str,
    back_off_s: tuple[float, float],
) -> None:
    """Give shards back, to be tried again later: doubling from the first to the second figure, with jitter."""
    await connection.execute(_BACK_OFF, sink, holder, shards, reason, *back_off_s)


async def release(connection: Connection, holder: UUID) -> None:
    """Give back whatever the holder still has."""
    await connection.execute(_RELEASE, holder)


async def cursors(connection: Connection, sinks: Sequence[str] | None, count_max: int) -> Sequence[Row]:
    """Each cursor: (sink, shard, delivered, waiting up to `count_max`, age of the oldest in s, is held, failures,
    next try, last error)."""
    return await connection.fetch(_STATUS, count_max, sinks)


async def told_range(
    connection: Connection,
    sink: str,
    created: tuple[datetime, datetime],
    types: Sequence[str] | None,
    merchant_id: UUID | None,
) -> Row:
    """Of what the sink was told and was created in this time: how many events, first and last tx."""
    return await connection.fetchrow(_TOLD_RANGE, sink, *created, types, merchant_id)


async def told_page(
    connection: Connection,
    sink: str,
    created: tuple[datetime, datetime],
    types: Sequence[str] | None,
    merchant_id: UUID | None,
    shard: int,
    after: Place,
    tx_max: int,
    limit: int,
) -> Sequence[Row]:
    """The next of those events of a shard in order: rows as of `untold` without the shard."""
    return await connection.fetch(_TOLD_PAGE, sink, *created, types, merchant_id, shard, *after, tx_max, limit)
