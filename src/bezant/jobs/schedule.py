"""Runs jobs again and again: each in its own loop, one run at a time, soon after a start, spread by jitter.

What is due is said by rows (`next_check_at`, `deadline_at`), and who does it by leases on them, so any number of
processes may run the same jobs. A job that fails is logged and runs again with back-off. One that another part of this
process can wake runs as soon as that has set its event; what is set while it runs makes it run again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from bezant.base.log import logger

_BACK_OFF_MAX_S = 60.0
_DOUBLINGS_MAX = 16
_log = logger(__name__)


class Job(msgspec.Struct, frozen=True):
    """A function that does what is due and says how much it was; `every_s` seconds between the runs, or once `wake`."""

    name: str
    run: Callable[[], Awaitable[int]]
    every_s: float
    wake: asyncio.Event | None = None


class Schedule:
    """Runs jobs until it is closed."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._stopping = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin. Needs a running event loop."""
        self._loops = [asyncio.create_task(self._loop(job), name=job.name) for job in self._jobs]

    async def close(self, timeout_s: float) -> None:
        """Begin nothing new, and wait for what runs; after `timeout_s` it is left resumable."""
        self._stopping.set()
        for job in self._jobs:
            if job.wake is not None:
                job.wake.set()
        if self._loops:
            _, running = await asyncio.wait(self._loops, timeout=timeout_s)
            for loop in running:
                loop.cancel()

    async def _loop(self, job: Job) -> None:
        failures = 0
        while not self._stopping.is_set():
            if job.wake is not None:
                job.wake.clear()
            try:
                done = await job.run()
                failures = 0
                if done:
                    _log.debug("job_done", job=job.name, items=done)
            except (Exception, asyncio.CancelledError):  # a job must survive whatever happens: it is tried again
                if _is_cancelled():
                    raise  # the loop's own end, and not that of something the job waited for
                failures += 1
                _log.warning("job_failed", job=job.name, exc_info=True)
            # What failed is not hurried by whoever brings more of it.
            wake = self._stopping if job.wake is None or failures else job.wake
            rest_s = pause_s(job.every_s, failures) * random.uniform(0.9, 1.1)  # noqa: S311 - spread, not secret
            await self._pause(wake, rest_s)

    async def _pause(self, wake: asyncio.Event, seconds: float) -> None:
        try:
            await asyncio.wait_for(wake.wait(), seconds)
        except TimeoutError:
            return


def pause_s(every_s: float, failures: int) -> float:
    """How long a job rests after so many failures in a row."""
    doubled: float = every_s * 2 ** min(failures, _DOUBLINGS_MAX)
    return min(doubled, max(_BACK_OFF_MAX_S, every_s))


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
