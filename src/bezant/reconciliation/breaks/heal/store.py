"""Every SQL statement about operations that are looked for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Connection, Transaction
from bezant.reconciliation.breaks.heal.rules import Lost
from bezant.reconciliation.matching.model import BreakKind

_HOLDS_S: Final = 600
"""For how long nobody else looks for what one process does."""

_TAKE = f"""
WITH taken AS (
    UPDATE breaks AS b SET heals = b.heals + 1, next_heal_at = now() + interval '{_HOLDS_S} seconds'
    FROM (
        SELECT d.id, d.merchant_id FROM breaks AS d
        WHERE d.status = 'open' AND d.next_heal_at <= now() ORDER BY d.next_heal_at, d.id LIMIT $1
        FOR UPDATE SKIP LOCKED
    ) AS n
    WHERE b.id = n.id AND b.merchant_id = n.merchant_id
    RETURNING b.id, b.merchant_id, b.item_id, b.heals
)
SELECT k.id, k.merchant_id, o.id, o.kind, o.currency, o.amount_minor, o.psp, o.psp_account_id, o.payment_id,
    o.psp_reference, p.order_id, a.id, a.operation, coalesce(a.amount_minor, 0), coalesce(a.payment_method, ''),
    coalesce(a.psp_reference, o.operation_reference), coalesce(a.captures, false), coalesce(a.final, true), k.heals
FROM taken AS k
INNER JOIN operations_in_transit AS o ON o.id = k.item_id AND o.merchant_id = k.merchant_id
INNER JOIN payments AS p ON p.id = o.payment_id AND p.merchant_id = o.merchant_id
LEFT JOIN payment_attempts AS a ON a.merchant_id = o.merchant_id AND a.id = CASE
    WHEN o.correlation_id ~ '^{ids.ATTEMPT}_[0-9a-f]{{32}}$' THEN substr(o.correlation_id, 5)::uuid END
"""
_IS_DUE = "SELECT EXISTS (SELECT 1 FROM breaks AS b WHERE b.status = 'open' AND b.next_heal_at <= now())"
_AGAIN_AT = "UPDATE breaks SET next_heal_at = $3 WHERE id = $1 AND merchant_id = $2 AND status = 'open'"
# Few events wait or stand aside, so that their words may be searched.
_EVENTS = """
SELECT i.id FROM inbox_events AS i
WHERE (i.status = 'aside' OR (i.status = 'waiting' AND i.next_try_at IS NOT NULL)) AND i.psp = $1
    AND i.psp_account_id IS NOT DISTINCT FROM $2 AND (
        i.payment_id = $3 OR EXISTS (
            SELECT 1 FROM unnest($4::text[]) AS n (name) WHERE position(convert_to(n.name, 'UTF8') IN i.body) > 0
        )
    )
ORDER BY i.id LIMIT $5
"""
_SAY = """
INSERT INTO break_comments (id, break_id, merchant_id, author, body, created_at)
SELECT $1, $2, $3, 'bezant', $4, $5
WHERE NOT EXISTS (SELECT 1 FROM break_comments AS c WHERE c.break_id = $2 AND c.merchant_id = $3 AND c.body = $4)
"""
_CONTRADICT = f"""
INSERT INTO breaks (id, merchant_id, payment_id, kind, detail, subject, item_id, items, psp, currency, at_risk_minor,
    since, created_at)
VALUES ($1, $2, $3, '{BreakKind.CONTRADICTION}', $4, $5, $6, ARRAY[$6::uuid], $7, $8, $9, $10, $10)
ON CONFLICT (id, merchant_id) DO NOTHING
"""


async def is_due(connection: Connection) -> bool:
    """Whether anything is to be looked for."""
    return bool(await connection.fetchval(_IS_DUE))


async def take(transaction: Transaction, limit: int) -> list[Lost]:
    """Take up operations that are due to be looked for; nobody else does for a while."""
    return [Lost(*row) for row in await transaction.connection.fetch(_TAKE, limit)]


async def again_at(transaction: Transaction, lost: Lost, at: datetime | None) -> None:
    """When it is looked for again; None: no more."""
    await transaction.connection.execute(_AGAIN_AT, lost.break_id, lost.merchant_id, at)


async def events(connection: Connection, lost: Lost, limit: int) -> Sequence[UUID]:
    """Events that name the operation or its payment, and wait or stand aside."""
    rows = await connection.fetch(_EVENTS, lost.psp, lost.psp_account_id, lost.payment_id, lost.names, limit)
    return [row[0] for row in rows]


async def say(transaction: Transaction, lost: Lost, body: str) -> None:
    """Comment on the break, once."""
    await transaction.connection.execute(_SAY, ids.new_id(), lost.break_id, lost.merchant_id, body, transaction.now)


async def contradict(transaction: Transaction, lost: Lost, break_id: UUID, detail: str) -> None:
    """A break: the PSP says otherwise. Once for each operation."""
    await transaction.connection.execute(
        _CONTRADICT,
        break_id,
        lost.merchant_id,
        lost.payment_id,
        detail,
        ids.show(ids.JOURNAL, lost.operation_id),
        lost.operation_id,
        lost.psp,
        lost.currency,
        abs(lost.amount_minor),
        transaction.now,
    )
