"""Keeps the embedded database running while processes use it."""

import asyncio
from collections.abc import Sequence

from bezant.base.config import Settings
from bezant.base.log import logger
from bezant.base.postgres import Embedded
from bezant.jobs.schedule import Job

_EVERY_S = 1.0
_log = logger(__name__)


def database_jobs(settings: Settings) -> Sequence[Job]:
    """Start the embedded server again should it die. Another's database is not ours to watch."""
    if settings.database_url is not None:
        return ()

    async def revive() -> int:
        revived = await asyncio.to_thread(Embedded(settings.home).revive)
        if revived:
            _log.warning("database_revived", home=str(settings.home))
        return int(revived)

    return (Job("database.revive", revive, every_s=_EVERY_S),)
