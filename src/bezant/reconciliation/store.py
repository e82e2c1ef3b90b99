"""Every SQL statement of a reconciliation run: collecting, reading what is open, writing what is explained."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Connection, Row, Transaction
from bezant.reconciliation.rules import OPERATOR, Operation, PspLine

_CURSOR = """
SELECT c.tx, pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM operations_cursor AS c FOR UPDATE
"""
# The amount is what the journal left in the account that a PSP's report clears; disputes are held until they are.
_OPERATION = """
SELECT j.id, j.merchant_id, j.payment_id, j.kind, j.correlation_id, p.psp, p.psp_account_id, p.gateway_ref,
    coalesce(a.psp_reference, d.psp_reference), j.currency, t.debit_minor - t.credit_minor, j.effective_at
FROM {0} AS j
INNER JOIN ledger_entries AS t ON t.journal_id = j.id AND t.merchant_id = j.merchant_id AND t.account_code = CASE
    WHEN j.kind IN ('dispute_opened', 'dispute_won') THEN 'disputed_funds_held' ELSE 'customer_funds_in_transit' END
INNER JOIN payments AS p ON p.id = j.payment_id AND p.merchant_id = j.merchant_id
LEFT JOIN payment_attempts AS a ON a.merchant_id = j.merchant_id AND a.id = CASE
    WHEN j.correlation_id ~ '^att_[0-9a-f]{{32}}$' THEN substr(j.correlation_id, 5)::uuid END
LEFT JOIN disputes AS d ON d.merchant_id = j.merchant_id AND d.id = CASE
    WHEN j.correlation_id ~ '^dsp_[0-9a-f]{{32}}' THEN substr(j.correlation_id, 5, 32)::uuid END
WHERE j.kind IN ('capture', 'refund', 'refund_failed', 'dispute_opened', 'dispute_won') AND {1}
    EXISTS (SELECT 1 FROM explained AS e WHERE e.item_id = j.id)
"""
_INSERT_OPERATIONS = """
INSERT INTO operations_in_transit (id, merchant_id, payment_id, kind, correlation_id, psp, psp_account_id,
    psp_reference, operation_reference, currency, amount_minor, effective_at)
{0} ON CONFLICT DO NOTHING
"""
_COLLECT = _INSERT_OPERATIONS.format(_OPERATION.format("ledger_journals", "j.tx >= $1 AND j.tx < $2 AND NOT"))
# The journals of a payment are a range of the primary key.
_OF_PAYMENTS = """(
    SELECT n.* FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS w (payment_id, first_id, last_id)
    INNER JOIN ledger_journals AS n ON n.id BETWEEN w.first_id AND w.last_id AND n.payment_id = w.payment_id
)"""
_COLLECT_PAYMENTS = _INSERT_OPERATIONS.format(_OPERATION.format(_OF_PAYMENTS, "NOT"))
_EXPLAINED_OF_PAYMENTS = _OPERATION.format(_OF_PAYMENTS, "")
_MOVE_CURSOR = "UPDATE operations_cursor SET tx = $1"

_LINE = f"""
SELECT l.id, l.kind, l.currency, l.gross_minor, l.fee_minor, l.net_minor, l.presented_minor, l.presented_currency,
    l.reference, l.psp_reference, l.operation_reference, l.payout_id, l.occurred_at, l.psp, l.psp_account_id,
    coalesce(c.merchant_id, '{OPERATOR}'), coalesce(y.shared_at IS NOT NULL, false), coalesce(u.times, 0),
    (SELECT a.payment_id FROM payment_attempts AS a WHERE a.id = CASE
        WHEN length(l.reference) = 36 AND starts_with(l.reference, 'att_')
            AND translate(substr(l.reference, 5), '0123456789abcdef', '') = '' THEN substr(l.reference, 5)::uuid
    END LIMIT 1)
