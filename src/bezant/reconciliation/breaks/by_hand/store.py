"""Every SQL statement about what people explain and take back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Connection, Row, Transaction
from bezant.ledger.accounts import Account
from bezant.ledger.rules import Journal
from bezant.ledger.rules import Line as Entry
from bezant.reconciliation.breaks.by_hand.rules import OpenBankLine
from bezant.reconciliation.rules import OPERATOR, Operation, PspLine

_FACTS: Final = "('capture', 'refund', 'refund_failed', 'dispute_opened', 'dispute_won')"

_LINES = f"""
SELECT l.id, l.kind, l.currency, l.gross_minor, l.fee_minor, l.net_minor, l.presented_minor, l.presented_currency,
    l.reference, l.psp_reference, l.operation_reference, l.payout_id, l.occurred_at, l.psp, l.psp_account_id,
    coalesce(c.merchant_id, '{OPERATOR}'), coalesce(y.shared_at IS NOT NULL AND NOT y.written_off, false),
    coalesce(y.shared_at IS NOT NULL AND y.written_off, false), coalesce(u.times, 0),
    y.deposited_at IS NOT NULL AND y.shared_at IS NULL, o.line_id IS NOT NULL
FROM unnest($1::uuid[]) AS w (id)
INNER JOIN psp_lines AS l ON l.id = w.id
LEFT JOIN open_lines AS o ON o.line_id = l.id
LEFT JOIN psp_accounts AS c ON c.id = l.psp_account_id
LEFT JOIN psp_payouts AS y ON y.id = l.payout_id
LEFT JOIN undone_matches AS u ON u.item_id = l.id
ORDER BY l.id
"""
_OPERATION_COLUMNS = ", ".join(f"o.{column}" for column in Operation.__struct_fields__)
_OPERATIONS = f"""
SELECT {_OPERATION_COLUMNS} FROM operations_in_transit AS o WHERE o.id = ANY ($1::uuid[]) ORDER BY o.id FOR UPDATE
"""
_BANK_LINES = """
SELECT b.id, b.currency, b.amount_minor, o.in_suspense, coalesce(u.times, 0)
FROM open_bank_lines AS o INNER JOIN bank_lines AS b ON b.id = o.line_id
LEFT JOIN undone_matches AS u ON u.item_id = b.id
WHERE o.line_id = ANY ($1::uuid[]) ORDER BY b.id FOR UPDATE OF o
"""
_EXPLAINED_AS = """
SELECT e.item_id, e.side, e.match_id, e.rule, e.merchant_id FROM explained AS e
WHERE e.match_id IN (SELECT x.match_id FROM explained AS x WHERE x.item_id = ANY ($1::uuid[])) ORDER BY e.item_id
"""
_UNDONE = "SELECT coalesce((SELECT u.times FROM undone_matches AS u WHERE u.item_id = $1), 0)"
_EXPLAIN = """
INSERT INTO explained (item_id, side, match_id, rule, merchant_id, explained_at) VALUES ($1, $2, $1, $3, $4, $5)
"""
_NO_MORE_OPEN = {
    "operation": "DELETE FROM operations_in_transit WHERE id = $1",
    "line": "DELETE FROM open_lines WHERE line_id = $1",
    "bank_line": "DELETE FROM open_bank_lines WHERE line_id = $1",
}
# Journals of a payment are a range of the primary key; those of no payment are found by their kind.
_JOURNALS = """
SELECT j.merchant_id, j.payment_id, j.kind, j.correlation_id, j.currency, array_agg(t.account_code ORDER BY t.line),
    array_agg(t.debit_minor ORDER BY t.line), array_agg(t.credit_minor ORDER BY t.line)
