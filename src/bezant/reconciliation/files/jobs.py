"""What runs in the background for files, and how often."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from bezant.jobs.schedule import Job
from bezant.reconciliation.files.load import Load
from bezant.reconciliation.files.receive import Receive

_LOAD_EVERY_S = 1.0
_FORGET_EVERY_S = 60.0
_WATCH_EVERY_S = 2.0


def files_jobs(
    load: Load,
    receive: Receive,
    wake: asyncio.Event,
    loaded: Callable[[], None],
    watch: Callable[[], Awaitable[int]] | None,
    pull: Callable[[], Awaitable[int]] | None,
    pull_every_s: float,
) -> Sequence[Job]:
    """Load what is received; forget what nobody sends any more; look into the watched folder; ask PSPs for reports."""

    async def load_received() -> int:
        done = 0
        while await load.next() is not None:
            done += 1
            loaded()
        return done

    jobs = [
        Job("report_files.load", load_received, every_s=_LOAD_EVERY_S, wake=wake),
        Job("report_files.forget", receive.forget_abandoned, every_s=_FORGET_EVERY_S),
    ]
    if watch is not None:
        jobs.append(Job("report_files.watch", watch, every_s=_WATCH_EVERY_S))
    if pull is not None:
        jobs.append(Job("report_files.pull", pull, every_s=pull_every_s))
    return jobs
