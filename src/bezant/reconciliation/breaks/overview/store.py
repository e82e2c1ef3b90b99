"""Every SQL statement that adds up what is on its way."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Connection, Row
from bezant.ledger.accounts import Account

_FACTS: Final = "('capture', 'refund', 'refund_failed', 'dispute_opened', 'dispute_won')"
_AGE: Final = """
CASE WHEN {0} > now() - interval '1 day' THEN '0-1d' WHEN {0} > now() - interval '3 days' THEN '1-3d'
    WHEN {0} > now() - interval '7 days' THEN '3-7d' WHEN {0} > now() - interval '30 days' THEN '7-30d' ELSE '>30d' END
"""
_OPERATIONS = f"""
SELECT o.psp, a.name, o.kind, o.currency, {_AGE.format("o.effective_at")}, count(*), sum(o.amount_minor)::bigint
FROM operations_in_transit AS o LEFT JOIN psp_accounts AS a ON a.id = o.psp_account_id
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 4, 3, 5
"""
_LINES = f"""
SELECT l.psp, a.name, l.kind, l.currency, {_AGE.format("l.occurred_at")}, count(*), sum(l.net_minor)::bigint
FROM open_lines AS o INNER JOIN psp_lines AS l ON l.id = o.line_id
LEFT JOIN psp_accounts AS a ON a.id = l.psp_account_id
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 4, 3, 5
"""
_PAYOUTS = f"""
SELECT y.psp, a.name, 'payout', y.currency, {_AGE.format("coalesce(y.paid_at, now())")}, count(*),
    coalesce(sum(y.amount_minor), 0)::bigint
FROM psp_payouts AS y LEFT JOIN psp_accounts AS a ON a.id = y.psp_account_id
WHERE y.deposited_at IS NULL GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 4, 3, 5
"""
_BANK_LINES = f"""
SELECT 'bank', c.name, CASE WHEN o.in_suspense THEN 'in_suspense' ELSE b.kind END, b.currency,
    {_AGE.format("b.booked_on::timestamptz")}, count(*), sum(b.amount_minor)::bigint
FROM open_bank_lines AS o INNER JOIN bank_lines AS b ON b.id = o.line_id
INNER JOIN bank_accounts AS c ON c.id = b.bank_account_id
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 4, 3, 5
"""
_BREAKS = """
SELECT b.kind, b.currency, count(*), coalesce(sum(b.at_risk_minor), 0)::bigint, min(coalesce(b.since, b.created_at)),
    count(*) FILTER (WHERE b.owner IS NOT NULL)
FROM breaks AS b WHERE b.status = 'open' GROUP BY b.kind, b.currency ORDER BY b.kind, b.currency
"""
_FILES = """
SELECT f.source, coalesce(f.psp, 'bank'), f.state, count(*), sum(f.lines)::bigint, sum(f.quarantined)::bigint,
    max(coalesce(f.loaded_at, f.created_at))