FROM {0} AS j INNER JOIN ledger_entries AS t ON t.journal_id = j.id AND t.merchant_id = j.merchant_id
WHERE j.kind NOT LIKE '%\\_undone' GROUP BY j.merchant_id, j.payment_id, j.kind, j.correlation_id, j.currency
"""
_JOURNALS_OF_PAYMENT = _JOURNALS.format(
    "(SELECT * FROM ledger_journals AS f WHERE f.id BETWEEN $1 AND $2 AND f.merchant_id = $3 "
    "AND f.correlation_id = ANY ($4::text[]) OFFSET 0)"
)
_JOURNALS_OF_HOUSE = _JOURNALS.format(
    "(SELECT f.* FROM unnest($2::text[]) AS w (kind) CROSS JOIN unnest($3::text[]) AS n (name) "
    "INNER JOIN ledger_journals AS f ON f.merchant_id = $1 AND f.kind = w.kind AND f.correlation_id = n.name "
    "AND f.payment_id IS NULL)"
)
_HOUSE_KINDS: Final = (
    *("write_off", "psp_fee", "suspense_in", "suspense_out", "bank_deposit", "bank_debit"),
    *("fx_out", "fx_in"),
)
_FORGET = "DELETE FROM explained WHERE match_id = $1"
_REOPEN_LINES = """
INSERT INTO open_lines (line_id, file_id) SELECT l.id, l.file_id FROM psp_lines AS l WHERE l.id = ANY ($1::uuid[])
"""
_REOPEN_BANK_LINES = """
INSERT INTO open_bank_lines (line_id, file_id, in_suspense)
SELECT b.id, b.file_id, b.id = ANY ($2::uuid[]) FROM bank_lines AS b WHERE b.id = ANY ($1::uuid[])
"""
# As the collector finds them in the ledger.
_REOPEN_OPERATIONS = f"""
INSERT INTO operations_in_transit (id, merchant_id, payment_id, kind, correlation_id, psp, psp_account_id,
    psp_reference, operation_reference, currency, amount_minor, effective_at)
SELECT j.id, j.merchant_id, j.payment_id, j.kind, j.correlation_id, p.psp, p.psp_account_id, p.gateway_ref,
    coalesce(a.psp_reference, d.psp_reference), j.currency, e.debit_minor - e.credit_minor, j.effective_at
FROM ledger_journals AS j
INNER JOIN ledger_entries AS e ON e.journal_id = j.id AND e.merchant_id = j.merchant_id AND e.account_code = CASE
    WHEN j.kind IN ('dispute_opened', 'dispute_won') THEN '{Account.DISPUTED_FUNDS_HELD}'
    ELSE '{Account.CUSTOMER_FUNDS_IN_TRANSIT}' END
INNER JOIN payments AS p ON p.id = j.payment_id AND p.merchant_id = j.merchant_id
LEFT JOIN payment_attempts AS a ON a.merchant_id = j.merchant_id AND a.id = CASE
    WHEN j.correlation_id ~ '^{ids.ATTEMPT}_[0-9a-f]{{32}}$' THEN substr(j.correlation_id, 5)::uuid END
LEFT JOIN disputes AS d ON d.merchant_id = j.merchant_id AND d.id = CASE
    WHEN j.correlation_id ~ '^{ids.DISPUTE}_[0-9a-f]{{32}}' THEN substr(j.correlation_id, 5, 32)::uuid END
WHERE j.id = ANY ($1::uuid[]) AND j.kind IN {_FACTS}
"""
_COUNT_UNDONE = """
INSERT INTO undone_matches AS u (item_id, times) SELECT n.id, 1 FROM unnest($1::uuid[]) AS n (id) ORDER BY n.id
ON CONFLICT (item_id) DO UPDATE SET times = u.times + 1
"""
_PAYOUT = """
SELECT y.id, y.currency, y.amount_minor, y.deposited_at, y.shared_at, y.written_off, coalesce(u.times, 0)
FROM psp_payouts AS y LEFT JOIN undone_matches AS u ON u.item_id = y.id WHERE y.id = $1 FOR UPDATE OF y
"""
_NETS = """
SELECT e.merchant_id, l.currency, sum(l.net_minor)::bigint, count(*)
FROM psp_lines AS l INNER JOIN explained AS e ON e.item_id = l.id AND e.rule <> 'payout'
WHERE l.payout_id = $1 GROUP BY e.merchant_id, l.currency
"""
_OPEN_LINES_OF_PAYOUT = """
SELECT count(*) FROM psp_lines AS l INNER JOIN open_lines AS o ON o.line_id = l.id WHERE l.payout_id = $1
"""
# Captures that count as settled because of a payout: all lines of their match are shared out, one of them with it.
_SETTLED_BY_PAYOUT = f"""
SELECT j.payment_id, j.merchant_id, sum(t.debit_minor)::bigint
FROM (
    SELECT DISTINCT e.match_id FROM psp_lines AS l INNER JOIN explained AS e ON e.item_id = l.id AND e.rule <> 'payout'
    WHERE l.payout_id = ANY ($1::uuid[])
) AS w
INNER JOIN explained AS e ON e.match_id = w.match_id AND e.side = 'operation'
INNER JOIN ledger_journals AS j ON j.id = e.item_id AND j.merchant_id = e.merchant_id AND j.kind = 'capture'
INNER JOIN ledger_entries AS t ON t.journal_id = j.id AND t.merchant_id = j.merchant_id
    AND t.account_code = '{Account.CUSTOMER_FUNDS_IN_TRANSIT}'
