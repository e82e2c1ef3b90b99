"""Group commit: what arrives while a transaction is in flight forms the next one.

A lone item goes at once; nobody waits for a timer. When more wait than a batch takes, lanes (merchants) take turns,
so none fills a batch alone while others wait. One bad item never fails its neighbours:

- SQLSTATE 22 and 23, or a fault of our own: the items are run again one by one, decided anew;
- SQLSTATE 40: the batch is run again;
- connection lost: the batch is run again within a deadline. `run` must therefore recognise its own committed work.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar, cast

from bezant.base.db import DatabaseLost, TransactionRolledBack
from bezant.base.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

_ROLLBACKS_MAX = 10

Run = Callable[[Sequence[Item]], Awaitable[Sequence[Result | BaseException]]]
"""Runs one transaction over items; returns, in their order, each one's result or its own error."""


class Batcher(Generic[Item, Result]):
    """Collects items into transactions, `in_flight_max` at a time.

    `abandoned` is told of results that were committed after the caller had given up waiting (`wait_max_s`).
    """

    def __init__(
        self,
        run: Run[Item, Result],
        lane_of: Callable[[Item], Hashable],
        *,
        size_max: int = 256,
        waiting_max: int = 4096,
        in_flight_max: int = 1,
        lost_retry_s: float = 3.0,
        wait_max_s: float | None = None,
        abandoned: Callable[[Item, Result], None] | None = None,
    ) -> None:
        self._run = run
        self._lane_of = lane_of
        self._size_max = size_max
        self._waiting_max = waiting_max
        self._in_flight_max = in_flight_max
        self._lost_retry_s = lost_retry_s
        self._wait_max_s = wait_max_s
        self._abandoned = abandoned
        self._lanes: dict[Hashable, deque[tuple[Item, asyncio.Future[Result]]]] = {}
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Result:
        """The item's result, once committed.

        Raises what the item's own decision raised; Unavailable when too many wait; DatabaseLost when the database
        could not be reached in time (an item that was not taken up by then never will be; one that was may have been
        committed all the same); DataRefused when the database refused this item alone.
        """
        if self._waiting >= self._waiting_max:
            raise Unavailable("Too many requests are waiting for the database.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._lanes.setdefault(self._lane_of(item), deque()).append((item, future))
        self._waiting += 1
        if len(self._tasks) < self._in_flight_max:
            self._start()
        if self._wait_max_s is None:
            return await future
        # Cheaper than asyncio.timeout, which would be a tenth of what a command costs here.
        deadline = loop.call_later(self._wait_max_s, _give_up, future, self._wait_max_s)
        try:
            return await future
        finally:
            deadline.cancel()

    def _start(self) -> None:
        self._tasks.add(asyncio.create_task(self._work()))

    async def _work(self) -> None:
        try:
            while self._waiting:
                # Whoever was woken by the last batch, or has just come in, may join the next one.
                await asyncio.sleep(0)
                if batch := self._take():
                    await self._settle(batch)
        finally:
            # Here and not in a callback, which comes a turn later: whoever is woken in between would find a worker
            # that takes nothing more, and wait for ever.
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _take(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        while self._lanes and len(batch) < self._size_max:
            for lane, queue in list(self._lanes.items()):
                item, future = queue.popleft()
                self._waiting -= 1
                if not future.done():  # else whoever asked has given up
                    batch.append((item, future))
                if not queue:
                    del self._lanes[lane]
                if len(batch) == self._size_max:
                    break
        # The lane that was served first goes last the next time.
        if self._lanes:
            first = next(iter(self._lanes))
            self._lanes[first] = self._lanes.pop(first)
        return batch

    async def _settle(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._run_until_settled([item for item, _ in batch])
        except (DatabaseLost, TransactionRolledBack) as error:
            results = [error] * len(batch)
        except Exception as error:  # handed to the caller whose item it is, who would hang otherwise
            if len(batch) > 1:
                for one in batch:
                    await self._settle([one])
                return
            results = [error]
        for (item, future), result in zip(batch, results, strict=True):
            if future.done():
                if self._abandoned is not None and not isinstance(result, BaseException):
                    self._abandoned(item, result)
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

    async def _run_until_settled(self, items: Sequence[Item]) -> Sequence[Result | BaseException]:
        give_up_at = time.monotonic() + self._lost_retry_s
        rollbacks = 0
        while True:
            try:
                return await self._run(items)
            except TransactionRolledBack:
                rollbacks += 1
                if rollbacks == _ROLLBACKS_MAX:
                    raise
            except DatabaseLost:
                if time.monotonic() >= give_up_at:
                    raise
            await asyncio.sleep(random.uniform(0.005, 0.05) * (1 + rollbacks))  # noqa: S311 - spread, not secret


def _give_up(future: "asyncio.Future[Any]", after_s: float) -> None:
    if not future.done():
        future.set_exception(DatabaseLost(f"no answer within {after_s} s"))