FROM report_files AS f GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_BREAK: Final = """
LEFT JOIN LATERAL (
    SELECT b.id, b.kind FROM breaks AS b WHERE b.item_id = {0} AND b.status = 'open' ORDER BY b.kind LIMIT 1
) AS b ON true
"""
_WAITING = f"""
SELECT o.id, o.merchant_id, o.payment_id, o.kind, o.currency, o.amount_minor, o.effective_at, o.psp, true, NULL, NULL,
    o.amount_minor, NULL::text[], b.id, b.kind
FROM operations_in_transit AS o {_BREAK.format("o.id")}
WHERE $1::timestamptz IS NULL OR (o.effective_at, o.id) > ($1, $2::uuid)
ORDER BY o.effective_at, o.id LIMIT $3
"""
# All facts of one payment. What is left of a match is read from the entries: of its operations and of its lines.
_OF_PAYMENT = f"""
WITH journals AS (
    SELECT j.id, j.merchant_id, j.payment_id, j.kind, j.currency, j.effective_at, t.account_code,
        t.debit_minor - t.credit_minor AS amount_minor, j.kind IN {_FACTS} AS is_fact,
        CASE WHEN j.kind IN ('dispute_opened', 'dispute_won') THEN '{Account.DISPUTED_FUNDS_HELD}'
            ELSE '{Account.CUSTOMER_FUNDS_IN_TRANSIT}' END AS own_account,
        CASE WHEN j.kind IN {_FACTS} THEN j.id
            WHEN j.correlation_id ~ '^({ids.PSP_LINE}|{ids.JOURNAL})_[0-9a-f]{{32}}(:|$)'
            THEN substr(j.correlation_id, 5, 32)::uuid END AS item_id
    FROM ledger_journals AS j
    INNER JOIN ledger_entries AS t ON t.journal_id = j.id AND t.merchant_id = j.merchant_id
    WHERE j.id BETWEEN $1 AND $2 AND j.payment_id = $3
), rests AS (
    SELECT e.match_id, sum(j.amount_minor)::bigint AS rest_minor
    FROM journals AS j INNER JOIN explained AS e ON e.item_id = j.item_id
    WHERE CASE WHEN j.is_fact THEN j.account_code = j.own_account
        ELSE j.account_code IN ('{Account.CUSTOMER_FUNDS_IN_TRANSIT}', '{Account.DISPUTED_FUNDS_AT_PSP}') END
    GROUP BY e.match_id
)
SELECT j.id, j.merchant_id, j.payment_id, j.kind, j.currency, j.amount_minor, j.effective_at, p.psp, o.id IS NOT NULL,
    e.match_id, e.rule, coalesce(r.rest_minor, j.amount_minor), (
        SELECT array_agg('{ids.PSP_LINE}_' || replace(x.item_id::text, '-', '') ORDER BY x.item_id)
        FROM explained AS x WHERE x.match_id = e.match_id AND x.side = 'line'
    ), b.id, b.kind
FROM journals AS j
INNER JOIN payments AS p ON p.id = j.payment_id AND p.merchant_id = j.merchant_id
LEFT JOIN operations_in_transit AS o ON o.id = j.id AND o.merchant_id = j.merchant_id
LEFT JOIN explained AS e ON e.item_id = j.id AND e.side = 'operation'
LEFT JOIN rests AS r ON r.match_id = e.match_id
{_BREAK.format("j.id")}
WHERE j.is_fact AND j.account_code = j.own_account ORDER BY j.effective_at, j.id
"""


async def operations(connection: Connection) -> Sequence[Row]:
    """(PSP, account, kind, currency, age, count, sum) of operations that PSPs must still report."""
    return await connection.fetch(_OPERATIONS)


async def lines(connection: Connection) -> Sequence[Row]:
    """The same of lines that nothing explains."""
    return await connection.fetch(_LINES)


async def payouts(connection: Connection) -> Sequence[Row]:
    """The same of payouts that did not come yet."""
    return await connection.fetch(_PAYOUTS)


async def bank_lines(connection: Connection) -> Sequence[Row]:
    """The same of what banks have booked and nothing explains, by account at the bank."""
    return await connection.fetch(_BANK_LINES)


async def breaks(connection: Connection) -> Sequence[Row]:
    """(kind, currency, count, at risk, oldest, how many have an owner) of what is open."""
    return await connection.fetch(_BREAKS)


async def files(connection: Connection) -> Sequence[Row]:
    """(source, PSP, state, count, lines, quarantined, last) of files."""
    return await connection.fetch(_FILES)


async def waiting(connection: Connection, after: tuple[object, UUID] | None, limit: int) -> Sequence[Row]:
    """Operations in transit, oldest first."""
    return await connection.fetch(_WAITING, *(after or (None, None)), limit)


async def of_payment(connection: Connection, payment_id: UUID) -> Sequence[Row]:
    """All operations of a payment, with what is left of each in transit."""
    return await connection.fetch(_OF_PAYMENT, *ids.family_range(payment_id), payment_id)
