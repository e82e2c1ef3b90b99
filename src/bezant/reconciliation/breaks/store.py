"""Every SQL statement that keeps breaks, shows them, and says what people did about them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from bezant.base.db import Connection, Row, Transaction
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
# A fee that was not agreed is no less wrong for its line being explained. A payout is right once its lines add up to
# it.
_STANDING = """
SELECT b.id, b.merchant_id, b.kind, b.item_id, CASE b.kind
    WHEN 'fee_mismatch' THEN false
    WHEN 'payout_mismatch' THEN y.amount_minor IS NOT DISTINCT FROM (
        SELECT sum(l.net_minor) FROM psp_lines AS l
        WHERE l.payout_id = b.item_id AND l.kind NOT IN ('payout', 'payout_failed')
    ) ELSE e.item_id IS NOT NULL END
FROM breaks AS b
LEFT JOIN explained AS e ON e.item_id = b.item_id
LEFT JOIN psp_payouts AS y ON y.id = b.item_id AND b.kind = 'payout_mismatch'
WHERE b.status = 'open' AND b.item_id IS NOT NULL AND (b.kind, b.id) > ($1, $2)
ORDER BY b.kind, b.id LIMIT $3
"""
_END = """
UPDATE breaks AS b SET status = 'resolved', resolution = n.resolution, resolved_at = $4
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS n (id, merchant_id, resolution)
WHERE b.id = n.id AND b.merchant_id = n.merchant_id AND b.status = 'open'
"""


_SHOWN = """
SELECT b.id, b.merchant_id, b.payment_id, b.attempt_id, b.kind, b.status, b.subject, b.psp, b.currency, b.at_risk_minor,
    b.detail, b.owner, b.resolution, b.resolved_by, b.resolved_at, b.journal_id, coalesce(b.since, b.created_at),
    b.created_at
"""
_PAGE = f"""{_SHOWN} FROM breaks AS b
WHERE ($1::uuid IS NULL OR (b.id, b.merchant_id) < ($1, $2::uuid)) AND ($3::text IS NULL OR b.status = $3)
    AND CASE WHEN $4::text IS NULL THEN b.kind <> 'timing_skew' ELSE b.kind = $4 END
    AND ($5::text IS NULL OR b.psp = $5) AND ($6::text IS NULL OR b.owner = $6)
    AND ($7::text IS NULL OR b.currency = $7) AND ($8::bigint IS NULL OR b.at_risk_minor >= $8)
    AND ($9::interval IS NULL OR coalesce(b.since, b.created_at) <= now() - $9)
