"""Tells every sink every event: in order per payment, at least once, by any number of processes.

Events are in shards, and each sink has a cursor per shard. A relay leases free shards of a sink, reads what lies above
their cursors and below every open transaction, publishes it, and moves the cursors while its lease holds. It stops
publishing before the lease can end; should a stopped process wake up later all the same, what it still sends was sent
by its successor, in the same order. What fails backs off by itself, per sink and shard.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import cast
from uuid import UUID, uuid4

import msgspec

from bezant.base.db import Database, DatabaseLost, Row
from bezant.base.failpoints import reach
from bezant.base.log import logger, redact_text
from bezant.outbox import store
from bezant.outbox.append import SHARDS
from bezant.outbox.envelope import envelope
from bezant.outbox.metrics import RelayMetrics
from bezant.sinks.contract import Selective, Sink, SinkUnavailable

_log = logger(__name__)


class RelayTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How shards are shared out and how long things may take.

    `margin_s` of the lease are left for moving the cursor, and for clocks that run at different speeds.
    """

    lease_s: float = 15.0
    margin_s: float = 4.0
    publish_max_s: float = 10.0
    shards_max: int = 8
    events_max: int = 256
    back_off_s: tuple[float, float] = (0.5, 10.0)
    gather_s: float = 0.05
    listeners_every_s: float = 1.0
    database_pause_s: float = 1.0


class _Told(msgspec.Struct, frozen=True):
    """The events of one shard on their way: where the cursor goes, and why it does not."""

    shard: int
    rows: Sequence[Row]
    failure: str | None = None

    def place(self) -> tuple[int, int, int, UUID, int]:
        """The shard, the last event's (tx, position, id), and how many there are."""
        last = self.rows[-1]
        return self.shard, last[5], last[6], last[1], len(self.rows)


