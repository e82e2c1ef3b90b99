"""Appends events in the caller's transaction."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Transaction
from bezant.outbox import store

SHARDS = 16
"""Into how many shards events are spread; those of one payment are in one, as are those of a merchant that are of no
payment."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A change that has happened, in the past tense.

    Events are read in the order of (tx, position, id). `tx` is the transaction's xid; where another transaction with a
    higher xid wrote to the same payment before, it is that one's, and `position` comes after its last event. What is of
    no payment is in the order of its transactions.
    """

    merchant_id: UUID
    payment_id: UUID | None
    type: str
    tx: int
    position: int
    data: bytes


async def append(transaction: Transaction, events: Sequence[Event]) -> None:
    """Insert the events in the order given. One statement.

    Whoever commits wakes the relay (`Relay.wake`); else it looks by itself some time later.
    """
    if events:
        event_ids = [ids.new_id() if e.payment_id is None else ids.child_of(e.payment_id) for e in events]
        shards = [shard_of(event.merchant_id, event.payment_id) for event in events]
        await store.insert_events(transaction, event_ids, shards, events)


def shard_of(merchant_id: UUID, payment_id: UUID | None) -> int:
    """Where the events of a payment are, or those of a merchant that are of no payment."""
    return (merchant_id if payment_id is None else payment_id).int % SHARDS
