"""Events to tell, and a sink that keeps what it is told."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Database, Transaction
from bezant.outbox.append import Event, append
from bezant.sinks.contract import Envelope, SinkUnavailable
from tests.support.waiting import wait_until_async


class Author:
    """Appends events of payments, and remembers what was committed, in order."""

    def __init__(self, database: Database, merchant_id: UUID | None = None) -> None:
        self.database = database
        self.merchant_id = merchant_id or ids.new_id()
        self.said: dict[str, list[str]] = defaultdict(list)

    async def say(self, *of: UUID | None, kind: str = "payment.captured", times: int = 1) -> None:
        """In one transaction, `times` events of each payment; of None: of the merchant itself.

        Returns once they are shown: that waits for all that is open on the server, in other tests' databases too.
        """
        async with self.database.transaction() as transaction:
            await self.write(transaction, *of, kind=kind, times=times)
        await self.until_shown(transaction)

    async def until_shown(self, *transactions: Transaction) -> None:
        """Wait until no transaction is open that began before one of these ended."""
        last = max(transaction.xid for transaction in transactions)

        async def is_shown() -> bool:
            async with self.database.connection() as connection:
                xmin = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
                return await connection.fetchval(xmin) > last

        await wait_until_async(is_shown, 30)

    async def write(
        self, transaction: Transaction, *of: UUID | None, kind: str = "payment.captured", times: int = 1
    ) -> None:
        """The same in a transaction of the caller's, who commits."""
        events: list[Event] = []
        for payment_id in of * times:
            merchant = ids.show(ids.MERCHANT, self.merchant_id)
            key = merchant if payment_id is None else ids.show(ids.PAYMENT, payment_id)
            number = len(self.said[key])
            self.said[key].append(f"{key}#{number}")
            events.append(
                Event(
                    merchant_id=self.merchant_id,
                    payment_id=payment_id,
                    type=kind,
                    tx=transaction.xid,
                    position=len(events),
                    data=msgspec.json.encode({"number": number, "name": f"{key}#{number}"}),
                )
            )
        await append(transaction, events)


def names_of(bodies: Sequence[bytes]) -> dict[str, list[str]]:
    """Of each key what arrived, repeats of an event id dropped as a receiver does."""
    found: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for body in bodies:
        event: dict[str, Any] = msgspec.json.decode(body)
        if event["id"] not in seen:
            seen.add(event["id"])
            found[event["subject"]].append(event["data"]["name"])
    return found


class KeepingSink:
    """A sink in memory. While `gate` is cleared it takes nothing and waits; keys in `refused` fail."""

    def __init__(self, name: str = "kept") -> None:
        self.name = name
        self.taken: list[Envelope] = []
        self.refused: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.closed = False

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        for envelope in envelopes:
            if envelope.key in self.refused:
                raise SinkUnavailable(f"{envelope.key} is refused")
            self.taken.append(envelope)

    async def close(self) -> None:
        self.closed = True

    def bodies(self) -> list[bytes]:
        return [envelope.body for envelope in self.taken]