ORDER BY b.id DESC, b.merchant_id DESC LIMIT $10
"""
_ONE = f"{_SHOWN}, b.items FROM breaks AS b WHERE b.id = $1 ORDER BY b.merchant_id LIMIT 1"
_COMMENTS = """
SELECT c.author, c.body, c.created_at FROM break_comments AS c
WHERE c.break_id = $1 AND c.merchant_id = $2 ORDER BY c.created_at, c.id
"""
# Whatever the ids are of, as people see it.
_ITEMS = """
SELECT i.* FROM unnest($1::uuid[]) WITH ORDINALITY AS w (id, place)
INNER JOIN LATERAL (
    SELECT 'line', l.id, l.kind, l.currency, l.gross_minor, l.occurred_at,
        ARRAY[l.line_reference, l.reference, l.psp_reference, l.operation_reference], o.line_id IS NOT NULL
    FROM psp_lines AS l LEFT JOIN open_lines AS o ON o.line_id = l.id WHERE l.id = w.id
    UNION ALL
    SELECT 'operation', j.id, j.kind, j.currency,
        coalesce(o.amount_minor, (
            SELECT sum(t.debit_minor - t.credit_minor) FROM ledger_entries AS t
            WHERE t.journal_id = j.id AND t.account_code IN ('customer_funds_in_transit', 'disputed_funds_held')
        ), 0)::bigint, j.effective_at,
        ARRAY[j.correlation_id, o.psp_reference, o.operation_reference, 'pay_' || replace(j.payment_id::text, '-', '')],
        o.id IS NOT NULL
    FROM ledger_journals AS j LEFT JOIN operations_in_transit AS o ON o.id = j.id WHERE j.id = w.id
    UNION ALL
    SELECT 'payout', y.id, 'payout', y.currency, coalesce(y.amount_minor, 0), coalesce(y.paid_at, now()),
        ARRAY[y.payout_reference], y.deposited_at IS NULL
    FROM psp_payouts AS y WHERE y.id = w.id
    UNION ALL
    SELECT 'bank_line', b.id, b.kind, b.currency, b.amount_minor, b.booked_on::timestamptz,
        b.refs || ARRAY[b.entry_reference, b.content], o.line_id IS NOT NULL
    FROM bank_lines AS b LEFT JOIN open_bank_lines AS o ON o.line_id = b.id WHERE b.id = w.id
) AS i ON true
ORDER BY w.place
"""
# What is open on the other side and of the same amount as the first of the ids.
_CANDIDATES = """
SELECT w.id FROM (
    SELECT o.id, o.effective_at AS at FROM psp_lines AS l
    INNER JOIN operations_in_transit AS o ON o.psp = l.psp AND o.psp_account_id IS NOT DISTINCT FROM l.psp_account_id
        AND (o.currency, o.amount_minor) IN (
            (l.currency, l.gross_minor), (coalesce(l.presented_currency, ''), coalesce(l.presented_minor, 0))
        )
    WHERE l.id = ($1::uuid[])[1]
    UNION ALL
    SELECT l.id, l.occurred_at FROM operations_in_transit AS o
    INNER JOIN open_lines AS n ON true
    INNER JOIN psp_lines AS l ON l.id = n.line_id AND l.psp = o.psp
        AND l.psp_account_id IS NOT DISTINCT FROM o.psp_account_id
        AND (o.currency, o.amount_minor) IN (
            (l.currency, l.gross_minor), (coalesce(l.presented_currency, ''), coalesce(l.presented_minor, 0))
        )
    WHERE o.id = ($1::uuid[])[1]
    UNION ALL
    SELECT y.id, y.paid_at FROM bank_lines AS b
    INNER JOIN psp_payouts AS y ON y.currency = b.currency AND y.amount_minor = b.amount_minor
        AND y.deposited_at IS NULL
    WHERE b.id = ($1::uuid[])[1]
    UNION ALL
    SELECT b.id, b.booked_on::timestamptz FROM psp_payouts AS y
    INNER JOIN open_bank_lines AS n ON true
    INNER JOIN bank_lines AS b ON b.id = n.line_id AND b.currency = y.currency AND b.amount_minor = y.amount_minor
    WHERE y.id = ($1::uuid[])[1]
) AS w
WHERE w.id <> ALL ($1::uuid[]) ORDER BY w.at, w.id LIMIT $2
"""
_LOCK = """
SELECT b.id, b.merchant_id, b.kind, b.status, b.item_id, b.items, b.owner, b.resolution
FROM breaks AS b WHERE b.id = $1 ORDER BY b.merchant_id LIMIT 1 FOR UPDATE
"""
_IS_OPEN = """
SELECT EXISTS (SELECT 1 FROM operations_in_transit AS o WHERE o.id = $1)
    OR EXISTS (SELECT 1 FROM open_lines AS o WHERE o.line_id = $1)
    OR EXISTS (SELECT 1 FROM open_bank_lines AS o WHERE o.line_id = $1)
    OR EXISTS (SELECT 1 FROM psp_payouts AS y WHERE y.id = $1 AND y.deposited_at IS NULL)
"""
_OPEN_OPERATIONS = "SELECT o.id FROM operations_in_transit AS o WHERE o.id = ANY ($1::uuid[]) ORDER BY o.id"
_OPEN_LINES = "SELECT o.line_id FROM open_lines AS o WHERE o.line_id = ANY ($1::uuid[]) ORDER BY o.line_id"
_ASSIGN = "UPDATE breaks SET owner = $3 WHERE id = $1 AND merchant_id = $2"
_COMMENT = """
INSERT INTO break_comments (id, break_id, merchant_id, author, body, created_at) VALUES ($1, $2, $3, $4, $5, $6)
"""
_RESOLVE = """
UPDATE breaks SET status = 'resolved', resolution = $3, resolved_by = $4, resolved_at = $5, journal_id = $6
WHERE id = $1 AND merchant_id = $2
"""
# What is wrong with a thing although it is explained is no less wrong for that.
_RESOLVE_OF_ITEMS = """
UPDATE breaks SET status = 'resolved', resolution = $2, resolved_by = $3, resolved_at = $4
WHERE item_id = ANY ($1::uuid[]) AND status = 'open' AND kind NOT IN ('fee_mismatch', 'payout_mismatch')
"""
_REOPEN_OF_ITEMS = """
UPDATE breaks SET status = 'open', resolution = NULL, resolved_by = NULL, resolved_at = NULL, journal_id = NULL
WHERE item_id = ANY ($1::uuid[]) AND resolution IN ('matched', 'written_off', 'accepted')
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