WHERE NOT EXISTS (
    SELECT 1 FROM explained AS x INNER JOIN psp_lines AS l ON l.id = x.item_id
    LEFT JOIN psp_payouts AS y ON y.id = l.payout_id
    WHERE x.match_id = w.match_id AND x.side = 'line'
        AND NOT coalesce(y.shared_at IS NOT NULL AND NOT y.written_off, false)
)
GROUP BY j.payment_id, j.merchant_id
"""
_RETURN_PAYOUTS = """
UPDATE psp_payouts
SET deposited_at = NULL, written_off = false, sent_again_with = NULL, shared_at = NULL, shared_through = NULL
WHERE id = ANY ($1::uuid[])
"""
_GIVE_UP_PAYOUT = "UPDATE psp_payouts SET deposited_at = $2, written_off = true WHERE id = $1"
_SENT_AGAIN = "UPDATE psp_payouts SET deposited_at = $4, amount_minor = $2, sent_again_with = $3 WHERE id = $1"
_SENT_AGAIN_WITH = "SELECT coalesce(sum(y.amount_minor), 0)::bigint FROM psp_payouts AS y WHERE y.sent_again_with = $1"
_CARRIES = "SELECT EXISTS (SELECT 1 FROM psp_payouts AS y WHERE y.sent_again_with = ANY ($1::uuid[]))"
_WANT_RUN = "UPDATE reconciliation_lease SET wanted_at = clock_timestamp()"


class FoundLine(msgspec.Struct, frozen=True):
    """A line; whether its payout is at the bank and not shared out yet, and whether nothing explains the line."""

    line: PspLine
    is_being_shared: bool
    is_open: bool


class Explained(msgspec.Struct, frozen=True, array_like=True):
    """A row of `explained`, in the order of the statement that reads it."""

    item_id: UUID
    side: str
    match_id: UUID
    rule: str
    merchant_id: UUID


class Payout(msgspec.Struct, frozen=True, array_like=True):
    """A payout under its lock, in the order of the statement that reads it."""

    id: UUID
    currency: str
    amount_minor: int | None
    deposited_at: datetime | None
    shared_at: datetime | None
    written_off: bool
    undone: int


async def lines(connection: Connection, line_ids: Sequence[UUID]) -> list[FoundLine]:
    """These lines, in the order of their ids."""
    return [FoundLine(PspLine(*row[:-2]), row[-2], row[-1]) for row in await connection.fetch(_LINES, line_ids)]


async def operations(connection: Connection, operation_ids: Sequence[UUID]) -> list[Operation]:
    """Those of these operations that nothing explains, locked, in the order of their ids."""
    return [Operation(*row) for row in await connection.fetch(_OPERATIONS, operation_ids)]


async def bank_line(connection: Connection, line_id: UUID) -> OpenBankLine | None:
    """A bank line, if nothing explains it, locked."""
    row = await connection.fetchrow(_BANK_LINES, [line_id])
    return None if row is None else OpenBankLine(*row)


async def payout(connection: Connection, payout_id: UUID) -> Payout | None:
    """A payout, locked."""
    row = await connection.fetchrow(_PAYOUT, payout_id)
    return None if row is None else Payout(*row)


async def nets_of_payout(connection: Connection, payout_id: UUID) -> tuple[dict[tuple[UUID, str], int], int]:
    """The explained nets of a payout by (merchant, currency), and of how many lines they are."""
    rows = await connection.fetch(_NETS, payout_id)
    return {(row[0], row[1]): row[2] for row in rows}, sum(row[3] for row in rows)


async def rest_of_payout(connection: Connection, payout: Payout) -> int:
    """What of a payout that came neither its explained lines nor payouts that were sent again with it are."""
    nets, _ = await nets_of_payout(connection, payout.id)
    explained_minor = sum(minor for (_, currency), minor in nets.items() if currency == payout.currency)
    return (payout.amount_minor or 0) - explained_minor - await connection.fetchval(_SENT_AGAIN_WITH, payout.id)


async def carries_others(connection: Connection, payout_ids: Sequence[UUID]) -> bool:
    """Whether other payouts are explained by having come with one of these."""
    return await connection.fetchval(_CARRIES, payout_ids)


async def open_lines_of_payout(connection: Connection, payout_id: UUID) -> int:
    """How many lines of a payout nothing explains."""
    return await connection.fetchval(_OPEN_LINES_OF_PAYOUT, payout_id)


async def explained_as(connection: Connection, item_ids: Sequence[UUID]) -> list[Explained]:
    """All that the matches explain in which these are."""
    return [Explained(*row) for row in await connection.fetch(_EXPLAINED_AS, item_ids)]


async def times_undone(connection: Connection, item_id: UUID) -> int:
    """How often an explanation of this was taken back."""
    return await connection.fetchval(_UNDONE, item_id)


async def explain_alone(transaction: Transaction, item_id: UUID, side: str, rule: str, merchant_id: UUID) -> None:
    """Say that a thing is explained by itself. Raises DataRefused where it is explained already."""
    await transaction.connection.execute(_EXPLAIN, item_id, side, rule, merchant_id, transaction.now)
    if side in _NO_MORE_OPEN:
        await transaction.connection.execute(_NO_MORE_OPEN[side], item_id)


async def journals_of_payment(
    connection: Connection, payment_id: UUID, merchant_id: UUID, names: Sequence[str], at: datetime
) -> list[Journal]:
    """What stands posted about a payment under these names, as of `at`."""
    rows = await connection.fetch(_JOURNALS_OF_PAYMENT, *ids.family_range(payment_id), merchant_id, names)
    return [_journal(row, at) for row in rows]


async def journals_of_house(
    connection: Connection, merchant_id: UUID, names: Sequence[str], at: datetime
) -> list[Journal]:
    """What stands posted about no payment under these names, as of `at`."""
    rows = await connection.fetch(_JOURNALS_OF_HOUSE, merchant_id, _HOUSE_KINDS, names)
    return [_journal(row, at) for row in rows]


async def forget(transaction: Transaction, rows: Sequence[Explained], in_suspense: Sequence[UUID]) -> None:
    """Take back a match: what it explained is open again, but payouts. `in_suspense`: of the bank's lines."""
    connection = transaction.connection
    of_side = {side: [row.item_id for row in rows if row.side == side] for side in ("line", "operation", "bank_line")}
    await connection.execute(_FORGET, rows[0].match_id)
    await connection.execute(_REOPEN_LINES, of_side["line"])
    await connection.execute(_REOPEN_OPERATIONS, of_side["operation"])
    await connection.execute(_REOPEN_BANK_LINES, of_side["bank_line"], in_suspense)


