"""Every SQL statement about payouts that become known after their lines."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from bezant.base.db import Transaction

_NAME_LATE = """
WITH late AS (
    DELETE FROM late_payouts WHERE line_id = ANY(ARRAY(
        SELECT n.line_id FROM late_payouts AS n
        INNER JOIN report_files AS f ON f.id = n.file_id AND f.state = 'loaded' ORDER BY n.line_id LIMIT $1
    )) RETURNING line_id, payout_id
)
UPDATE psp_lines AS l SET payout_id = late.payout_id FROM late
WHERE l.id = late.line_id AND l.payout_id IS NULL RETURNING l.id
"""
_LATE_LINES = """
SELECT l.id, l.payout_id, l.net_minor, l.currency, coalesce(u.times, 0), e.merchant_id, e.match_id,
    coalesce(y.shared_at IS NOT NULL OR y.shared_through >= l.id, false), coalesce(y.written_off, false)
FROM unnest($1::uuid[]) AS w (id) INNER JOIN psp_lines AS l ON l.id = w.id
LEFT JOIN explained AS e ON e.item_id = l.id AND e.rule <> 'payout'
LEFT JOIN psp_payouts AS y ON y.id = l.payout_id
LEFT JOIN undone_matches AS u ON u.item_id = l.id
"""
# Of PSPs whose lines name no payouts: what moved the balance since the payout before, if it comes to just what was paid
# out. A payout that came back has moved it too, under its own name.
_FIND_DRAWN = """
WITH paid AS (
    SELECT y.id, y.psp, y.psp_account_id, y.currency, l.occurred_at, l.gross_minor, l.fee_minor, coalesce(
        lag(l.occurred_at) OVER (
            PARTITION BY y.psp, y.psp_account_id, y.currency ORDER BY l.occurred_at, l.id
        ), '-infinity'
    ) AS after_at
    FROM psp_payouts AS y INNER JOIN psp_lines AS l ON l.payout_id = y.id AND l.kind = 'payout'
    WHERE y.psp = ANY ($1::text[])
), moved AS (
    SELECT p.id, l.id AS line_id, l.file_id, l.net_minor
    FROM paid AS p
    INNER JOIN psp_lines AS l ON l.psp = p.psp AND l.psp_account_id IS NOT DISTINCT FROM p.psp_account_id
        AND l.currency = p.currency AND l.payout_id IS NULL
        AND l.occurred_at > p.after_at AND l.occurred_at <= p.occurred_at
    INNER JOIN report_files AS f ON f.id = l.file_id AND f.state = 'loaded'
    WHERE p.fee_minor = 0
), drawn AS (
    SELECT p.id FROM paid AS p INNER JOIN moved AS m ON m.id = p.id
    GROUP BY p.id, p.psp, p.psp_account_id, p.currency, p.occurred_at, p.after_at, p.gross_minor
    HAVING sum(m.net_minor) + p.gross_minor + coalesce((
        SELECT sum(b.net_minor) FROM psp_payouts AS y
        INNER JOIN psp_lines AS b ON b.payout_id = y.id AND b.kind = 'payout_failed'
        WHERE y.psp = p.psp AND y.psp_account_id IS NOT DISTINCT FROM p.psp_account_id AND b.currency = p.currency
            AND b.occurred_at > p.after_at AND b.occurred_at <= p.occurred_at
    ), 0) = 0
)
INSERT INTO late_payouts (line_id, payout_id, file_id)
SELECT m.line_id, m.id, m.file_id FROM moved AS m INNER JOIN drawn AS d ON d.id = m.id
ON CONFLICT (line_id) DO NOTHING
"""
_HAS_NEWS = """
SELECT EXISTS (
    SELECT 1 FROM reconciliation_lease AS l
    INNER JOIN report_files AS f ON f.loaded_at > coalesce(l.ran_at - interval '1 hour', '-infinity')
    WHERE f.psp = ANY ($1::text[])
)
"""


class LateLine(msgspec.Struct, frozen=True, array_like=True):
    """A line whose payout has become known, in the order of the statement that reads it."""

    id: UUID
    payout_id: UUID
    net_minor: int
    currency: str
    undone: int
    merchant_id: UUID | None
    """For whom it is explained; None: nothing explains it."""
    match_id: UUID | None
    is_shared: bool
    """The payout is shared out past it."""
    is_written_off: bool


async def find_drawn(transaction: Transaction, psps: Sequence[str]) -> None:
    """Find the lines of payouts that drew the whole balance at these PSPs, if they have sent a file since."""
    if await transaction.connection.fetchval(_HAS_NEWS, psps):
        await transaction.connection.execute(_FIND_DRAWN, psps)


async def name_late_payouts(transaction: Transaction, limit: int) -> list[LateLine]:
    """Name the payouts of the next lines that have become known, at most so many; the lines."""
    named = [row[0] for row in await transaction.connection.fetch(_NAME_LATE, limit)]
    return [LateLine(*row) for row in await transaction.connection.fetch(_LATE_LINES, named)] if named else []
