"""Gives young tables statistics early.

Without them the planner takes plans that are right only for empty tables, and autovacuum comes a minute later. Each
hot table is analysed when it has first grown past each step; what is bigger is left to autovacuum.
"""

from collections.abc import Sequence

from bezant.base.db import Database
from bezant.jobs import store
from bezant.jobs.schedule import Job

_EVERY_S = 2.0
STEPS = (1_000, 10_000, 100_000, 1_000_000)


def statistics_jobs(database: Database) -> Sequence[Job]:
    """Analyse tables that have grown past a step since they were analysed last."""

    async def analyse() -> int:
        async with database.connection() as connection:
            return await store.analyse_grown(connection, STEPS)

    return (Job("statistics.analyse", analyse, every_s=_EVERY_S),)
