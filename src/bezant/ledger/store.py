"""Every SQL statement of the ledger."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Connection, Row, Transaction
from bezant.ledger.rules import Journal

_AFTER_ALL = ((1 << 63) - 1, 0)

# One statement, so that the triggers see the journals and all their entries together.
_INSERT_JOURNALS = """
WITH journals AS (
    INSERT INTO ledger_journals (id, merchant_id, payment_id, kind, correlation_id, currency, entry_count, tx, position,
        created_at, effective_at)
    SELECT j.id, j.merchant_id, j.payment_id, j.kind, j.correlation_id, j.currency, j.entry_count, $8,
        j.position, $9, j.effective_at
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::smallint[],
        $10::timestamptz[]) WITH ORDINALITY
        AS j (id, merchant_id, payment_id, kind, correlation_id, currency, entry_count, effective_at, position)
)
INSERT INTO ledger_entries (journal_id, merchant_id, line, account_code, debit_minor, credit_minor)
SELECT * FROM unnest($11::uuid[], $12::uuid[], $13::smallint[], $14::text[], $15::bigint[], $16::bigint[])
"""

# Facts of one kind in two amounts: each account has fixed shares of them.
_INSERT_FACTS = """
WITH facts AS (
    SELECT * FROM unnest($7::uuid[], $8::uuid[], $9::uuid[], $10::text[], $11::timestamptz[], $12::bigint[],
        $13::bigint[]) WITH ORDINALITY
        AS f (id, merchant_id, payment_id, correlation_id, effective_at, first_minor, second_minor, position)
), journals AS (
    INSERT INTO ledger_journals (id, merchant_id, payment_id, kind, correlation_id, currency, entry_count, tx, position,
        created_at, effective_at)
    SELECT f.id, f.merchant_id, f.payment_id, $1, f.correlation_id, $2, cardinality($3::text[]), $5, f.position, $6,
        f.effective_at
    FROM facts AS f
)
INSERT INTO ledger_entries (journal_id, merchant_id, line, account_code, debit_minor, credit_minor)
SELECT f.id, f.merchant_id, s.line, ($3::text[])[s.line], greatest(m.minor, 0), greatest(-m.minor, 0)
FROM facts AS f
CROSS JOIN generate_series(1, cardinality($3::text[])) AS s (line)
CROSS JOIN LATERAL (
    SELECT f.first_minor * ($4::bigint[])[2 * s.line - 1] + f.second_minor * ($4::bigint[])[2 * s.line] AS minor
) AS m
"""

_ADD_TO_BALANCES = """
INSERT INTO ledger_balances AS b (merchant_id, currency, account_code, debit_minor, credit_minor, updated_at)
SELECT n.*, $6 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) AS n
ON CONFLICT (merchant_id, currency, account_code) DO UPDATE
SET debit_minor = b.debit_minor + excluded.debit_minor, credit_minor = b.credit_minor + excluded.credit_minor,
    updated_at = excluded.updated_at
"""

_BALANCES = """
SELECT currency, account_code, debit_minor::bigint, credit_minor::bigint FROM ledger_balances
WHERE merchant_id = $1 ORDER BY currency, account_code
"""

_BALANCES_AT = """
SELECT j.currency, e.account_code, sum(e.debit_minor)::bigint, sum(e.credit_minor)::bigint
FROM ledger_journals AS j
INNER JOIN ledger_entries AS e ON e.journal_id = j.id AND e.merchant_id = j.merchant_id
WHERE j.merchant_id = $1 AND j.created_at <= $2
GROUP BY j.currency, e.account_code ORDER BY j.currency, e.account_code
"""

# {0}: where from. Newest first by the order of posting; ids of one payment's family carry no order.
_NEWEST = """
SELECT j.id, j.payment_id, j.kind, j.correlation_id, j.currency, j.created_at, j.effective_at,
    array_agg(e.account_code ORDER BY e.line), array_agg(e.debit_minor ORDER BY e.line),
    array_agg(e.credit_minor ORDER BY e.line), j.tx, j.position
