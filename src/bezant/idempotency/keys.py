"""The public face of the folder: claim keys, keep replies, let keys go, in the caller's transaction."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from bezant.base.db import Connection, Database, Transaction
from bezant.idempotency import store
from bezant.idempotency.claims import Claim, Claimed, Keep

_EXPIRE_BATCH = 5_000


async def claim_keys(transaction: Transaction, claims: Sequence[Claim]) -> set[UUID]:
    """Claim what is free, in key order.

    The ids that are now ours. Waits for another transaction claiming the same key.
    """
    return await store.claim(transaction, claims)


async def claimed_keys(connection: Connection, keys: Sequence[tuple[UUID, UUID]]) -> dict[UUID, Claimed]:
    """The keys, given as (id, merchant), that were claimed before, by id."""
    return await store.claimed(connection, keys)


async def keep_replies(transaction: Transaction, kept: Sequence[Keep]) -> None:
    """From now on these keys replay their reply, or show the current state. What was stored already stands."""
    if kept:
        await store.keep(transaction, kept)


async def forget_keys(transaction: Transaction, keys: Sequence[tuple[UUID, UUID]]) -> None:
    """Give claims back whose command was never let in."""
    if keys:
        await store.forget(transaction, keys)


async def expire_keys(database: Database, retention_days: int) -> int:
    """Delete the keys past their retention, in small transactions; how many."""
    deleted = 0
    while True:
        async with database.connection() as connection:
            batch = await store.expire(connection, timedelta(days=retention_days), _EXPIRE_BATCH)
        deleted += batch
        if batch < _EXPIRE_BATCH:
            return deleted
