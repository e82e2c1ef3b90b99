"""The sink of the relay: makes a delivery of each event for each endpoint that wants it.

Its acknowledgement is a commit. A batch that is given again makes nothing new: a delivery's id is derived from event
and endpoint. An endpoint hears of what happens after it was made; disabled, its deliveries wait.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Database, DatabaseError, Row, Transaction
from bezant.base.failpoints import reach
from bezant.sinks.contract import Envelope, SinkUnavailable
from bezant.webhooks.delivery import store
from bezant.webhooks.rules import TEST_EVENT, wants

_Delivery = tuple[UUID, UUID, UUID, UUID, str, UUID, int, int]


class FanOut:
    """Makes deliveries. `wake` is set when there are new ones.

    `again`: for sending history once more. Also endpoints that were made later get it, and what was delivered is put
    back.
    """

    def __init__(self, database: Database, wake: asyncio.Event | None = None, *, again: bool = False) -> None:
        self._database = database
        self._wake = wake
        self._again = again

    @property
    def name(self) -> str:
        """That of its cursors and metrics."""
        return "webhooks"

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Make the deliveries of a batch, all or none. Raises SinkUnavailable."""
        keys = [key for envelope in envelopes if envelope.type != TEST_EVENT and (key := _key(envelope)) is not None]
        if not keys:
            return
        try:
            made = await self._deliveries(keys)
        except DatabaseError as error:
            raise SinkUnavailable(str(error)) from error
        if made and self._wake is not None:
            self._wake.set()

    async def is_heard(self) -> bool:
        """Whether there is any endpoint, be it disabled."""
        async with self._database.connection() as connection:
            return await store.any_endpoint(connection)

    async def close(self) -> None:
        """There is nothing to finish: what was acknowledged is committed."""

    async def _deliveries(self, keys: Sequence[tuple[UUID, UUID]]) -> int:
        async with self._database.connection() as connection:
            endpoints = await store.wanting(connection, sorted({merchant_id for _, merchant_id in keys}))
            if not endpoints:
                return 0
            merchants = {row[1] for row in endpoints}
            events = await store.events(connection, [key for key in keys if key[1] in merchants])
        rows = self._wanted(events, endpoints)
        if not rows:
            return 0
        async with self._database.transaction() as transaction:
            await self._write(transaction, rows)
            reach("fan_out.before_commit")
        reach("fan_out.after_commit")
        return len(rows)

    def _wanted(self, events: Sequence[Row], endpoints: Sequence[Row]) -> list[_Delivery]:
        """A delivery for each event and each endpoint that wants it."""
        of_merchant: dict[UUID, list[Row]] = defaultdict(list)
        for row in endpoints:
            of_merchant[row[1]].append(row)
        rows: list[_Delivery] = []
        for event_id, merchant_id, payment_id, kind, tx, position, _, created_at in events:
            for endpoint_id, _, event_types, made_at in of_merchant[merchant_id]:
                if wants(event_types, kind) and (self._again or created_at >= made_at):
                    delivery_id = delivery_id_of(event_id, endpoint_id)
                    ordering_id = payment_id or event_id
                    rows.append((delivery_id, merchant_id, endpoint_id, event_id, kind, ordering_id, tx, position))
        return rows

    async def _write(self, transaction: Transaction, rows: Sequence[_Delivery]) -> None:
        await store.lock_orderings(transaction, (row[5] for row in rows))
        await store.insert(transaction, rows)
        groups = {(row[2], row[5]) for row in rows}
        if self._again:
            await store.requeue(transaction, [(row[0], row[1]) for row in rows], manual=False)
            await store.demote(transaction, groups)
        await store.promote(transaction, groups)


def delivery_id_of(event_id: UUID, endpoint_id: UUID) -> UUID:
    """The one delivery of an event to an endpoint."""
    return ids.derived(event_id, event_id.hex, endpoint_id.hex)


def _key(envelope: Envelope) -> tuple[UUID, UUID] | None:
    event_id, merchant_id = ids.parse(ids.EVENT, envelope.event_id), ids.parse(ids.MERCHANT, envelope.merchant_id)
    return None if event_id is None or merchant_id is None else (event_id, merchant_id)
