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
# Ids as the application makes them: time bits, and here a number where others have chance. What a row is born without
# is written at once, as no client could; the constraints hold all the same.
_FILL_PAYMENTS = """
WITH numbers AS (
    SELECT n, lpad(to_hex(1767225600000 + n), 12, '0') AS t, lpad(to_hex(n), 15, '0') AS h, m.id AS merchant_id
    FROM generate_series($1::bigint, $2::bigint - 1) AS n
    INNER JOIN (SELECT row_number() OVER (ORDER BY id) - 1 AS k, id FROM merchants WHERE kind = 'merchant') AS m
        ON m.k = n % $3::bigint
), names AS (
    SELECT n, merchant_id, (t || '7000a' || h)::uuid AS payment_id, (t || '7000b' || h)::uuid AS attempt_id, t
    FROM numbers
), sold AS (
    INSERT INTO payments (id, merchant_id, order_id, amount_minor, currency, status, capture_strategy, payment_method,
        psp, gateway_ref, idempotency_key, metadata, details, authorized_minor, captured_minor, fee_basis_points,
        fee_fixed_minor, platform_fee_minor, event_tx, event_position, created_at, updated_at)
    SELECT payment_id, merchant_id, 'ord_' || n, $4, 'USD', 'captured', 'automatic', 'pm_card_visa', 'simulator',
        'ch_' || n, 'key_' || n, '{}', '{}', $4, $4, 0, 0, 0, 1, 0, to_timestamp((1767225600000 + n) / 1000.0),
        to_timestamp((1767225600000 + n) / 1000.0)
    FROM names
), tried AS (
    INSERT INTO payment_attempts (id, merchant_id, payment_id, operation, origin, amount_minor, currency,
        payment_method, captures, final, keeps_open, psp, psp_reference, status, captured_minor, moved_minor,
        lease_until, execute_until, created_at, updated_at)
    SELECT attempt_id, merchant_id, payment_id, 'authorize', 'client', $4, 'USD', 'pm_card_visa', true, true, false,
        'simulator', 'ch_' || n, 'approved', $4, $4, now(), now(), now(), now()
    FROM names
), journals AS (
    SELECT merchant_id, payment_id, 'att_' || replace(attempt_id::text, '-', '') AS correlation_id, n, (
        t || lpad(to_hex((
        x'70008000000000000000' | (x'0FFF3FFFFFFFFFFFFFFF' & ('x' || left(encode(sha256(convert_to(
            replace(merchant_id::text || E'\x1f' || payment_id::text, '-', '') || E'\x1fcapture\x1f'
            || 'att_' || replace(attempt_id::text, '-', ''), 'UTF8')), 'hex'), 20))::bit(80))
    )::bit(40)::bigint), 10, '0') || lpad(to_hex(((
        x'70008000000000000000' | (x'0FFF3FFFFFFFFFFFFFFF' & ('x' || left(encode(sha256(convert_to(
            replace(merchant_id::text || E'\x1f' || payment_id::text, '-', '') || E'\x1fcapture\x1f'
            || 'att_' || replace(attempt_id::text, '-', ''), 'UTF8')), 'hex'), 20))::bit(80))
    ) << 40)::bit(40)::bigint), 10, '0'))::uuid AS id
    FROM names
), posted AS (
    INSERT INTO ledger_journals (id, merchant_id, payment_id, kind, correlation_id, currency, entry_count, tx, position,
        created_at, effective_at)
    SELECT id, merchant_id, payment_id, 'capture', correlation_id, 'USD', 2, pg_current_xact_id()::text::bigint, n,
        now(), to_timestamp((1767225600000 + n) / 1000.0)
    FROM journals
)
INSERT INTO ledger_entries (journal_id, merchant_id, line, account_code, debit_minor, credit_minor)
SELECT id, merchant_id, l, CASE l WHEN 1 THEN 'customer_funds_in_transit' ELSE 'merchant_payable' END,
    CASE l WHEN 1 THEN $4 ELSE 0 END, CASE l WHEN 2 THEN $4 ELSE 0 END
FROM journals CROSS JOIN generate_series(1, 2) AS l
"""
_SUM_BALANCES = """
INSERT INTO ledger_balances (merchant_id, currency, account_code, debit_minor, credit_minor, updated_at)
SELECT e.merchant_id, 'USD', e.account_code, sum(e.debit_minor), sum(e.credit_minor), now()
FROM ledger_entries AS e GROUP BY e.merchant_id, e.account_code
"""


async def insert_sellers(connection: Connection, count: int) -> None:
    """Merchants whose payments `fill_payments` makes."""
    await connection.execute(
        "INSERT INTO merchants (id, name, currency, psp) SELECT gen_random_uuid(), 'Seller ' || n, 'USD', 'simulator' "
        "FROM generate_series(1, $1::int) AS n",
        count,
    )


async def fill_payments(connection: Connection, first: int, last: int, merchants: int, amount_minor: int) -> None:
    """Captured payments of these numbers, with their attempts and journals. Inside a transaction."""
    await connection.execute("SET LOCAL session_replication_role = replica")
    await connection.execute(_FILL_PAYMENTS, first, last, merchants, amount_minor)


async def analyze_sales(connection: Connection) -> None:
    """Balances of what was filled in, and statistics."""
    await connection.execute(_SUM_BALANCES)
    await connection.execute("ANALYZE payments, payment_attempts, ledger_journals, ledger_entries")


async def analyze_collected(connection: Connection) -> None:
    """Statistics of what was collected, which a worker has long made."""
    await connection.execute("ANALYZE operations_in_transit")


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


async def settled_payments(connection: Connection) -> int:
    """How many payments are settled."""
    return await connection.fetchval("SELECT count(*) FROM payments WHERE status = 'settled'")


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
