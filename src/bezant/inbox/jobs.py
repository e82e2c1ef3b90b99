"""What runs in the background for kept events, and how often."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bezant.base import ids
from bezant.base.db import Database, DatabaseLost
from bezant.base.log import logger
from bezant.inbox import store
from bezant.inbox.apply import Apply
from bezant.inbox.contract import Handlers
from bezant.inbox.metrics import InboxMetrics
from bezant.inbox.rules import no_handler
from bezant.jobs.schedule import Job

_APPLY_EVERY_S = 0.5
_GATHER_S = 0.01
"""What arrives so soon after each other is one transaction: half the work where events come one by one."""

_MEASURE_EVERY_S = 5.0
_ADOPT_EVERY_S = 600.0
_EXPIRE_EVERY_S = 3600.0
_BATCH = 1_000

_log = logger(__name__)


class Bell:
    """Says that something arrived in this process, so that it is applied at once and not at the next look."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.has_rung = True
        self.is_urgent = False

    def ring(self) -> None:
        """Something arrived; more may come with it."""
        self.has_rung = True
        self.wake.set()

    def hurry(self) -> None:
        """More than a batch is due already."""
        self.is_urgent = True
        self.ring()

    def silence(self) -> None:
        """What it rang for until now is looked at now."""
        self.has_rung = self.is_urgent = False
        self.wake.clear()


def inbox_jobs(
    database: Database, apply: Apply, bell: Bell, handlers: Handlers, metrics: InboxMetrics, retention_days: int
) -> Sequence[Job]:
    """Apply what is due; adopt what waits for a handler that is there now; measure; delete what is old."""

    async def apply_due() -> int:
        if bell.has_rung:
            if not bell.is_urgent:
                await asyncio.sleep(_GATHER_S)
            bell.silence()
        elif not await apply.is_due():
            return 0
        return await apply.run()

    async def apply_due_while_there_is_a_database() -> int:
        """The next look is no later for it: what came before the database was lost is applied as soon as it is back."""
        try:
            return await apply_due()
        except DatabaseLost as lost:
            _log.warning("inbox_database_lost", reason=str(lost))
            return 0

    async def adopt() -> int:
        async with database.connection() as connection:
            adopted = await store.adopt(connection, [no_handler(each) for each in handlers], _BATCH)
        if adopted:
            bell.ring()
        return adopted

    async def measure() -> int:
        async with database.connection() as connection:
            metrics.measured([(row[0], row[1], row[2], row[3]) for row in await store.backlog(connection)])
        return 0

    async def expire() -> int:
        return await expire_events(database, retention_days)

    return (
        Job("inbox.apply", apply_due_while_there_is_a_database, every_s=_APPLY_EVERY_S, wake=bell.wake),
        Job("inbox.adopt", adopt, every_s=_ADOPT_EVERY_S),
        Job("inbox.measure", measure, every_s=_MEASURE_EVERY_S),
        Job("inbox.expire", expire, every_s=_EXPIRE_EVERY_S),
    )


async def expire_events(database: Database, retention_days: int) -> int:
    """Delete what was settled longer ago than the retention, in small transactions; how many.

    What stands aside stays: somebody has to look at it.
    """
    age, deleted = timedelta(days=retention_days), 0
    before = ids.earliest(datetime.now(UTC) - age)
    while True:
        async with database.connection() as connection:
            batch = await store.expire(connection, before, age, _BATCH)
        deleted += batch
        if batch < _BATCH:
            return deleted