class Worked(msgspec.Struct, frozen=True):
    """A break under its lock. `is_open`: what it is about is not explained."""

    id: UUID
    merchant_id: UUID
    kind: str
    status: str
    item_id: UUID | None
    items: Sequence[UUID]
    owner: str | None
    resolution: str | None
    is_open: bool


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


async def page(
    connection: Connection,
    before: tuple[UUID, UUID] | None,
    *,
    status: str | None,
    kind: str | None,
    psp: str | None,
    owner: str | None,
    currency: str | None,
    amount_gte: int | None,
    older: timedelta | None,
    limit: int,
) -> Sequence[Row]:
    """Breaks, newest first. Without a kind: all but what only waits."""
    return await connection.fetch(
        _PAGE, *(before or (None, None)), status, kind, psp, owner, currency, amount_gte, older, limit
    )


async def one(connection: Connection, break_id: UUID) -> Row | None:
    """A break as `page` shows it, and the ids of all that it is about."""
    return await connection.fetchrow(_ONE, break_id)


async def comments(connection: Connection, break_id: UUID, merchant_id: UUID) -> Sequence[Row]:
    """(author, body, time) in order."""
    return await connection.fetch(_COMMENTS, break_id, merchant_id)


async def items(connection: Connection, item_ids: Sequence[UUID]) -> Sequence[Row]:
    """(side, id, kind, currency, amount, time, names, whether it is open) of these, in their order."""
    return await connection.fetch(_ITEMS, item_ids)


async def candidates(connection: Connection, item_ids: Sequence[UUID], limit: int) -> Sequence[Row]:
    """What is open on the other side and of the same amount as the first of these, as `items` shows it."""
    found = [row[0] for row in await connection.fetch(_CANDIDATES, item_ids, limit)]
    return await items(connection, found)


async def lock(connection: Connection, break_id: UUID) -> Worked | None:
    """A break, locked."""
    row = await connection.fetchrow(_LOCK, break_id)
    if row is None:
        return None
    is_open = row[4] is not None and await connection.fetchval(_IS_OPEN, row[4])
    break_id, merchant_id, kind, status, item_id, item_ids, owner, resolution = row
    return Worked(break_id, merchant_id, kind, status, item_id, item_ids, owner, resolution, is_open)


async def open_sides(connection: Connection, item_ids: Sequence[UUID]) -> tuple[list[UUID], list[UUID]]:
    """The operations and the lines among these that nothing explains."""
    own = [row[0] for row in await connection.fetch(_OPEN_OPERATIONS, item_ids)]
    return own, [row[0] for row in await connection.fetch(_OPEN_LINES, item_ids)]


async def assign(transaction: Transaction, break_id: UUID, merchant_id: UUID, owner: str | None) -> None:
    """Whose it is to look at."""
    await transaction.connection.execute(_ASSIGN, break_id, merchant_id, owner)


async def comment(
    transaction: Transaction, comment_id: UUID, break_id: UUID, merchant_id: UUID, author: str, body: str
) -> None:
    """What somebody says of it."""
    await transaction.connection.execute(_COMMENT, comment_id, break_id, merchant_id, author, body, transaction.now)


async def resolve(
    transaction: Transaction, found: Worked, resolution: Resolution, actor: str, journal_id: UUID | None
) -> None:
    """A person has ended it."""
    key = (found.id, found.merchant_id)
    await transaction.connection.execute(_RESOLVE, *key, resolution, actor, transaction.now, journal_id)


async def resolve_of_items(
    transaction: Transaction, item_ids: Sequence[UUID], resolution: Resolution, actor: str
) -> None:
    """A person has explained these things."""
    await transaction.connection.execute(_RESOLVE_OF_ITEMS, item_ids, resolution, actor, transaction.now)


async def reopen_of_items(transaction: Transaction, item_ids: Sequence[UUID]) -> None:
    """A person has taken back what had ended breaks of these."""
    await transaction.connection.execute(_REOPEN_OF_ITEMS, item_ids)
