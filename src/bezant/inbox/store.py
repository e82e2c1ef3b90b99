"""Every SQL statement about kept events."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from bezant.base.db import Connection, Row, Transaction
from bezant.inbox.rules import Busy, Fate, Kept, Status

if TYPE_CHECKING:
    from bezant.inbox.receive import Arriving

# In key order, so that two processes that are told the same cannot deadlock.
_INSERT = """
INSERT INTO inbox_events (id, psp, psp_account_id, merchant_id, event_id, type, body, status, next_try_at, occurred_at,
    received_at)
SELECT e.id, e.psp, e.psp_account_id, e.merchant_id, e.event_id, e.type, e.body, 'received', now(), e.occurred_at, now()
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bytea[], $8::timestamptz[])
    AS e (id, psp, psp_account_id, merchant_id, event_id, type, body, occurred_at)
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

_KEPT = f"SELECT {', '.join(Kept.__struct_fields__)} FROM inbox_events "

_NOT_BUSY = """
    psp <> ALL($2::text[]) AND (psp || '/' || coalesce(psp_account_id::text, '')) <> ALL($3::text[])
"""

# In order, though the order means nothing: only so the planner always takes the index, whatever it thinks is due.
_IS_DUE = f"""
SELECT (
    SELECT true FROM inbox_events WHERE next_try_at BETWEEN $1 AND now() AND {_NOT_BUSY} ORDER BY next_try_at LIMIT 1
), now()
"""

_BOUND_LOCK_WAITS = "SELECT set_config('lock_timeout', '2s', true)"

_TAKE_DUE = f"""{_KEPT}
WHERE next_try_at BETWEEN $1 AND $4 AND {_NOT_BUSY}
ORDER BY next_try_at, id LIMIT $5
FOR UPDATE SKIP LOCKED
"""

_TAKE = _KEPT + "WHERE id = ANY($1::uuid[]) AND next_try_at IS NOT null ORDER BY next_try_at, id FOR UPDATE SKIP LOCKED"

_SETTLE = """
UPDATE inbox_events AS e
SET status = f.status, tries = f.tries, reason = f.reason,
    next_try_at = $8::timestamptz + f.wait_s * interval '1 second',
    settled_at = CASE WHEN f.wait_s IS null THEN $8::timestamptz END,
    payment_id = coalesce(f.payment_id, e.payment_id), merchant_id = coalesce(f.merchant_id, e.merchant_id)
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::text[], $5::float8[], $6::uuid[], $7::uuid[])
    AS f (id, status, tries, reason, wait_s, payment_id, merchant_id)
WHERE e.id = f.id
"""

_SHOWN = """
SELECT e.id, e.psp, a.name, e.event_id, e.type, e.status, e.tries, e.next_try_at, e.reason, e.payment_id,
    e.merchant_id, e.occurred_at, e.received_at, e.settled_at
"""
_FROM = "FROM inbox_events AS e LEFT JOIN psp_accounts AS a ON a.id = e.psp_account_id "
_FILTERED = """
    AND ($2::uuid IS null OR e.id < $2) AND ($3::text IS null OR e.psp = $3) AND ($4::text IS null OR e.status = $4)
    AND ($5::text IS null OR e.type = $5) AND ($6::timestamptz IS null OR e.received_at >= $6)
ORDER BY e.id DESC LIMIT $7
"""
_PAGE_OF_ALL = f"{_SHOWN} {_FROM} WHERE $1::uuid IS null {_FILTERED}"
_PAGE_OF_MERCHANT = f"{_SHOWN} {_FROM} WHERE e.merchant_id = $1 {_FILTERED}"
_ONE = f"{_SHOWN}, e.body {_FROM} WHERE e.id = $2 AND ($1::uuid IS null OR e.merchant_id = $1)"

_OF_PAYMENT = f"{_SHOWN} {_FROM} WHERE e.payment_id = $2 AND e.merchant_id = $1 ORDER BY e.received_at, e.id"

_AGAIN = (
    "UPDATE inbox_events SET status = 'received', tries = 0, next_try_at = now(), reason = null, settled_at = null "
)
_RETRY = (
    _AGAIN
    + """
WHERE id = $2 AND ($1::uuid IS null OR merchant_id = $1) AND status IN ('waiting', 'aside', 'unknown') RETURNING id
"""
)
# Of many at once those are left out that somebody works on: they may be something else the next moment, and what is
# applied is not to be due again.
_RETRY_ALL = (
    _AGAIN
    + """
WHERE id = ANY(ARRAY(
    SELECT id FROM inbox_events
    WHERE status = $1 AND ($2::text IS null OR psp = $2) AND ($3::text IS null OR type = $3)
        AND ($4::timestamptz IS null OR received_at >= $4)
    ORDER BY id LIMIT $5 FOR UPDATE SKIP LOCKED
))
"""
)
_ADOPT = (
    _AGAIN
    + """
WHERE id = ANY(ARRAY(
    SELECT id FROM inbox_events WHERE status = 'aside' AND reason = ANY($1::text[])
    ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED
))
"""
)

