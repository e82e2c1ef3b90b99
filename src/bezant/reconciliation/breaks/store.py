"""Every SQL statement that keeps breaks from one run to the next."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from bezant.base.db import Connection, Transaction
from bezant.reconciliation.breaks.rules import AUTOMATIC, Resolution, Standing

# What the ids are of, and whose: each is looked up in the four tables that it can be of.
_SUBJECTS = """
SELECT w.id, CASE WHEN l.id IS NOT NULL THEN 'line' WHEN j.id IS NOT NULL THEN 'operation'
    WHEN y.id IS NOT NULL THEN 'payout' WHEN b.id IS NOT NULL THEN 'bank_line' END,
    p.merchant_id, p.id, coalesce(l.psp, y.psp, p.psp)
FROM unnest($1::uuid[], $2::uuid[]) AS w (id, payment_id)
LEFT JOIN psp_lines AS l ON l.id = w.id
LEFT JOIN ledger_journals AS j ON j.id = w.id
LEFT JOIN psp_payouts AS y ON y.id = w.id
LEFT JOIN bank_lines AS b ON b.id = w.id
LEFT JOIN payments AS p ON p.id = coalesce(w.payment_id, j.payment_id)
"""
_STATES = """
SELECT b.id, b.status, b.resolution FROM unnest($1::uuid[], $2::uuid[]) AS w (id, merchant_id)
INNER JOIN breaks AS b ON b.id = w.id AND b.merchant_id = w.merchant_id
"""
_AUTOMATIC: Final = ", ".join(f"'{resolution}'" for resolution in sorted(AUTOMATIC))
# What a person has ended stays as it is.
_KEEP = f"""
INSERT INTO breaks AS b (id, merchant_id, payment_id, kind, detail, subject, item_id, psp, currency, at_risk_minor,
    since, next_heal_at, items, created_at)
SELECT n.id, n.merchant_id, n.payment_id, n.kind, n.detail, n.subject, n.item_id, n.psp, n.currency, n.at_risk_minor,
    n.since, n.next_heal_at, ARRAY(SELECT jsonb_array_elements_text(n.items::jsonb)::uuid), $14
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::text[],
    $10::bigint[], $11::timestamptz[], $12::timestamptz[], $13::text[]) AS n (id, merchant_id, payment_id, kind, detail,
    subject, item_id, psp, currency, at_risk_minor, since, next_heal_at, items)
ON CONFLICT (id, merchant_id) DO UPDATE
SET detail = excluded.detail, currency = excluded.currency, at_risk_minor = excluded.at_risk_minor,
    items = excluded.items, next_heal_at = coalesce(b.next_heal_at,
        CASE WHEN b.status = 'resolved' THEN excluded.next_heal_at END),
    status = 'open', resolution = NULL, resolved_by = NULL, resolved_at = NULL
WHERE (b.status = 'open' OR b.resolution IN ({_AUTOMATIC}))
    AND (b.status, b.detail, b.currency, b.at_risk_minor, b.items)
        IS DISTINCT FROM ('open', excluded.detail, excluded.currency, excluded.at_risk_minor, excluded.items)
"""
_STANDING = """
SELECT b.id, b.merchant_id, b.kind, b.item_id, e.item_id IS NOT NULL
FROM breaks AS b LEFT JOIN explained AS e ON e.item_id = b.item_id
WHERE b.status = 'open' AND b.item_id IS NOT NULL AND (b.kind, b.id) > ($1, $2)
ORDER BY b.kind, b.id LIMIT $3
"""
_END = """
UPDATE breaks AS b SET status = 'resolved', resolution = n.resolution, resolved_at = $4
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS n (id, merchant_id, resolution)
WHERE b.id = n.id AND b.merchant_id = n.merchant_id AND b.status = 'open'
"""


class NewBreak(msgspec.Struct, frozen=True, kw_only=True):
    """A break on its way to its row."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID | None
    kind: str
    detail: str
    subject: str
    item_id: UUID
    psp: str | None
    currency: str
    at_risk_minor: int
    since: datetime
    next_heal_at: datetime | None
    items: Sequence[UUID]


class Subject(msgspec.Struct, frozen=True, array_like=True):
    """What an id is of: `side` is None where nothing has it. `merchant_id`: whose payment it is, if it is of one."""

    id: UUID
    side: str | None
    merchant_id: UUID | None
    payment_id: UUID | None
    psp: str | None


async def subjects(
    connection: Connection, item_ids: Sequence[UUID], payment_ids: Sequence[UUID | None]
) -> dict[UUID, Subject]:
    """What these ids are of; `payment_ids`: the payment that each is known to concern."""
    rows = await connection.fetch(_SUBJECTS, item_ids, payment_ids)
    return {row[0]: Subject(*row) for row in rows}


async def states(connection: Connection, rows: Sequence[NewBreak]) -> dict[UUID, tuple[str, str | None]]:
    """(status, resolution) of those of these breaks that there are."""
    found = await connection.fetch(_STATES, [row.id for row in rows], [row.merchant_id for row in rows])
    return {row[0]: (row[1], row[2]) for row in found}


async def keep(transaction: Transaction, rows: Sequence[NewBreak]) -> None:
    """Insert what is new, in the order of ids, and bring up to date what stands."""
    await transaction.connection.execute(
        _KEEP,
        [row.id for row in rows],
        [row.merchant_id for row in rows],
        [row.payment_id for row in rows],
        [row.kind for row in rows],
        [row.detail for row in rows],
        [row.subject for row in rows],
        [row.item_id for row in rows],
        [row.psp for row in rows],
        [row.currency for row in rows],
        [row.at_risk_minor for row in rows],
        [row.since for row in rows],
        [row.next_heal_at for row in rows],
        [msgspec.json.encode(row.items).decode() for row in rows],
        transaction.now,
    )


async def standing(connection: Connection, after: tuple[str, UUID], limit: int) -> list[Standing]:
    """The next open breaks about a thing, in the order of kind and id."""
    return [Standing(*row) for row in await connection.fetch(_STANDING, *after, limit)]


async def end(transaction: Transaction, ends: Mapping[tuple[UUID, UUID], Resolution]) -> int:
    """Close breaks (id, merchant) that are open; how many were."""
    done = await transaction.connection.execute(
        _END, [key[0] for key in ends], [key[1] for key in ends], list(ends.values()), transaction.now
    )
    return int(done.split()[-1])
