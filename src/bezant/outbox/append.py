"""Appends events in the caller's transaction."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Transaction
from bezant.outbox import store

SHARDS = 16
"""Into how many shards events are spread; those of one payment are in one."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A change that has happened, in the past tense.

    Events are read in the order of (tx, position, id). `tx` is the transaction's xid; where another transaction with a
    higher xid wrote to the same payment before, it is that one's, and `position` comes after its last event.
    """

    merchant_id: UUID
    payment_id: UUID
    type: str
    tx: int
    position: int
    data: bytes


async def append(transaction: Transaction, events: Sequence[Event]) -> None:
    """Insert the events in the order given. One statement."""
    if events:
        event_ids = [ids.child_of(event.payment_id) for event in events]
        shards = [event.payment_id.int % SHARDS for event in events]
        await store.insert_events(transaction, event_ids, shards, events)
