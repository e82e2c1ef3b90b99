"""Takes what is due, sends it, has written down what became of it.

Any number of processes may do so. What a process takes it leases; nothing is sent once the lease could end before the
answer. However slow a merchant's server is, it holds only its own few slots.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.batch import Batcher
from bezant.base.db import Database, DatabaseError, Row
from bezant.base.failpoints import reach
from bezant.base.log import logger
from bezant.base.sealed import SealBroken, Sealer
from bezant.outbox.envelope import envelope
from bezant.webhooks.delivery import store
from bezant.webhooks.delivery.metrics import DeliveryMetrics
from bezant.webhooks.delivery.record import Tried
from bezant.webhooks.rules import IN_FLIGHT_MAX, Candidate, shares
from bezant.webhooks.secrets import open_secrets
from bezant.webhooks.send import ANSWER_WAIT_S, Sender
from bezant.webhooks.sign import signed_headers, valid
from bezant.webhooks.states import Claimed, EndpointStatus

LEASE_MARGIN_S: Final = 5.0
_CANDIDATES_MAX: Final = 512
_SLOW_S: Final = 2.0
_REMEMBERED_MAX: Final = 10_000
_BEFORE_ALL: Final = UUID(int=0)

_log = logger(__name__)


class _Order(msgspec.Struct, frozen=True):
    """A leased delivery with what it takes to send it."""

    claimed: Claimed
    url: str
    key_id: str
    sealed: bytes
    event_id: str
    body: bytes
    is_failing: bool


class _Began(msgspec.Struct, frozen=True):
    """A request in flight: where to, since when on the monotonic clock, and whether that endpoint was failing."""

    endpoint_id: UUID
    at_s: float
    is_failing: bool


class Deliverer:
    """Delivers until it is drained. `wake` is set when there may be something due."""

    def __init__(
        self,
        database: Database,
        sender: Sender,
        sealer: Sealer,
        record: Batcher[Tried, None],
        metrics: DeliveryMetrics,
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._sender = sender
        self._sealer = sealer
        self._record = record
        self._metrics = metrics
        self._lease_s = sender.timeout_s + ANSWER_WAIT_S + LEASE_MARGIN_S
        self._tasks: dict[asyncio.Task[None], _Began] = {}
        self._is_quick: dict[UUID, bool] = {}
        self._after = _BEFORE_ALL
        self._is_stopping = False

    async def run(self) -> int:
        """Take what is due and begin to send it; how many deliveries were begun.

        Goes on where the last run had no free slot left, so that every endpoint has its turn.
        """
        begun = 0
        while (free := IN_FLIGHT_MAX - len(self._tasks)) > 0 and not self._is_stopping:
            async with self._database.connection() as connection:
                found = await store.with_something_due(connection, self._after, _CANDIDATES_MAX)
                asked_for = await store.asked_for(connection, _CANDIDATES_MAX)
            is_last = len(found) < _CANDIDATES_MAX
            self._after = _BEFORE_ALL if is_last else found[-1]
            begun += await self._begin([*found, *asked_for], free)
            if is_last:
                break
        return begun

    async def drain(self, timeout_s: float) -> None:
        """Begin nothing more and wait for what is in flight; what does not end in time is due again after its lease."""
        self._is_stopping = True
        if self._tasks:
            _, running = await asyncio.wait(self._tasks, timeout=timeout_s)
            for task in running:
                task.cancel()
        await self._sender.close()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("webhook_delivery_failed_unexpectedly", exc_info=error)
        self._metrics.in_flight = len(self._tasks)
        self.wake.set()

    async def _begin(self, endpoint_ids: Sequence[UUID], free: int) -> int:
        if not endpoint_ids:
            return 0
        began = time.monotonic()
        orders = await self._take(endpoint_ids, free)
        if orders:
            reach("webhooks.after_claim")
        for order in orders:
            task = asyncio.create_task(self._deliver(order, began + LEASE_MARGIN_S / 2))
            self._tasks[task] = _Began(order.claimed.endpoint_id, began, order.is_failing)
            task.add_done_callback(self._ended)
        self._metrics.in_flight = len(self._tasks)
        return len(orders)

    async def _take(self, endpoint_ids: Sequence[UUID], free: int) -> list[_Order]:
        """Lease deliveries of these endpoints, each its share, and read what is to be sent."""
        async with self._database.transaction() as transaction:
            endpoints = {row[0]: row for row in await store.lock_endpoints(transaction, endpoint_ids)}
            own = Counter(began.endpoint_id for began in self._tasks.values())
            candidates = [_candidate(endpoints[e], own[e]) for e in endpoint_ids if e in endpoints]
            only_manual = {c.endpoint_id: c.only_manual for c in candidates}
            given = shares(candidates, *self._pace(), free)
            if not given:
                return []
            wanted = [(endpoint_id, share, only_manual[endpoint_id]) for endpoint_id, share in given.items()]
            claimed = await store.claim(transaction, wanted, self._lease_s)
            if not claimed:
                return []
            keys = sorted({(c.event_id, c.merchant_id) for c in claimed})
            events = {row[0]: envelope(row) for row in await store.events(transaction.connection, keys)}
        orders: list[_Order] = []
        for one in claimed:
            _, _, is_failing, url, key_id, sealed, _ = endpoints[one.endpoint_id]
            event = events[one.event_id]
            orders.append(_Order(one, url, key_id, sealed, event.event_id, event.body, is_failing))
        return orders

    async def _deliver(self, order: _Order, send_before: float) -> None:
        claimed = order.claimed
        try:
            known = open_secrets(self._sealer, claimed.endpoint_id, order.key_id, order.sealed)
        except SealBroken:  # the operator's to mend: no try is used up
            endpoint = ids.show(ids.WEBHOOK_ENDPOINT, claimed.endpoint_id)
            _log.exception("webhook_secrets_do_not_open", webhook_endpoint_id=endpoint)
            return
        if time.monotonic() > send_before:  # this process was held up: another one may have the delivery by then
            return
        now = datetime.now(UTC)
        secrets = [secret.value for secret in valid(known, now)]
        headers = signed_headers(secrets, order.event_id, int(now.timestamp()), order.body)
        made = await self._sender.post(order.url, headers, order.body)
        reach("webhooks.after_send")
        self._remember(claimed.endpoint_id, made.latency_ms)
        tried = Tried(claimed, order.url, made)
        self._metrics.tried(tried.succeeded, made.latency_ms)
        try:
            await self._record.submit(tried)
        except DatabaseError:  # not written down: it is sent again once the lease ends
            delivery = ids.show(ids.WEBHOOK_DELIVERY, claimed.id)
            _log.warning("webhook_try_not_recorded", webhook_delivery_id=delivery, exc_info=True)

    def _remember(self, endpoint_id: UUID, latency_ms: int) -> None:
        if len(self._is_quick) >= _REMEMBERED_MAX:
            self._is_quick.clear()
        self._is_quick[endpoint_id] = latency_ms < _SLOW_S * 1000

    def _pace(self) -> tuple[Mapping[UUID, bool], int]:
        """Which endpoints are quick and which slow, also by what they have not answered yet; what the weak hold."""
        slow_before = time.monotonic() - _SLOW_S
        for began in self._tasks.values():
            if began.at_s < slow_before:
                self._is_quick[began.endpoint_id] = False
        weak = sum(b.is_failing or self._is_quick.get(b.endpoint_id) is False for b in self._tasks.values())
        return self._is_quick, weak


def _candidate(row: Row, own: int) -> Candidate:
    endpoint_id, status, is_failing, _, _, _, in_flight = row
    return Candidate(endpoint_id, in_flight, own, is_failing, status == EndpointStatus.DISABLED)
