"""Every SQL statement of the benchmarks."""

from collections.abc import Sequence
from uuid import UUID

from bezant.base.db import Connection, Row
from bezant.base.errors import OperatorError

_FILL_OUTBOX = """
INSERT INTO outbox_events (id, merchant_id, payment_id, type, tx, position, data, shard, created_at)
SELECT gen_random_uuid(), md5('m' || p % 100)::uuid, md5('p' || p)::uuid,
    (ARRAY['payment.created', 'payment.authorized', 'payment.captured'])[1 + n % 3], n / 512, n % 512,
    json_build_object(
        'payment_id', 'pay_' || md5('p' || p), 'order_id', 'ord_' || p, 'status', 'captured',
        'amount', json_build_object('value', 4999, 'currency', 'USD'),
        'amounts', json_build_object(
            'authorized', 4999, 'captured', 4999, 'refunded', 0, 'disputed', 0, 'capturable', 0, 'refundable', 4999
        ),
        'psp', 'simulator', 'psp_reference', 'ch_' || md5('c' || p)
    ), ('x' || right(md5('p' || p), 1))::bit(4)::int, now()
FROM (SELECT n, n / 3 AS p FROM generate_series(0, $1 - 1) AS n) AS numbers
"""


async def require_durable(connection: Connection) -> None:
    """Raise OperatorError unless commits are durable: figures without fsync say nothing."""
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        if await connection.fetchval("SELECT current_setting($1)", setting) != "on":
            raise OperatorError("Benchmarks need durable commits, but the database runs without: " + setting)


async def create_database(connection: Connection, name: str) -> None:
    """A new database; `name` is of our own making."""
    await connection.execute(await connection.fetchval("SELECT format('CREATE DATABASE %I', $1::text)", name))


async def drop_database(connection: Connection, name: str) -> None:
    """Drop a database whoever is connected."""
    statement = await connection.fetchval("SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', $1::text)", name)
    await connection.execute(statement)


async def backend_pid(connection: Connection) -> int:
    """The process id of the server process behind this connection."""
    return await connection.fetchval("SELECT pg_backend_pid()")


async def settle(connection: Connection) -> None:
    """Begin from a quiet server: nothing of an earlier run left to write."""
    await connection.execute("CHECKPOINT")


async def rows(connection: Connection) -> int:
    """How many payments there are."""
    return await connection.fetchval("SELECT count(*) FROM payments")


async def insert_merchant(connection: Connection, merchant_id: UUID) -> None:
    """A merchant for the ledger to post for."""
    await connection.execute(
        "INSERT INTO merchants (id, name, currency, psp) VALUES ($1, 'Bench', 'USD', 'simulator')", merchant_id
    )


async def pending_references(connection: Connection) -> list[UUID]:
    """The attempts whose PSP decides later."""
    rows = await connection.fetch("SELECT a.id FROM payment_attempts AS a WHERE a.status = 'pending' ORDER BY a.id")
    return [row[0] for row in rows]


async def inbox_waits(connection: Connection) -> int:
    """How many events are not settled yet."""
    return await connection.fetchval("SELECT count(*) FROM inbox_events WHERE next_try_at IS NOT NULL")


async def inbox_standing(connection: Connection) -> dict[str, int]:
    """How many events stand how."""
    return {row[0]: row[1] for row in await connection.fetch("SELECT status, count(*) FROM inbox_events GROUP BY 1")}


async def captured_payments(connection: Connection) -> int:
    """How many payments were captured."""
    return await connection.fetchval("SELECT count(*) FROM payments WHERE captured_minor > 0")


async def fill_outbox(connection: Connection, events: int) -> None:
    """Events as payments leave them, three of each, in transactions of long ago."""
    await connection.execute(_FILL_OUTBOX, events)
    await connection.execute("ANALYZE outbox_events")


async def outbox(connection: Connection) -> Sequence[Row]:
    """Every event in order: (id, merchant, payment, type, tx, position, data, created_at)."""
    return await connection.fetch(
        "SELECT id, merchant_id, payment_id, type, tx, position, data::text, created_at FROM outbox_events "
        "ORDER BY tx, position, id"
    )