FROM (
    SELECT * FROM {0} AS n WHERE n.merchant_id = $1 AND (n.tx, n.position) < ($2, $3)
    ORDER BY n.tx DESC, n.position DESC LIMIT $4
) AS j
INNER JOIN ledger_entries AS e ON e.journal_id = j.id AND e.merchant_id = j.merchant_id
GROUP BY j.id, j.payment_id, j.kind, j.correlation_id, j.currency, j.created_at, j.effective_at, j.tx, j.position
ORDER BY j.tx DESC, j.position DESC
"""
_JOURNALS = _NEWEST.format("ledger_journals")
# A payment's journals are a short range of the primary key, picked before they are put in order.
_JOURNALS_OF_PAYMENT = _NEWEST.format(
    "(SELECT * FROM ledger_journals AS f WHERE f.merchant_id = $1 AND f.id BETWEEN $5 AND $6 AND f.payment_id = $7 "
    "OFFSET 0)"
)

_REFUNDS_IN_FLIGHT = """
SELECT currency, sum(amount_minor)::bigint FROM refunds WHERE merchant_id = $1 AND status = 'pending' GROUP BY currency
"""


async def insert_journals(transaction: Transaction, journals: Sequence[Journal]) -> None:
    """Insert journals, ordered by id, with all their entries in one statement."""
    journal_ids = [j.id for j in journals]
    lines = [
        (i, j.merchant_id, n, line)
        for i, j in zip(journal_ids, journals, strict=True)
        for n, line in enumerate(j.lines, 1)
    ]
    await transaction.connection.execute(
        _INSERT_JOURNALS,
        journal_ids,
        [j.merchant_id for j in journals],
        [j.payment_id for j in journals],
        [j.kind for j in journals],
        [j.correlation_id for j in journals],
        [j.currency for j in journals],
        [len(j.lines) for j in journals],
        transaction.xid,
        transaction.now,
        [j.effective_at for j in journals],
        [i for i, _, _, _ in lines],
        [merchant_id for _, merchant_id, _, _ in lines],
        [n for _, _, n, _ in lines],
        [line.account.value for _, _, _, line in lines],
        [line.debit_minor for _, _, _, line in lines],
        [line.credit_minor for _, _, _, line in lines],
    )


async def insert_facts(
    transaction: Transaction,
    kind: str,
    currency: str,
    accounts: Sequence[str],
    shares: Sequence[tuple[int, int]],
    facts: Sequence[Row],
) -> None:
    """Insert a journal for each of (id, merchant, payment, correlation id, effective_at, first, second amount)."""
    columns = [list(column) for column in zip(*facts, strict=True)]
    flat = [share for pair in shares for share in pair]
    await transaction.connection.execute(
        _INSERT_FACTS, kind, currency, accounts, flat, transaction.xid, transaction.now, *columns
    )


async def add_to_balances(transaction: Transaction, sums: Mapping[tuple[UUID, str, str], tuple[int, int]]) -> None:
    """Add debits and credits per (merchant, currency, account); `sums` comes in key order."""
    await transaction.connection.execute(
        _ADD_TO_BALANCES,
        [merchant_id for merchant_id, _, _ in sums],
        [currency for _, currency, _ in sums],
        [account for _, _, account in sums],
        [debit_minor for debit_minor, _ in sums.values()],
        [credit_minor for _, credit_minor in sums.values()],
        transaction.now,
    )


async def balances(connection: Connection, merchant_id: UUID, at: datetime | None) -> Sequence[Row]:
    """Rows of (currency, account, debits, credits), of now or re-derived from the entries known at a past moment."""
    if at is None:
        return await connection.fetch(_BALANCES, merchant_id)
    return await connection.fetch(_BALANCES_AT, merchant_id, at)


async def journals(
    connection: Connection,
    merchant_id: UUID,
    *,
    payment_id: UUID | None,
    before: tuple[int, int] | None,
    limit: int,
) -> Sequence[Row]:
    """Journals with their entries as three parallel arrays and their order (tx, position), newest first.

    Of one payment or of all; `before`: only those behind this order.
    """
    wanted = (merchant_id, *(before or _AFTER_ALL), limit)
    if payment_id is None:
        return await connection.fetch(_JOURNALS, *wanted)
    return await connection.fetch(_JOURNALS_OF_PAYMENT, *wanted, *ids.family_range(payment_id), payment_id)


async def refunds_in_flight(connection: Connection, merchant_id: UUID) -> Sequence[Row]:
    """(currency, amount) that merchants' refunds in flight will take."""
    return await connection.fetch(_REFUNDS_IN_FLIGHT, merchant_id)