class Relay:
    """Tells the sinks. Each sink's rounds run one after the other; sinks do not wait for each other."""

    def __init__(
        self, database: Database, sinks: Sequence[Sink], metrics: RelayMetrics, terms: RelayTerms | None = None
    ) -> None:
        self.sinks = {sink.name: sink for sink in sinks}
        self._database = database
        self._metrics = metrics
        self._terms = terms or RelayTerms()
        self._holder = uuid4()
        self._wakes = {name: asyncio.Event() for name in self.sinks}
        self._has_cursors = False
        self._heard: dict[str, tuple[float, bool]] = {}

    def wake(self) -> None:
        """There is something new to tell: called after a commit of events."""
        for event in self._wakes.values():
            event.set()

    def wake_of(self, sink: str) -> asyncio.Event:
        """What is set when there is something to tell to this sink."""
        return self._wakes[sink]

    async def run(self, sink: Sink) -> int:
        """One round for a sink; how many events it has taken. Where more is known to wait, its wake is set.

        While the database is away this only waits a moment: what was published and not settled is told again.
        """
        try:
            return await self._round(sink)
        except DatabaseLost as error:
            _log.warning("relay_database_lost", sink=sink.name, reason=redact_text(str(error)))
            await asyncio.sleep(self._terms.database_pause_s)
            return 0

    async def _round(self, sink: Sink) -> int:
        if isinstance(sink, Selective) and not await self._is_heard(sink, sink):
            return 0
        began = time.monotonic()
        taken = await self._take(sink)
        if not taken:
            await asyncio.sleep(self._terms.gather_s)  # what it was woken for may be hidden by an open transaction
            return 0
        give_up_at = began + min(self._terms.lease_s - self._terms.margin_s, self._terms.publish_max_s)
        told = await asyncio.gather(*(self._publish(sink, shard, rows, give_up_at) for shard, rows in taken))
        count = await self._settle(sink, told)
        if any(len(rows) == self._terms.events_max for _, rows in taken) or len(taken) == self._terms.shards_max:
            self._wakes[sink.name].set()
        else:
            await asyncio.sleep(self._terms.gather_s)  # so that many small commits are told in one round
        return count

    async def close(self) -> None:
        """After the last round: give back what is still held, so that others go on at once, and hang up."""
        try:
            async with self._database.connection(self._terms.margin_s) as connection:
                await store.release(connection, self._holder)
        except Exception:  # the leases end by themselves
            _log.warning("relay_not_released", exc_info=True)
        await asyncio.gather(*(sink.close() for sink in self.sinks.values()), return_exceptions=True)

    async def _is_heard(self, sink: Sink, listeners: Selective) -> bool:
        """Whether anybody listens, asked now and then; where nobody does, what was said until now passes by.

        What is passed by is fixed before the listeners are looked for: who comes in between misses nothing.
        """
        now = time.monotonic()
        asked_at, is_heard = self._heard.get(sink.name, (-math.inf, False))
        if now < asked_at + self._terms.listeners_every_s:
            return is_heard
        await self._make_cursors()
        async with self._database.connection() as connection:
            last = await store.last_events(connection, SHARDS)
        is_heard = await listeners.is_heard()
        if last and not is_heard:
            async with self._database.connection() as connection:
                await store.pass_by(connection, sink.name, last)
        self._heard[sink.name] = (now, is_heard)
        return is_heard

    async def _make_cursors(self) -> None:
        if not self._has_cursors:
            async with self._database.connection() as connection:
                await store.make_cursors(connection, list(self.sinks), SHARDS)
            self._has_cursors = True

    async def _take(self, sink: Sink) -> list[tuple[int, list[Row]]]:
        """Lease shards and read what they have to tell."""
        terms = self._terms
        await self._make_cursors()
        async with self._database.transaction() as transaction:
            cursors = await store.take_shards(transaction, sink.name, self._holder, terms.shards_max, terms.lease_s)
            rows = await store.untold(transaction, cursors, terms.events_max) if cursors else ()
        return [(cast(int, shard), list(group)) for shard, group in groupby(rows, itemgetter(0))]

    async def _publish(self, sink: Sink, shard: int, rows: Sequence[Row], give_up_at: float) -> _Told:
        envelopes = [envelope(row[1:]) for row in rows]
        try:
            async with asyncio.timeout(max(0.0, give_up_at - time.monotonic())):
                reach("relay.before_publish", (sink.name,))
                await sink.publish(envelopes)
                reach("relay.after_publish", (sink.name,))
        except SinkUnavailable as unavailable:
            return _Told(shard, rows, str(unavailable) or "not acknowledged")
        except TimeoutError:
            return _Told(shard, rows, "not acknowledged in time")
        except Exception as error:  # a sink's fault is its own: it backs off, the others go on
            _log.exception("relay_sink_failed", sink=sink.name, shard=shard)
            return _Told(shard, rows, f"{type(error).__name__}: {error}")
        return _Told(shard, rows)

    async def _settle(self, sink: Sink, told: Sequence[_Told]) -> int:
        """Move the cursors of what was acknowledged; let the rest wait. How many events were told."""
        done = [each.place() for each in told if each.failure is None]
        kept: set[int] = set()
        reach("relay.before_commit", (sink.name,))
        if done:
            async with self._database.statement() as connection:
                kept = {row[0] for row in await store.advance(connection, sink.name, self._holder, done)}
        for each in told:
            if each.failure is not None:
                async with self._database.statement() as connection:
                    reason = redact_text(each.failure)
                    await store.back_off(
                        connection, sink.name, self._holder, [each.shard], reason, self._terms.back_off_s
                    )
        reach("relay.after_commit", (sink.name,))
        return self._report(sink, told, kept)

    def _report(self, sink: Sink, told: Sequence[_Told], kept: set[int]) -> int:
        failed = [each for each in told if each.failure is not None]
        lost = [each.shard for each in told if each.failure is None and each.shard not in kept]
        count = sum(len(each.rows) for each in told if each.shard in kept)
        self._metrics.told(sink.name, count, len(failed))
        if failed:
            reason = redact_text(failed[0].failure or "")
            _log.warning("relay_failed", sink=sink.name, shards=[each.shard for each in failed], reason=reason)
        if lost:
            _log.warning("relay_lease_lost", sink=sink.name, shards=lost)
        return count
