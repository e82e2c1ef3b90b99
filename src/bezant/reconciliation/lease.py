"""One run at a time, over all processes: a lease on the database's clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Database, DatabaseError, Transaction
from bezant.base.errors import Busy
from bezant.base.log import logger
from bezant.reconciliation import store

LEASE_S: Final = 60.0
_log = logger(__name__)


class Lease:
    """Held by one run. What a run writes, it writes under `guarded`, so that no second one has begun meanwhile."""

    def __init__(self, database: Database, *, lease_s: float = LEASE_S) -> None:
        self._database = database
        self._lease_s = lease_s
        self._holder: UUID | None = None

    @asynccontextmanager
    async def held(self, *, is_run: bool = True) -> AsyncIterator[None]:
        """Hold it for the block, which is a run, or what a person decides. Raises Busy (`run_in_progress`)."""
        holder, ran_at = ids.new_id(), None
        began_at = await self._take(holder)
        if began_at is None:
            raise Busy("run_in_progress", "Another reconciliation run is under way.", retry_after_s=10)
        self._holder = holder
        renewing = asyncio.create_task(self._renew(holder))
        try:
            yield
            ran_at = began_at if is_run else None
        finally:
            renewing.cancel()
            self._holder = None
            async with self._database.connection() as connection:
                await store.leave_lease(connection, holder, ran_at)

    @asynccontextmanager
    async def guarded(self) -> AsyncIterator[Transaction]:
        """A transaction of the run. Raises Busy where the lease was lost: another run has begun since."""
        async with self._database.transaction() as transaction:
            await self.guard(transaction)
            yield transaction

    async def guard(self, transaction: Transaction) -> None:
        """Make a transaction one of the run. Raises Busy where the lease was lost."""
        if self._holder is None:
            raise AssertionError("a run writes only while it holds the lease")
        if not await store.hold_lease(transaction, self._holder):
            raise Busy("run_in_progress", "This run was too slow; another one has begun.", retry_after_s=10)

    async def _take(self, holder: UUID) -> datetime | None:
        async with self._database.connection() as connection:
            return await store.take_lease(connection, holder, timedelta(seconds=self._lease_s))

    async def _renew(self, holder: UUID) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 4)
            try:
                await self._take(holder)
            except DatabaseError as error:
                _log.warning("lease_not_renewed", error=str(error))
