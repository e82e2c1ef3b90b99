"""Every SQL statement of the queue of deliveries."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from bezant.base.db import Connection, Row, Transaction
from bezant.webhooks.states import Claimed

if TYPE_CHECKING:
    from bezant.webhooks.delivery.record import Settled, Tried

_LOCK_SPACE: Final = 0x6265_7A77_6864_6C76
"""Tells these locks from whatever else is locked by number."""

_LOCK = "SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key"

_ANY_ENDPOINT = "SELECT EXISTS (SELECT 1 FROM webhook_endpoints WHERE status <> 'deleted')"
_WANTING = """
SELECT id, merchant_id, event_types, created_at FROM webhook_endpoints
WHERE merchant_id = ANY($1::uuid[]) AND status <> 'deleted'
"""

_EVENTS = """
SELECT o.id, o.merchant_id, o.payment_id, o.type, o.tx, o.position, o.data::text, o.created_at
FROM unnest($1::uuid[], $2::uuid[]) AS w (id, merchant_id)
INNER JOIN outbox_events AS o ON o.id = w.id AND o.merchant_id = w.merchant_id
"""

_INSERT = """
INSERT INTO webhook_deliveries (id, merchant_id, endpoint_id, event_id, event_type, ordering_id, tx, position, manual,
    created_at)
SELECT d.id, d.merchant_id, d.endpoint_id, d.event_id, d.event_type, d.ordering_id, d.tx, d.position, $9, $10
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::uuid[], $7::bigint[], $8::integer[])
    AS d (id, merchant_id, endpoint_id, event_id, event_type, ordering_id, tx, position)
ON CONFLICT (id, merchant_id) DO NOTHING
"""

_PROMOTE = """
UPDATE webhook_deliveries AS d SET next_try_at = $3
FROM unnest($1::uuid[], $2::uuid[]) AS g (endpoint_id, ordering_id)
CROSS JOIN LATERAL (
    SELECT p.id, p.merchant_id FROM webhook_deliveries AS p
    WHERE p.endpoint_id = g.endpoint_id AND p.ordering_id = g.ordering_id AND p.status = 'pending'
    ORDER BY p.tx, p.position, p.id LIMIT 1
) AS head
WHERE d.id = head.id AND d.merchant_id = head.merchant_id AND d.next_try_at IS NULL
RETURNING d.id
"""

_DEMOTE = """
UPDATE webhook_deliveries AS d SET next_try_at = NULL, scheduled_at = NULL
FROM unnest($1::uuid[], $2::uuid[]) AS g (endpoint_id, ordering_id)
WHERE d.endpoint_id = g.endpoint_id AND d.ordering_id = g.ordering_id AND d.status = 'pending'
    AND d.next_try_at IS NOT NULL AND d.lease_until IS NULL
    AND EXISTS (
        SELECT 1 FROM webhook_deliveries AS p
        WHERE p.endpoint_id = d.endpoint_id AND p.ordering_id = d.ordering_id AND p.status = 'pending'
            AND (p.tx, p.position, p.id) < (d.tx, d.position, d.id)
    )
"""

_REQUEUE = """
UPDATE webhook_deliveries AS d
SET status = 'pending', tries = 0, manual = $3, next_try_at = NULL, scheduled_at = NULL, settled_at = NULL
FROM unnest($1::uuid[], $2::uuid[]) AS w (id, merchant_id)
WHERE d.id = w.id AND d.merchant_id = w.merchant_id AND d.status <> 'pending'
RETURNING d.id
"""

_BRING_FORWARD = """
UPDATE webhook_deliveries
SET manual = true, scheduled_at = coalesce(scheduled_at, next_try_at), next_try_at = $3
WHERE id = $1 AND merchant_id = $2 AND status = 'pending' AND next_try_at IS NOT NULL
    AND (lease_until IS NULL OR lease_until < now())
