"""In the background: hurry what waited for an endpoint that is back, cancel what nobody wants, forget what is old."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Database
from bezant.webhooks.delivery import store

_BATCH: Final = 1_000
_ENDPOINTS: Final = 100


class Backlog:
    """Sees to the backlogs of endpoints, and to the age of deliveries."""

    def __init__(self, database: Database, retention_days: int) -> None:
        self._database = database
        self._retention = timedelta(days=retention_days)

    async def see_to(self) -> int:
        """Hurry each endpoint's backlog, or cancel a batch of it; how many deliveries."""
        async with self._database.connection() as connection:
            rows = await store.backlogs(connection, _ENDPOINTS)
        done = 0
        for endpoint_id, backlog, until, is_fresh in rows:
            if backlog == "hurry":
                done += await self._hurry(endpoint_id, until)
            else:
                done += await self._cancel_waiting(endpoint_id, until, is_fresh)
        return done

    async def expire(self) -> int:
        """Cancel what has waited for a disabled endpoint, and delete what was settled, longer than is kept; how many.

        What waits for an enabled one ends by its schedule, also where something old is sent again.
        """
        before = datetime.now(UTC) - self._retention
        below, done = ids.earliest(before), 0
        while True:
            async with self._database.connection() as connection:
                waiting = await store.outlived(connection, below, before, _BATCH)
            canceled = await self._cancel(waiting)
            async with self._database.transaction() as transaction:
                deleted = await store.expire(transaction, below, before, _BATCH)
            done += canceled + deleted
            if canceled < _BATCH and deleted < _BATCH:
                return done

    async def _hurry(self, endpoint_id: UUID, until: datetime) -> int:
        """All of it at once: a try that fails ends the hurry, and would leave the rest to its schedule."""
        done = 0
        async with self._database.connection() as connection:
            while (hurried := await store.hurry(connection, endpoint_id, until, _BATCH)) == _BATCH:
                done += hurried
            await store.backlog_done(connection, endpoint_id, "hurry", until)
        return done + hurried

    async def _cancel_waiting(self, endpoint_id: UUID, until: datetime, is_fresh: bool) -> int:
        """Until none is left; of an endpoint that was deleted just now some may still be on their way here."""
        async with self._database.connection() as connection:
            waiting = await store.to_cancel(connection, endpoint_id, until, _BATCH)
        canceled = await self._cancel(waiting)
        if not waiting and not is_fresh:
            async with self._database.connection() as connection:
                await store.backlog_done(connection, endpoint_id, "cancel", until)
        return canceled

    async def _cancel(self, waiting: Sequence[store.Queued]) -> int:
        if not waiting:
            return 0
        async with self._database.transaction() as transaction:
            await store.lock_orderings(transaction, (row[3] for row in waiting))
            canceled = await store.cancel(transaction, [(row[0], row[1]) for row in waiting])
            await store.promote(transaction, [(row[2], row[3]) for row in waiting])
        return canceled
