"""The relay in the background: a loop per sink, and how far each is behind for the metrics."""

from collections.abc import Sequence
from functools import partial

from bezant.base.db import Database
from bezant.jobs.schedule import Job
from bezant.outbox.metrics import RelayMetrics
from bezant.outbox.relay import Relay
from bezant.outbox.status import by_sink, cursors

_POLL_S = 0.2
_LAG_EVERY_S = 5.0


def relay_jobs(database: Database, relay: Relay, metrics: RelayMetrics) -> Sequence[Job]:
    """Tell each sink what is new, as soon as the relay is woken, else by looking; measure the lag."""
    sinks = list(relay.sinks.values())

    async def measure() -> int:
        views = by_sink(await cursors(database, list(relay.sinks)))
        for view in views:
            metrics.behind(view.sink, view.waiting, view.lag_s)
        return 0

    told = [Job(f"relay.{s.name}", partial(relay.run, s), every_s=_POLL_S, wake=relay.wake_of(s.name)) for s in sinks]
    return (*told, Job("relay.lag", measure, every_s=_LAG_EVERY_S)) if sinks else ()