"""

_IS_IN_FLIGHT = """
SELECT lease_until >= now() FROM webhook_deliveries WHERE id = $1 AND merchant_id = $2 AND status = 'pending'
"""

# From one endpoint to the next by the index, however many deliveries each has.
_WITH_SOMETHING_DUE = """
WITH RECURSIVE walk (endpoint_id) AS (
    (
        SELECT d.endpoint_id FROM webhook_deliveries AS d
        WHERE d.next_try_at IS NOT NULL AND d.endpoint_id > $1 ORDER BY d.endpoint_id LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT d.endpoint_id FROM webhook_deliveries AS d
        WHERE d.next_try_at IS NOT NULL AND d.endpoint_id > w.endpoint_id ORDER BY d.endpoint_id LIMIT 1
    )
    FROM walk AS w WHERE w.endpoint_id IS NOT NULL
)
SELECT e.id FROM walk AS w INNER JOIN webhook_endpoints AS e ON e.id = w.endpoint_id
WHERE e.status = 'enabled' AND e.backlog IS DISTINCT FROM 'cancel'
    AND EXISTS (SELECT 1 FROM webhook_deliveries AS d WHERE d.endpoint_id = e.id AND d.next_try_at <= now())
LIMIT $2
"""

_ASKED_FOR = """
SELECT DISTINCT d.endpoint_id FROM webhook_deliveries AS d
INNER JOIN webhook_endpoints AS e ON e.id = d.endpoint_id AND e.merchant_id = d.merchant_id
WHERE d.manual AND d.next_try_at <= now() AND e.status = 'disabled'
LIMIT $1
"""

# Another worker that looks at the same endpoint takes its share in its own turn.
_LOCK_ENDPOINTS = """
SELECT e.id, e.status, e.failing_since IS NOT NULL, e.url, e.key_id, e.sealed, (
    SELECT count(*) FROM webhook_deliveries AS d WHERE d.endpoint_id = e.id AND d.lease_until > now()
)
FROM webhook_endpoints AS e
WHERE e.id = ANY($1::uuid[]) AND e.status <> 'deleted' AND e.backlog IS DISTINCT FROM 'cancel'
FOR NO KEY UPDATE OF e SKIP LOCKED
"""

_CLAIM = """
WITH picked AS (
    SELECT d.id, d.merchant_id FROM unnest($1::uuid[], $2::integer[], $3::boolean[]) AS s (endpoint_id, most, manual)
    CROSS JOIN LATERAL (
        SELECT d.id, d.merchant_id FROM webhook_deliveries AS d
        WHERE d.endpoint_id = s.endpoint_id AND d.next_try_at <= now() AND (d.manual OR NOT s.manual)
        ORDER BY d.next_try_at LIMIT s.most
        FOR UPDATE SKIP LOCKED
    ) AS d
)
UPDATE webhook_deliveries AS d
SET lease_until = now() + make_interval(secs => $4), next_try_at = now() + make_interval(secs => $4)
FROM picked AS p WHERE d.id = p.id AND d.merchant_id = p.merchant_id
RETURNING d.id, d.merchant_id, d.endpoint_id, d.event_id, d.ordering_id, d.tries, d.manual, d.scheduled_at,
    d.lease_until
"""

_INSERT_TRIES = """
INSERT INTO webhook_tries (id, merchant_id, delivery_id, status, error, answer, latency_ms, manual, tried_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::bytea[], $7::integer[],
    $8::boolean[], $9::timestamptz[])
ON CONFLICT (id, merchant_id) DO NOTHING
"""

_SETTLE = """
UPDATE webhook_deliveries AS d
SET status = s.status, tries = s.tries, next_try_at = s.next_try_at, scheduled_at = NULL, manual = false,
    lease_until = NULL, settled_at = CASE WHEN s.status <> 'pending' THEN $7::timestamptz END
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::integer[], $6::timestamptz[])
    AS s (id, merchant_id, lease_until, status, tries, next_try_at)
WHERE d.id = s.id AND d.merchant_id = s.merchant_id AND d.lease_until = s.lease_until
RETURNING d.id
"""

_HEALTH = "SELECT id, failing_since FROM webhook_endpoints WHERE id = ANY($1::uuid[]) AND status <> 'deleted'"

_ANSWERED = """
UPDATE webhook_endpoints AS e SET failing_since = NULL,
    backlog = CASE WHEN w.is_back THEN coalesce(e.backlog, 'hurry') ELSE e.backlog END,
    backlog_until = CASE WHEN w.is_back THEN coalesce(e.backlog_until, $3::timestamptz) ELSE e.backlog_until END
FROM unnest($1::uuid[], $2::boolean[]) AS w (id, is_back)
WHERE e.id = w.id AND e.failing_since IS NOT NULL
"""

_FAILS = """
UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, $2), backlog = nullif(backlog, 'hurry'),
    backlog_until = CASE WHEN backlog = 'hurry' THEN NULL ELSE backlog_until END
