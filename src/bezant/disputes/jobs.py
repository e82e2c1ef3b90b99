"""What runs in the background for disputes, and how often."""

from collections.abc import Awaitable, Callable, Sequence

from bezant.base.db import Database
from bezant.disputes.act import Acts
from bezant.disputes.look import Looks
from bezant.disputes.remind import remind
from bezant.jobs.schedule import Job

_LOOK_EVERY_S = 1.0
_TAKE_UP_EVERY_S = 1.0
_REMIND_EVERY_S = 60.0


def dispute_jobs(database: Database, acts: Acts, looks: Looks, committed: Callable[[], None]) -> Sequence[Job]:
    """Ask about what is due, take up what was left, remind of deadlines; `committed` hears of what may be told."""

    def and_then(run: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[int]]:
        async def run_and_tell() -> int:
            done = await run()
            if done:
                committed()
            return done

        return run_and_tell

    async def remind_all() -> int:
        return await remind(database)

    return (
        Job("disputes.look", and_then(looks.run), every_s=_LOOK_EVERY_S),
        Job("disputes.take_up", and_then(acts.take_up), every_s=_TAKE_UP_EVERY_S),
        Job("disputes.remind", and_then(remind_all), every_s=_REMIND_EVERY_S),
    )