async def count_undone(transaction: Transaction, item_ids: Sequence[UUID]) -> None:
    """What is posted about these again has a name of its own, and no run explains them any more."""
    await transaction.connection.execute(_COUNT_UNDONE, item_ids)


async def settled_by_payouts(connection: Connection, payout_ids: Sequence[UUID]) -> dict[tuple[UUID, UUID], int]:
    """What counts as settled because these payouts are at the bank, by (payment, merchant)."""
    return {(row[0], row[1]): row[2] for row in await connection.fetch(_SETTLED_BY_PAYOUT, payout_ids)}


async def return_payouts(transaction: Transaction, payout_ids: Sequence[UUID]) -> None:
    """These payouts are on their way again."""
    await transaction.connection.execute(_RETURN_PAYOUTS, payout_ids)


async def give_up_payout(transaction: Transaction, payout_id: UUID) -> None:
    """This payout will never come: its lines are to be shared out as lost."""
    await transaction.connection.execute(_GIVE_UP_PAYOUT, payout_id, transaction.now)


async def sent_again(transaction: Transaction, payout_id: UUID, amount_minor: int, came_id: UUID) -> None:
    """This payout has come with another one."""
    await transaction.connection.execute(_SENT_AGAIN, payout_id, amount_minor, came_id, transaction.now)


async def want_run(transaction: Transaction) -> None:
    """Have a run carry on from what a person has decided."""
    await transaction.connection.execute(_WANT_RUN)


def _journal(row: Row, at: datetime) -> Journal:
    merchant_id, payment_id, kind, correlation_id, currency, accounts, debits, credits_ = row
    entries = zip(accounts, debits, credits_, strict=True)
    return Journal(
        merchant_id=merchant_id,
        payment_id=payment_id,
        kind=kind,
        correlation_id=correlation_id,
        currency=currency,
        effective_at=at,
        lines=tuple(Entry(Account(account), debit, credit) for account, debit, credit in entries),
    )