WHERE id = ANY($1::uuid[]) AND (failing_since IS NULL OR backlog = 'hurry')
"""

_GIVE_UP = """
UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = 'failing', updated_at = $2
WHERE id = ANY($1::uuid[]) AND status = 'enabled'
RETURNING id, merchant_id, disabled_reason, failing_since
"""

# Not where the merchant has named another URL meanwhile: the old one may well be gone.
_DISABLE_GONE = """
UPDATE webhook_endpoints AS e SET status = 'disabled', disabled_reason = 'gone', updated_at = $3
FROM unnest($1::uuid[], $2::text[]) AS w (id, url)
WHERE e.id = w.id AND e.url = w.url AND e.status = 'enabled'
RETURNING e.id, e.merchant_id, e.disabled_reason, e.failing_since
"""

_BACKLOGS = """
SELECT id, backlog, backlog_until, status = 'deleted' AND updated_at > now() - interval '1 minute'
FROM webhook_endpoints WHERE backlog IS NOT NULL ORDER BY id LIMIT $1
"""

_HURRY = """
UPDATE webhook_deliveries SET scheduled_at = coalesce(scheduled_at, next_try_at), next_try_at = now()
WHERE (id, merchant_id) IN (
    SELECT d.id, d.merchant_id FROM webhook_deliveries AS d
    WHERE d.endpoint_id = $1 AND d.next_try_at > now() AND d.lease_until IS NULL AND d.created_at <= $2
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
"""

_TO_CANCEL = """
SELECT id, merchant_id, endpoint_id, ordering_id FROM webhook_deliveries
WHERE endpoint_id = $1 AND status = 'pending' AND created_at <= $2
ORDER BY endpoint_id, ordering_id LIMIT $3
"""

_OUTLIVED = """
SELECT d.id, d.merchant_id, d.endpoint_id, d.ordering_id FROM webhook_deliveries AS d
INNER JOIN webhook_endpoints AS e ON e.id = d.endpoint_id AND e.merchant_id = d.merchant_id
WHERE d.id < $1 AND d.status = 'pending' AND d.created_at < $2 AND e.status <> 'enabled' ORDER BY d.id LIMIT $3
"""

_CANCEL = """
UPDATE webhook_deliveries AS d SET status = 'canceled', next_try_at = NULL, scheduled_at = NULL, lease_until = NULL,
    manual = false, settled_at = now()
FROM unnest($1::uuid[], $2::uuid[]) AS w (id, merchant_id)
WHERE d.id = w.id AND d.merchant_id = w.merchant_id AND d.status = 'pending'
    AND (d.lease_until IS NULL OR d.lease_until < now())
RETURNING d.id
"""

_BACKLOG_DONE = """
UPDATE webhook_endpoints SET backlog = NULL, backlog_until = NULL WHERE id = $1 AND backlog = $2 AND backlog_until = $3
"""

_EXPIRED = """
SELECT id, merchant_id FROM webhook_deliveries WHERE id < $1 AND settled_at < $2 ORDER BY id LIMIT $3 FOR UPDATE
"""
_DELETE_TRIES = "DELETE FROM webhook_tries WHERE delivery_id = ANY($1::uuid[])"
_DELETE = """
DELETE FROM webhook_deliveries AS d USING unnest($1::uuid[], $2::uuid[]) AS w (id, merchant_id)
WHERE d.id = w.id AND d.merchant_id = w.merchant_id
"""

Queued = tuple[UUID, UUID, UUID, UUID]
"""A delivery by (id, merchant, endpoint, ordering)."""


async def lock_orderings(transaction: Transaction, ordering_ids: Iterable[UUID]) -> None:
    """Wait for whoever makes, settles or puts back deliveries of the same payments, and make such wait for us.

    In one order for all, before any row is touched: nobody can wait in a circle.
    """
    keys = sorted({_lock_key(ordering_id) for ordering_id in ordering_ids})
    await transaction.connection.execute(_LOCK, keys)


async def any_endpoint(connection: Connection) -> bool:
    """Whether any merchant has an endpoint."""
    return await connection.fetchval(_ANY_ENDPOINT)


async def wanting(connection: Connection, merchant_ids: Sequence[UUID]) -> Sequence[Row]:
    """The merchants' endpoints: (id, merchant, event types, created_at)."""
    return await connection.fetch(_WANTING, merchant_ids)


async def events(connection: Connection, keys: Sequence[tuple[UUID, UUID]]) -> Sequence[Row]:
    """Events by (id, merchant), as the outbox makes envelopes of them."""
    event_ids, merchant_ids = zip(*keys, strict=True)
    return await connection.fetch(_EVENTS, event_ids, merchant_ids)


async def insert(
    transaction: Transaction,
    rows: Sequence[tuple[UUID, UUID, UUID, UUID, str, UUID, int, int]],
    *,
    manual: bool = False,
) -> None:
    """New deliveries: (id, merchant, endpoint, event, type, ordering, tx, position). None of them is due yet."""
    await transaction.connection.execute(_INSERT, *zip(*rows, strict=True), manual, transaction.now)


async def promote(transaction: Transaction, groups: Iterable[tuple[UUID, UUID]]) -> int:
    """Make the first of each group (endpoint, ordering) due, where it waits; how many that were."""
    endpoint_ids, ordering_ids = zip(*sorted(set(groups)), strict=True)
    return len(await transaction.connection.fetch(_PROMOTE, endpoint_ids, ordering_ids, transaction.now))


async def demote(transaction: Transaction, groups: Iterable[tuple[UUID, UUID]]) -> None:
    """What is not the first of its group waits again."""
    endpoint_ids, ordering_ids = zip(*sorted(set(groups)), strict=True)
    await transaction.connection.execute(_DEMOTE, endpoint_ids, ordering_ids)


async def requeue(transaction: Transaction, keys: Sequence[tuple[UUID, UUID]], *, manual: bool) -> set[UUID]:
    """Put settled deliveries (id, merchant) back, with their whole schedule before them; which ones that were."""
    delivery_ids, merchant_ids = zip(*sorted(keys), strict=True)
    rows = await transaction.connection.fetch(_REQUEUE, delivery_ids, merchant_ids, manual)
    return {row[0] for row in rows}


async def bring_forward(transaction: Transaction, delivery_id: UUID, merchant_id: UUID) -> bool:
    """Try a waiting delivery now; False where it waits behind another, or is being tried."""
    status = await transaction.connection.execute(_BRING_FORWARD, delivery_id, merchant_id, transaction.now)
    return status == "UPDATE 1"


async def is_in_flight(connection: Connection, delivery_id: UUID, merchant_id: UUID) -> bool:
    """Whether somebody tries the delivery."""
    return bool(await connection.fetchval(_IS_IN_FLIGHT, delivery_id, merchant_id))


async def with_something_due(connection: Connection, after: UUID, limit: int) -> list[UUID]:
    """Enabled endpoints behind `after` for which something is due."""
    return [row[0] for row in await connection.fetch(_WITH_SOMETHING_DUE, after, limit)]


async def asked_for(connection: Connection, limit: int) -> list[UUID]:
    """Disabled endpoints for which a person wants something tried."""
    return [row[0] for row in await connection.fetch(_ASKED_FOR, limit)]


async def lock_endpoints(transaction: Transaction, endpoint_ids: Sequence[UUID]) -> Sequence[Row]:
    """Endpoints that no other worker serves at this moment: (id, status, is failing, url, key, sealed, in flight)."""
    return await transaction.connection.fetch(_LOCK_ENDPOINTS, sorted(endpoint_ids))


async def claim(
    transaction: Transaction, shares: Sequence[tuple[UUID, int, bool]], lease_s: float
) -> Sequence[Claimed]:
    """Lease at most so many due deliveries of each endpoint (id, how many, only those asked for)."""
    endpoint_ids, most, only_manual = zip(*sorted(shares), strict=True)
    rows = await transaction.connection.fetch(_CLAIM, endpoint_ids, most, only_manual, lease_s)
    return [Claimed(*row) for row in rows]


async def insert_tries(transaction: Transaction, tried: "Sequence[Tried]") -> None:
    """Write down what was tried; once, however often it is said."""
    await transaction.connection.execute(
        _INSERT_TRIES,
        [t.made.id for t in tried],
        [t.claimed.merchant_id for t in tried],
        [t.claimed.id for t in tried],
        [t.made.status for t in tried],
        [t.made.error for t in tried],
        [t.made.answer for t in tried],
        [t.made.latency_ms for t in tried],
        [t.claimed.manual for t in tried],
        [t.made.tried_at for t in tried],
    )


async def settle(transaction: Transaction, settled: "Sequence[Settled]") -> set[UUID]:
    """Write how deliveries stand after a try, and end their lease; those whose lease was still that of the try."""
    ordered = sorted(settled, key=lambda s: s.claimed.id)
    rows = await transaction.connection.fetch(
        _SETTLE,
        [s.claimed.id for s in ordered],
        [s.claimed.merchant_id for s in ordered],
        [s.claimed.lease_until for s in ordered],
        [s.standing.status for s in ordered],
        [s.standing.tries for s in ordered],
        [s.standing.next_try_at for s in ordered],
        transaction.now,
    )
    return {row[0] for row in rows}


async def health(connection: Connection, endpoint_ids: Iterable[UUID]) -> dict[UUID, datetime | None]:
    """Since when endpoints fail; None while they do not."""
    return {row[0]: row[1] for row in await connection.fetch(_HEALTH, sorted(endpoint_ids))}


async def answered(transaction: Transaction, endpoints: Sequence[tuple[UUID, bool]]) -> None:
    """These endpoints (id, is back after a while) do not fail any more."""
    endpoint_ids, are_back = zip(*sorted(endpoints), strict=True)
    await transaction.connection.execute(_ANSWERED, endpoint_ids, are_back, transaction.now)


async def fails(transaction: Transaction, endpoint_ids: Sequence[UUID]) -> None:
    """These endpoints fail, since now or longer; what was to be hurried for them is not."""
    await transaction.connection.execute(_FAILS, sorted(endpoint_ids), transaction.now)


async def give_up(transaction: Transaction, endpoint_ids: Sequence[UUID]) -> Sequence[Row]:
    """Disable endpoints because they fail; those that were enabled: (id, merchant, reason, failing since)."""
    return await transaction.connection.fetch(_GIVE_UP, sorted(endpoint_ids), transaction.now)


async def disable_gone(transaction: Transaction, endpoints: Iterable[tuple[UUID, str]]) -> Sequence[Row]:
    """Disable endpoints (id, URL) that want no more; those that were enabled: (id, merchant, reason, failing since)."""
    endpoint_ids, urls = zip(*sorted(endpoints), strict=True)
    return await transaction.connection.fetch(_DISABLE_GONE, endpoint_ids, urls, transaction.now)


async def backlogs(connection: Connection, limit: int) -> Sequence[Row]:
    """Endpoints with a backlog to see to: (id, what to do, until when, deleted just now)."""
    return await connection.fetch(_BACKLOGS, limit)


async def hurry(connection: Connection, endpoint_id: UUID, until: datetime, limit: int) -> int:
    """Have deliveries tried now that would be tried later; how many."""
    return _count(await connection.execute(_HURRY, endpoint_id, until, limit))


async def to_cancel(connection: Connection, endpoint_id: UUID, until: datetime, limit: int) -> list[Queued]:
    """Deliveries that wait for an endpoint since before `until`."""
    return [(row[0], row[1], row[2], row[3]) for row in await connection.fetch(_TO_CANCEL, endpoint_id, until, limit)]


async def outlived(connection: Connection, id_below: UUID, created_before: datetime, limit: int) -> list[Queued]:
    """Deliveries that have waited for too long for an endpoint that is not enabled."""
    rows = await connection.fetch(_OUTLIVED, id_below, created_before, limit)
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def cancel(transaction: Transaction, keys: Sequence[tuple[UUID, UUID]]) -> int:
    """Cancel waiting deliveries (id, merchant) that nobody tries at this moment; how many."""
    delivery_ids, merchant_ids = zip(*sorted(keys), strict=True)
    return len(await transaction.connection.fetch(_CANCEL, delivery_ids, merchant_ids))


async def backlog_done(connection: Connection, endpoint_id: UUID, backlog: str, until: datetime) -> None:
    """The backlog was seen to, unless it is another one by now."""
    await connection.execute(_BACKLOG_DONE, endpoint_id, backlog, until)


async def expire(transaction: Transaction, id_below: UUID, settled_before: datetime, limit: int) -> int:
    """Delete old deliveries with their tries; how many."""
    rows = await transaction.connection.fetch(_EXPIRED, id_below, settled_before, limit)
    if rows:
        delivery_ids, merchant_ids = zip(*rows, strict=True)
        await transaction.connection.execute(_DELETE_TRIES, delivery_ids)
        await transaction.connection.execute(_DELETE, delivery_ids, merchant_ids)
    return len(rows)


def _lock_key(ordering_id: UUID) -> int:
    """63 of the id's random bits, as PostgreSQL's bigint."""
    return ((ordering_id.int & ((1 << 64) - 1)) ^ _LOCK_SPACE) - (1 << 63)


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