FROM {{0}} AS n
INNER JOIN psp_lines AS l ON l.id = n.line_id
LEFT JOIN psp_accounts AS c ON c.id = l.psp_account_id
LEFT JOIN psp_payouts AS y ON y.id = l.payout_id
LEFT JOIN undone_matches AS u ON u.item_id = l.id
ORDER BY l.id
"""
# The file is looked up for each line: joined, all that is open would be sorted for every page.
_OPEN_LINES = _LINE.format(
    "(SELECT o.line_id FROM open_lines AS o "
    "WHERE o.line_id > $1 AND (SELECT f.state FROM report_files AS f WHERE f.id = o.file_id) = 'loaded' "
    "ORDER BY o.line_id LIMIT $2)"
)
_STILL_OPEN = "SELECT o.line_id FROM unnest($1::uuid[]) AS w (id) INNER JOIN open_lines AS o ON o.line_id = w.id"
_EXPLAINED_TO_SHARE = """
SELECT l.id, l.net_minor, l.currency, e.merchant_id, e.match_id, coalesce(u.times, 0)
FROM psp_lines AS l INNER JOIN explained AS e ON e.item_id = l.id AND e.rule <> 'payout'
LEFT JOIN undone_matches AS u ON u.item_id = l.id
WHERE l.payout_id = $1 AND l.id > $2 ORDER BY l.id LIMIT $3
"""
_OPERATIONS_OF_ATTEMPTS = """
SELECT a.id, a.operation FROM unnest($1::uuid[]) AS w (id) INNER JOIN payment_attempts AS a ON a.id = w.id
"""
_PAYMENTS_OF_NAMES = """
SELECT a.psp, a.psp_reference, a.payment_id FROM unnest($1::text[]) AS w (name)
INNER JOIN payment_attempts AS a ON a.psp_reference = w.name
"""
_OPERATION_COLUMNS = ", ".join(f"o.{column}" for column in Operation.__struct_fields__)
_OPERATIONS_OF_PAYMENTS = f"""
SELECT {_OPERATION_COLUMNS} FROM unnest($1::uuid[]) AS w (id)
INNER JOIN operations_in_transit AS o ON o.payment_id = w.id
"""
_OPERATIONS_OF_AMOUNT = f"""
SELECT {_OPERATION_COLUMNS} FROM (
    SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (psp, currency, amount_minor)
) AS w
INNER JOIN operations_in_transit AS o ON o.psp = w.psp AND o.currency = w.currency AND o.amount_minor = w.amount_minor
WHERE o.effective_at BETWEEN $4 AND $5
"""
_OVERDUE = f"""
SELECT {_OPERATION_COLUMNS} FROM operations_in_transit AS o
WHERE o.effective_at < $1 ORDER BY o.effective_at, o.id LIMIT $2
"""
_INSERT_EXPLAINED = """
INSERT INTO explained (item_id, side, match_id, rule, merchant_id, explained_at)
SELECT n.*, $6 FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::uuid[]) AS n
"""
# A line and the operation that it explains, under the line's own name: nearly all there is.
_INSERT_PAIRS = """
INSERT INTO explained (item_id, side, match_id, rule, merchant_id, explained_at)
SELECT s.item_id, s.side, n.line_id, $4, n.merchant_id, $5
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS n (line_id, operation_id, merchant_id)
CROSS JOIN LATERAL (VALUES (n.line_id, 'line'), (n.operation_id, 'operation')) AS s (item_id, side)
"""
_CLOSE_LINES = "DELETE FROM open_lines AS o USING unnest($1::uuid[]) AS n (id) WHERE o.line_id = n.id"
_CLOSE_OPERATIONS = """
DELETE FROM operations_in_transit AS o USING unnest($1::uuid[], $2::uuid[]) AS n (id, merchant_id)
WHERE o.id = n.id AND o.merchant_id = n.merchant_id
"""
_TAKE_LEASE = """
UPDATE reconciliation_lease SET holder = $1, lease_until = clock_timestamp() + $2
WHERE holder = $1 OR lease_until < clock_timestamp() RETURNING clock_timestamp()
"""
_HOLD_LEASE = "SELECT true FROM reconciliation_lease WHERE holder = $1 AND lease_until > clock_timestamp() FOR SHARE"
_LEAVE_LEASE = """
UPDATE reconciliation_lease SET holder = NULL, lease_until = '-infinity', ran_at = coalesce($2, ran_at)
WHERE holder = $1
"""
_WANT_RUN = "UPDATE reconciliation_lease SET wanted_at = clock_timestamp()"
_IS_DUE = """
SELECT l.lease_until < clock_timestamp() AND (
    l.ran_at IS NULL OR l.wanted_at > l.ran_at OR l.ran_at < clock_timestamp() - $1::interval
    OR EXISTS (SELECT 1 FROM report_files AS f WHERE f.loaded_at > l.ran_at)
)
FROM reconciliation_lease AS l
"""
# A PSP that reports no payouts of themselves sends what their lines add up to. A bank writes a name of its own for it.
_OPEN_PAYOUTS = """
SELECT y.id, y.currency, coalesce(y.amount_minor, n.net_minor), coalesce(y.paid_at, n.last_at), y.payout_reference,
    coalesce(u.times, 0),
    (SELECT l.operation_reference FROM psp_lines AS l WHERE l.payout_id = y.id AND l.kind = 'payout' LIMIT 1)
