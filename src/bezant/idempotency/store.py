"""Every SQL statement about idempotency keys."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from bezant.base.db import Connection, Transaction
from bezant.idempotency.claims import Claim, Claimed, Keep, Mode

# Rows come in key order, so two processes cannot deadlock on each other's claims.
_CLAIM = """
INSERT INTO idempotency_keys (id, merchant_id, operation, idempotency_key, request_hash, claim_id, mode, payment_id,
    attempt_id, created_at)
SELECT c.id, c.merchant_id, c.operation, c.idempotency_key, c.request_hash, c.claim_id, 'in_flight', c.payment_id,
    c.attempt_id, $9
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::uuid[], $7::uuid[], $8::uuid[])
    AS c (id, merchant_id, operation, idempotency_key, request_hash, claim_id, payment_id, attempt_id)
ON CONFLICT (id, merchant_id) DO NOTHING
RETURNING id
"""

_CLAIMED = f"""
SELECT {", ".join("k." + field for field in Claimed.__struct_fields__)}
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (id, merchant_id)
INNER JOIN idempotency_keys AS k ON k.id = wanted.id AND k.merchant_id = wanted.merchant_id
"""

_KEEP = """
UPDATE idempotency_keys AS k
SET mode = r.mode, reply_status = r.reply_status, reply_body = r.reply_body
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::bytea[])
    AS r (id, merchant_id, mode, reply_status, reply_body)
WHERE k.id = r.id AND k.merchant_id = r.merchant_id AND k.mode <> 'stored'
"""

_FORGET = "DELETE FROM idempotency_keys WHERE (id, merchant_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))"

_EXPIRE = """
DELETE FROM idempotency_keys WHERE (id, merchant_id) IN (
    SELECT id, merchant_id FROM idempotency_keys
    WHERE created_at < now() - $1::interval AND (mode <> 'in_flight' OR created_at < now() - 2 * $1::interval)
    LIMIT $2
)
"""


async def claim(transaction: Transaction, claims: Sequence[Claim]) -> set[UUID]:
    """Claim what is free; the ids of the keys that are now ours.

    Waits for another transaction that claims the same key.
    """
    rows = await transaction.connection.fetch(
        _CLAIM,
        [c.id for c in claims],
        [c.merchant_id for c in claims],
        [c.operation for c in claims],
        [c.idempotency_key for c in claims],
        [c.request_hash for c in claims],
        [c.claim_id for c in claims],
        [c.payment_id for c in claims],
        [c.attempt_id for c in claims],
        transaction.now,
    )
    return {row[0] for row in rows}


async def claimed(connection: Connection, keys: Sequence[tuple[UUID, UUID]]) -> dict[UUID, Claimed]:
    """The keys (id, merchant) that somebody has claimed, by id."""
    rows = await connection.fetch(_CLAIMED, [key for key, _ in keys], [merchant_id for _, merchant_id in keys])
    return {row[0]: Claimed(*row) for row in rows}


async def keep(transaction: Transaction, kept: Sequence[Keep]) -> None:
    """Store replies, or that a repeat shall see the current state. A reply that was stored already stands."""
    in_key_order = sorted(kept, key=lambda keep: keep.id)
    await transaction.connection.execute(
        _KEEP,
        [k.id for k in in_key_order],
        [k.merchant_id for k in in_key_order],
        [Mode.CURRENT if k.reply is None else Mode.STORED for k in in_key_order],
        [None if k.reply is None else k.reply.status for k in in_key_order],
        [None if k.reply is None else k.reply.body for k in in_key_order],
    )


async def forget(transaction: Transaction, keys: Sequence[tuple[UUID, UUID]]) -> None:
    """Give claims up whose command was refused before it counted as executed."""
    await transaction.connection.execute(_FORGET, [key for key, _ in keys], [merchant_id for _, merchant_id in keys])


async def expire(connection: Connection, age: timedelta, limit: int) -> int:
    """Delete at most `limit` keys older than `age`; how many were deleted.

    One that is still in flight stays twice as long: its process died, and nobody asked again.
    """
    status = await connection.execute(_EXPIRE, age, limit)
    return int(status.rpartition(" ")[2])
