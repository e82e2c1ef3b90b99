"""Writes down what became of tries: the log, how each delivery stands, the next one of its payment, the endpoint."""

import random
from collections.abc import Sequence
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Database, Row, Transaction
from bezant.base.failpoints import reach
from bezant.base.log import logger
from bezant.outbox.append import Event, append
from bezant.webhooks.delivery import store
from bezant.webhooks.rules import Standing, after_try, is_back, is_given_up, is_gone, is_success
from bezant.webhooks.states import Claimed, DeliveryStatus, Try

_Group = tuple[UUID, UUID]

_log = logger(__name__)


class Tried(msgspec.Struct, frozen=True):
    """A delivery that was leased, and the try that was made at `url`, which may not be the endpoint's any more."""

    claimed: Claimed
    url: str
    made: Try

    @property
    def succeeded(self) -> bool:
        """Whether the merchant's server took the event."""
        return is_success(self.made.status)


class Settled(msgspec.Struct, frozen=True):
    """A delivery that was leased, and how it stands now."""

    claimed: Claimed
    standing: Standing


class Record:
    """One transaction over tries. It recognises what it has committed before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, tried: Sequence[Tried]) -> Sequence[None]:
        async with self._database.transaction() as transaction:
            await store.lock_orderings(transaction, (t.claimed.ordering_id for t in tried))
            await store.insert_tries(transaction, tried)
            settled = [Settled(t.claimed, self._standing(transaction, t)) for t in tried]
            await store.settle(transaction, settled)
            waiting, over = _groups(settled)
            if waiting:  # one before it may have been put back while it was tried
                await store.demote(transaction, waiting)
            if over:
                await store.promote(transaction, over)
            await self._judge(transaction, tried)
            reach("webhooks.before_commit")
        reach("webhooks.after_commit")
        return [None] * len(tried)

    def _standing(self, transaction: Transaction, tried: Tried) -> Standing:
        claimed = tried.claimed
        spread = random.random()  # noqa: S311 - spread, not secret
        made = tried.made
        return after_try(
            claimed.tries, claimed.scheduled_at, tried.succeeded, transaction.now, spread, made.retry_after
        )

    async def _judge(self, transaction: Transaction, tried: Sequence[Tried]) -> None:
        """Note which endpoints answer and which fail; disable those that are gone or have failed for too long."""
        now = transaction.now
        answering = {t.claimed.endpoint_id for t in tried if t.succeeded}
        failing = {t.claimed.endpoint_id for t in tried} - answering
        since = await store.health(transaction.connection, answering | failing)
        recovered = [(e, is_back(since[e], now)) for e in answering if since.get(e) is not None]
        if recovered:
            await store.answered(transaction, recovered)
        fallen = [e for e in failing if e in since and since[e] is None]
        if fallen:
            await store.fails(transaction, fallen)
        disabled: list[Row] = []
        gone = {(t.claimed.endpoint_id, t.url) for t in tried if is_gone(t.made.status)}
        if gone:
            disabled += await store.disable_gone(transaction, gone)
        given_up = [e for e in failing if is_given_up(since.get(e), now)]
        if given_up:
            disabled += await store.give_up(transaction, given_up)
        await self._tell(transaction, disabled)

    async def _tell(self, transaction: Transaction, disabled: Sequence[Row]) -> None:
        events: list[Event] = []
        for position, (endpoint_id, merchant_id, reason, failing_since) in enumerate(disabled):
            shown = ids.show(ids.WEBHOOK_ENDPOINT, endpoint_id)
            data = {"webhook_endpoint_id": shown, "reason": reason, "failing_since": failing_since}
            events.append(
                Event(
                    merchant_id=merchant_id,
                    payment_id=None,
                    type="webhook_endpoint.disabled",
                    tx=transaction.xid,
                    position=position,
                    data=msgspec.json.encode(data),
                )
            )
            _log.warning(
                "webhook_endpoint_disabled", webhook_endpoint_id=shown, reason=reason, failing_since=failing_since
            )
        await append(transaction, events)


def _groups(settled: Sequence[Settled]) -> tuple[list[_Group], list[_Group]]:
    """The groups (endpoint, ordering) of what will be tried again, and of what is over."""
    found: tuple[list[_Group], list[_Group]] = [], []
    for one in settled:
        is_over = one.standing.status is not DeliveryStatus.PENDING
        found[is_over].append((one.claimed.endpoint_id, one.claimed.ordering_id))
    return found
