"""What runs in the background for idempotency keys, and how often."""

from collections.abc import Sequence

from bezant.base.db import Database
from bezant.idempotency.keys import expire_keys
from bezant.jobs.schedule import Job

_EXPIRE_EVERY_S = 600.0


def idempotency_jobs(database: Database, retention_days: int) -> Sequence[Job]:
    """Delete keys past their retention."""

    async def expire() -> int:
        return await expire_keys(database, retention_days)

    return (Job("idempotency.expire", expire, every_s=_EXPIRE_EVERY_S),)
