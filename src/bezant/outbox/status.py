"""How far each sink has been told."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from bezant.base.db import Database
from bezant.outbox import store

COUNT_MAX = 10_000
"""Waiting events of a shard are counted up to here."""


class CursorView(msgspec.Struct, frozen=True):
    """One shard of a sink. `waiting` stops counting at COUNT_MAX; `lag_s` is the age of the oldest one waiting.

    `failures` fall by one with each success; `last_error` is gone after the first.
    """

    sink: str
    shard: int
    delivered: int
    waiting: int
    lag_s: float | None
    is_held: bool
    failures: int
    next_try_at: datetime | None
    last_error: str | None


class SinkView(msgspec.Struct, frozen=True):
    """All shards of a sink together. `failing`: how many of them back off; `last_error`: of the one that fails most."""

    sink: str
    delivered: int
    waiting: int
    lag_s: float
    failing: int
    next_try_at: datetime | None
    last_error: str | None


async def cursors(
    database: Database, sinks: Sequence[str] | None = None, count_max: int = COUNT_MAX
) -> list[CursorView]:
    """Every shard of these sinks; without names, of all that were ever told something."""
    async with database.connection() as connection:
        rows = await store.cursors(connection, None if sinks is None else list(sinks), count_max)
    views: list[CursorView] = []
    for row in rows:
        sink, shard, delivered, waiting, lag_s, is_held, failures, next_try_at, last_error = row
        view = CursorView(
            sink, shard, delivered, waiting, lag_s, is_held, failures, next_try_at if last_error else None, last_error
        )
        views.append(view)
    return views


def by_sink(views: Sequence[CursorView]) -> list[SinkView]:
    """The shards of each sink added up."""
    found: list[SinkView] = []
    for sink in dict.fromkeys(view.sink for view in views):
        shards = [view for view in views if view.sink == sink]
        failing = sorted((v for v in shards if v.last_error), key=lambda v: v.failures)
        found.append(
            SinkView(
                sink=sink,
                delivered=sum(v.delivered for v in shards),
                waiting=sum(v.waiting for v in shards),
                lag_s=max(v.lag_s or 0.0 for v in shards),
                failing=len(failing),
                next_try_at=min((v.next_try_at for v in failing if v.next_try_at is not None), default=None),
                last_error=failing[-1].last_error if failing else None,
            )
        )
    return found
