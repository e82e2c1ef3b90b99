"""Tells a sink again what it was told before: history for a receiver that has lost it or is new behind the sink.

Only what lies below the sink's cursors is sent, in order per payment and with the same event ids, so that a receiver
that drops repeats is not disturbed. The relay goes on meanwhile.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from bezant.base.db import Database, Row
from bezant.outbox import store
from bezant.outbox.append import SHARDS
from bezant.outbox.envelope import envelope
from bezant.sinks.contract import Sink, SinkUnavailable

_PAGE = 500
_TRIES = 5
_PAUSE_S = 1.0
_LOWEST = UUID(int=0)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events: created from `created_from` to before `created_to`, of these types (`payment.*` means all of the
    kind), of one merchant."""

    created_from: datetime
    created_to: datetime
    types: Sequence[str] = ()
    merchant_id: UUID | None = None

    def patterns(self) -> list[str] | None:
        """The types as the database compares them; None for all."""
        escaped = [kind.replace("\\", r"\\").replace("_", r"\_").replace("%", r"\%") for kind in self.types]
        return [kind.removesuffix("*") + "%" if kind.endswith(".*") else kind for kind in escaped] or None


class Progress(msgspec.Struct):
    """How many of how many events were acknowledged."""

    sent: int
    total: int


async def replay(
    database: Database, sink: Sink, wanted: Wanted, progress: Callable[[Progress], None], pause_s: float = _PAUSE_S
) -> Progress:
    """Publish them. Raises SinkUnavailable where the sink does not take them after some tries; it may be run again.

    `pause_s` lie between the first two tries, more between later ones.
    """
    created, patterns = (wanted.created_from, wanted.created_to), wanted.patterns()
    async with database.connection() as connection:
        total, first_tx, last_tx = await store.told_range(connection, sink.name, created, patterns, wanted.merchant_id)
    state = Progress(0, total)
    progress(state)
    for shard in range(SHARDS) if total else ():
        after: store.Place = (first_tx, -1, _LOWEST)
        while True:
            async with database.connection() as connection:
                rows = await store.told_page(
                    connection, sink.name, created, patterns, wanted.merchant_id, shard, after, last_tx, _PAGE
                )
            if not rows:
                break
            await _publish(sink, rows, pause_s)
            after = (rows[-1][4], rows[-1][5], rows[-1][0])
            state.sent += len(rows)
            progress(state)
    return state


async def _publish(sink: Sink, rows: Sequence[Row], pause_s: float) -> None:
    envelopes = [envelope(row) for row in rows]
    for tried in range(1, _TRIES + 1):
        try:
            async with asyncio.timeout(30):
                await sink.publish(envelopes)
        except (SinkUnavailable, TimeoutError) as error:
            if tried == _TRIES:
                raise SinkUnavailable(str(error) or "not acknowledged in time") from error
            await asyncio.sleep(pause_s * tried)
        else:
            return