# By ranges of the key: what is older than this lies at its beginning, and little of it is left there.
_EXPIRE = """
DELETE FROM inbox_events WHERE id = ANY(ARRAY(
    SELECT id FROM inbox_events
    WHERE id < $1 AND status IN ('applied', 'unknown') AND settled_at < now() - $2::interval
    ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
))
"""

_BACKLOG = """
SELECT psp, status, count(*), coalesce(extract(epoch FROM now() - min(next_try_at)), 0)::float8
FROM inbox_events WHERE next_try_at IS NOT null GROUP BY psp, status
UNION ALL
SELECT psp, status, count(*), 0::float8 FROM inbox_events WHERE status = 'aside' GROUP BY psp, status
"""


async def insert_new(connection: Connection, arriving: "Mapping[UUID, Arriving]") -> set[UUID]:
    """Keep what is not kept yet; the ids of what is new. Waits for another one that keeps the same."""
    in_key_order = sorted(arriving)
    events = [arriving[event_id] for event_id in in_key_order]
    rows = await connection.fetch(
        _INSERT,
        in_key_order,
        [account.psp for account, _ in events],
        [account.id for account, _ in events],
        [account.merchant_id for account, _ in events],
        [raw.event_id for _, raw in events],
        [raw.type for _, raw in events],
        [raw.body for _, raw in events],
        [raw.occurred_at for _, raw in events],
    )
    return {row[0] for row in rows}


async def is_due(connection: Connection, begin_at: datetime, busy: Busy) -> tuple[bool, datetime]:
    """Whether anything is due, leaving out what is of busy PSPs and accounts; and the database's time."""
    found, now = await connection.fetchrow(_IS_DUE, begin_at, busy.psps, busy.accounts)
    return bool(found), now


async def bound_lock_waits(transaction: Transaction) -> None:
    """Let no statement of this transaction wait long for a lock: one payment that somebody holds delays no other."""
    await transaction.connection.execute(_BOUND_LOCK_WAITS)


async def take_due(transaction: Transaction, begin_at: datetime, busy: Busy, limit: int) -> list[Kept]:
    """Lock what is due and nobody else works on, in order of its time."""
    rows = await transaction.connection.fetch(_TAKE_DUE, begin_at, busy.psps, busy.accounts, transaction.now, limit)
    return [Kept(*row) for row in rows]


async def take(transaction: Transaction, event_ids: Sequence[UUID]) -> list[Kept]:
    """Lock those of these events that are open still and nobody else works on, in the same order."""
    return [Kept(*row) for row in await transaction.connection.fetch(_TAKE, event_ids)]


async def settle(transaction: Transaction, fates: Mapping[UUID, Fate]) -> None:
    """Write what becomes of events."""
    written = list(fates.values())
    await transaction.connection.execute(
        _SETTLE,
        list(fates),
        [f.status for f in written],
        [f.tries for f in written],
        [f.reason for f in written],
        [f.wait_s for f in written],
        [f.payment[0] if f.payment else None for f in written],
        [f.payment[1] if f.payment else None for f in written],
        transaction.now,
    )


async def page(
    connection: Connection,
    merchant_id: UUID | None,
    *,
    before: UUID | None,
    psp: str | None,
    status: str | None,
    type_: str | None,
    since: datetime | None,
    limit: int,
) -> Sequence[Row]:
    """Events of a merchant, or all of them, newest first, without what the PSP said."""
    statement = _PAGE_OF_ALL if merchant_id is None else _PAGE_OF_MERCHANT
    return await connection.fetch(statement, merchant_id, before, psp, status, type_, since, limit)


async def one(connection: Connection, merchant_id: UUID | None, event_id: UUID) -> Row | None:
    """One event of the merchant, or of anybody, with what the PSP said."""
    return await connection.fetchrow(_ONE, merchant_id, event_id)


async def of_payment(connection: Connection, merchant_id: UUID, payment_id: UUID) -> Sequence[Row]:
    """What was told of one payment, in order of arrival."""
    return await connection.fetch(_OF_PAYMENT, merchant_id, payment_id)


async def retry(connection: Connection, merchant_id: UUID | None, event_id: UUID) -> bool:
    """Make an event due now, as if it had just come; False where that cannot be, or it is another's."""
    return await connection.fetchval(_RETRY, merchant_id, event_id) is not None


async def retry_all(
    connection: Connection, status: Status, psp: str | None, type_: str | None, since: datetime | None, limit: int
) -> int:
    """Make at most `limit` events of this status due now; how many."""
    return _count(await connection.execute(_RETRY_ALL, status, psp, type_, since, limit))


async def adopt(connection: Connection, reasons: Sequence[str], limit: int) -> int:
    """Make due what stands aside for one of these reasons; how many."""
    return _count(await connection.execute(_ADOPT, reasons, limit))


async def expire(connection: Connection, before: UUID, age: timedelta, limit: int) -> int:
    """Delete at most `limit` events that were settled longer ago than `age`, below an id; how many."""
    return _count(await connection.execute(_EXPIRE, before, age, limit))


async def backlog(connection: Connection) -> Sequence[Row]:
    """(PSP, status, how many, seconds since the first was due) of what is not settled or stands aside."""
    return await connection.fetch(_BACKLOG)


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