FROM psp_payouts AS y
LEFT JOIN undone_matches AS u ON u.item_id = y.id
LEFT JOIN LATERAL (
    SELECT sum(l.net_minor)::bigint AS net_minor, max(l.occurred_at) AS last_at FROM psp_lines AS l
    INNER JOIN report_files AS f ON f.id = l.file_id AND f.state = 'loaded'
    WHERE l.payout_id = y.id AND (y.amount_minor IS NULL OR y.paid_at IS NULL)
) AS n ON true
WHERE y.deposited_at IS NULL AND coalesce(y.amount_minor, n.net_minor) IS NOT NULL ORDER BY y.id
"""
_OPEN_BANK_LINES = """
SELECT b.id, b.currency, b.amount_minor, b.kind, b.booked_on, b.entry_reference, b.refs, b.content, b.original_minor,
    b.original_currency, o.in_suspense, coalesce(u.times, 0)
FROM open_bank_lines AS o
INNER JOIN report_files AS f ON f.id = o.file_id AND f.state = 'loaded'
INNER JOIN bank_lines AS b ON b.id = o.line_id
LEFT JOIN undone_matches AS u ON u.item_id = b.id ORDER BY b.id
"""
_DEPOSITED = """
UPDATE psp_payouts AS y SET deposited_at = $3, amount_minor = n.amount_minor
FROM unnest($1::uuid[], $2::bigint[]) AS n (id, amount_minor) WHERE y.id = n.id AND y.deposited_at IS NULL
"""
_CLOSE_BANK_LINES = "DELETE FROM open_bank_lines AS o USING unnest($1::uuid[]) AS n (id) WHERE o.line_id = n.id"
_BANK_LINES_IN_SUSPENSE = """
UPDATE open_bank_lines AS o SET in_suspense = true FROM unnest($1::uuid[]) AS n (id)
WHERE o.line_id = n.id AND NOT o.in_suspense
"""
_TO_SHARE = """
SELECT y.id, coalesce(y.shared_through, '00000000-0000-0000-0000-000000000000') FROM psp_payouts AS y
WHERE y.deposited_at IS NOT NULL AND y.shared_at IS NULL ORDER BY y.id
"""
_TIMES_UNDONE = "SELECT coalesce((SELECT u.times FROM undone_matches AS u WHERE u.item_id = $1), 0)"
_SHARED_THROUGH = """
UPDATE psp_payouts SET shared_through = $2, shared_at = CASE WHEN $3 THEN $4::timestamptz END WHERE id = $1
"""
# What explained lines are the report of: the captures under the same match, once all lines of it are shared out.
_CAPTURES_OF_MATCHES = """
SELECT j.payment_id, j.merchant_id, sum(t.debit_minor)::bigint
FROM unnest($1::uuid[]) AS w (match_id)
INNER JOIN explained AS e ON e.match_id = w.match_id AND e.side = 'operation'
INNER JOIN ledger_journals AS j ON j.id = e.item_id AND j.merchant_id = e.merchant_id AND j.kind = 'capture'
INNER JOIN ledger_entries AS t ON t.journal_id = j.id AND t.merchant_id = j.merchant_id
    AND t.account_code = 'customer_funds_in_transit'
WHERE NOT EXISTS (
    SELECT 1 FROM explained AS x INNER JOIN psp_lines AS l ON l.id = x.item_id
    LEFT JOIN psp_payouts AS y ON y.id = l.payout_id
    WHERE x.match_id = w.match_id AND x.side = 'line'
        AND NOT coalesce(y.shared_at IS NOT NULL OR y.shared_through >= l.id, false)
)
GROUP BY j.payment_id, j.merchant_id
"""
_NETS_OF_PAYOUTS = """
SELECT l.payout_id, sum(l.net_minor)::bigint, count(*) FROM psp_lines AS l
WHERE l.payout_id = ANY ($1::uuid[]) AND l.kind NOT IN ('payout', 'payout_failed') GROUP BY l.payout_id
"""

Key = tuple[UUID, UUID]


class Explanation(msgspec.Struct, frozen=True):
    """One row of `explained` on its way there."""

    item_id: UUID
    side: str
    match_id: UUID
    rule: str
    merchant_id: UUID


async def collect(transaction: Transaction, window_tx: int) -> tuple[int, bool]:
    """Bring operations of the next transactions, at most so many; how many, and whether the horizon is reached."""
    connection = transaction.connection
    cursor, horizon = await connection.fetchrow(_CURSOR)
    end = min(horizon, cursor + window_tx)
    if end <= cursor:
        return 0, True
    done = await connection.execute(_COLLECT, cursor, end)
    await connection.execute(_MOVE_CURSOR, end)
    return int(done.split()[-1]), end == horizon


async def open_lines(connection: Connection, after: UUID, limit: int) -> list[PspLine]:
    """Lines of loaded files that nothing explains yet, in the order of their ids."""
    return [PspLine(*row) for row in await connection.fetch(_OPEN_LINES, after, limit)]


async def still_open(connection: Connection, line_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these lines nothing explains yet."""
    return {row[0] for row in await connection.fetch(_STILL_OPEN, line_ids)}


async def operations_of_attempts(connection: Connection, attempt_ids: Sequence[UUID]) -> dict[UUID, str]:
    """What each attempt tries."""
    return dict(await connection.fetch(_OPERATIONS_OF_ATTEMPTS, attempt_ids))


async def collect_payments(transaction: Transaction, payment_ids: Sequence[UUID]) -> None:
    """Bring the operations of these payments now, whoever else is still writing."""
    await transaction.connection.execute(_COLLECT_PAYMENTS, *_families(payment_ids))


async def explained_of_payments(connection: Connection, payment_ids: Sequence[UUID]) -> list[Operation]:
    """What of these payments is explained already."""
    return [Operation(*row) for row in await connection.fetch(_EXPLAINED_OF_PAYMENTS, *_families(payment_ids))]


def _families(payment_ids: Sequence[UUID]) -> tuple[Sequence[UUID], list[UUID], list[UUID]]:
    ranges = [ids.family_range(payment_id) for payment_id in payment_ids]
    return payment_ids, [first for first, _ in ranges], [last for _, last in ranges]


async def payments_of_names(connection: Connection, names: Sequence[str]) -> dict[tuple[str, str], UUID]:
    """The payment that goes by a name at a PSP, by PSP and name."""
    return {(row[0], row[1]): row[2] for row in await connection.fetch(_PAYMENTS_OF_NAMES, names)}


async def operations_of_payments(connection: Connection, payment_ids: Sequence[UUID]) -> list[Operation]:
    """What of these payments a PSP must still report."""
    return [Operation(*row) for row in await connection.fetch(_OPERATIONS_OF_PAYMENTS, payment_ids)]


async def operations_of_amounts(
    connection: Connection, wanted: Iterable[tuple[str, str, int]], since: datetime, until: datetime
) -> list[Operation]:
    """What PSPs must still report of these (psp, currency, amount) between two moments."""
    columns = [list(column) for column in zip(*wanted, strict=True)] or [[], [], []]
    return [Operation(*row) for row in await connection.fetch(_OPERATIONS_OF_AMOUNT, *columns, since, until)]


async def overdue(connection: Connection, before: datetime, limit: int) -> list[Operation]:
    """What PSPs should have reported by now, oldest first."""
    return [Operation(*row) for row in await connection.fetch(_OVERDUE, before, limit)]


async def write_explained(transaction: Transaction, rows: Sequence[Explanation]) -> None:
    """Say what explains what, and take it from what is open. Raises DataRefused where something is explained."""
    in_order = sorted(rows, key=lambda row: row.item_id)
    await transaction.connection.execute(
        _INSERT_EXPLAINED,
        [row.item_id for row in in_order],
        [row.side for row in in_order],
        [row.match_id for row in in_order],
        [row.rule for row in in_order],
        [row.merchant_id for row in in_order],
        transaction.now,
    )
    operations = [(row.item_id, row.merchant_id) for row in in_order if row.side == "operation"]
    await _close(transaction, [row.item_id for row in in_order if row.side == "line"], operations)


async def write_pairs(transaction: Transaction, rule: str, pairs: Sequence[tuple[UUID, UUID, UUID]]) -> None:
    """The same of (line, operation, merchant), each operation explained by the line beside it."""
    if pairs:
        in_order = sorted(pairs)
        lines = [line_id for line_id, _, _ in in_order]
        operations = sorted((operation_id, merchant_id) for _, operation_id, merchant_id in in_order)
        columns = [list(column) for column in zip(*in_order, strict=True)]
        await transaction.connection.execute(_INSERT_PAIRS, *columns, rule, transaction.now)
        await _close(transaction, lines, operations)


async def _close(transaction: Transaction, lines: Sequence[UUID], operations: Sequence[Key]) -> None:
    if lines:
        await transaction.connection.execute(_CLOSE_LINES, lines)
    if operations:
        keys = [key[0] for key in operations], [key[1] for key in operations]
        await transaction.connection.execute(_CLOSE_OPERATIONS, *keys)


async def take_lease(connection: Connection, holder: UUID, lease: timedelta) -> datetime | None:
    """Become or stay the one that runs: the time; None while another does."""
    return await connection.fetchval(_TAKE_LEASE, holder, lease)


async def hold_lease(transaction: Transaction, holder: UUID) -> bool:
    """Whether it is still this one that runs; nobody else can begin before the transaction has ended."""
    return bool(await transaction.connection.fetchval(_HOLD_LEASE, holder))


async def leave_lease(connection: Connection, holder: UUID, ran_at: datetime | None) -> None:
    """Let others run. `ran_at`: when this run began, if it came to its end."""
    await connection.execute(_LEAVE_LEASE, holder, ran_at)


async def want_run(connection: Connection) -> None:
    """Ask for a run, whichever process will do it."""
    await connection.execute(_WANT_RUN)


async def is_due(connection: Connection, every: timedelta) -> bool:
    """Whether nobody runs, and there is a reason to: something was loaded, somebody asks, or it is long ago."""
    return await connection.fetchval(_IS_DUE, every)


async def open_payouts(connection: Connection) -> Sequence[Row]:
    """(id, currency, amount, paid_at, reference, times undone, the bank's name) of payouts not found at a bank yet."""
    return await connection.fetch(_OPEN_PAYOUTS)


async def open_bank_lines(connection: Connection) -> Sequence[Row]:
    """What the bank booked and nothing explains yet."""
    return await connection.fetch(_OPEN_BANK_LINES)


async def deposited(
    transaction: Transaction, payouts: Sequence[tuple[UUID, int]], bank_line_ids: Sequence[UUID]
) -> None:
    """Payouts (id, amount) that were found at the bank, and the lines of the statement that say so."""
    amounts_minor = [amount_minor for _, amount_minor in payouts]
    await transaction.connection.execute(
        _DEPOSITED, [payout_id for payout_id, _ in payouts], amounts_minor, transaction.now
    )
    await transaction.connection.execute(_CLOSE_BANK_LINES, bank_line_ids)


async def in_suspense(transaction: Transaction, bank_line_ids: Sequence[UUID]) -> None:
    """Lines of a statement that are booked as not explained."""
    await transaction.connection.execute(_BANK_LINES_IN_SUSPENSE, bank_line_ids)


async def payouts_to_share(connection: Connection) -> list[Key]:
    """Deposited payouts whose explained lines are not all shared out, with how far that is."""
    return [(row[0], row[1]) for row in await connection.fetch(_TO_SHARE)]


async def explained_to_share(connection: Connection, payout_id: UUID, after: UUID, limit: int) -> Sequence[Row]:
    """(line, net, currency, merchant, match, times undone) of a payout's explained lines, in the order of their ids."""
    return await connection.fetch(_EXPLAINED_TO_SHARE, payout_id, after, limit)


async def times_undone(connection: Connection, item_id: UUID) -> int:
    """How often an explanation of this was taken back."""
    return await connection.fetchval(_TIMES_UNDONE, item_id)


async def shared_through(transaction: Transaction, payout_id: UUID, line_id: UUID, *, is_all: bool) -> None:
    """Note how far a payout's lines are shared out."""
    await transaction.connection.execute(_SHARED_THROUGH, payout_id, line_id, is_all, transaction.now)


async def captures_of_matches(connection: Connection, match_ids: Sequence[UUID]) -> dict[Key, int]:
    """What the captures under these matches brought, by (payment, merchant)."""
    return {(row[0], row[1]): row[2] for row in await connection.fetch(_CAPTURES_OF_MATCHES, match_ids)}


async def nets_of_payouts(connection: Connection, payout_ids: Sequence[UUID]) -> dict[UUID, tuple[int, int]]:
    """The sum of the lines of each payout, and how many there are."""
    return {row[0]: (row[1], row[2]) for row in await connection.fetch(_NETS_OF_PAYOUTS, payout_ids)}
