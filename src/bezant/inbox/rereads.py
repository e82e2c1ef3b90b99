"""Asks PSPs about events that cannot be believed as they came, beside everything else.

Each account has slots of its own, so that a merchant who signs nonsense for his own account keeps only his own events
waiting; and so has each PSP, so that one that hangs leaves calls for the others. An event that is being asked about is
leased: if this process dies, it is due again later.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from bezant.base.db import DatabaseError
from bezant.base.log import logger
from bezant.inbox.contract import AskPsp, Reread
from bezant.inbox.rules import Busy, Kept
from bezant.psp.contract import Outcome, Verdict

SLOTS: Final = 16
"""Events of one account that a process asks about side by side."""

SLOTS_OF_PSP: Final = 64
"""Events of all accounts at one PSP that a process asks about side by side."""

_SETTLING_MAX: Final = 2
"""How many of them may hold a connection to the database at a time."""

_log = logger(__name__)

GoOn = Callable[[Kept, Mapping[int, Outcome]], Awaitable[None]]


class Rereads:
    """What is being asked. `freed` is told when somebody who had no slot left has one again."""

    def __init__(self, ask: AskPsp, go_on: GoOn, *, freed: Callable[[], None]) -> None:
        self._ask = ask
        self._go_on = go_on
        self._freed = freed
        self._by_account: Counter[str] = Counter()
        self._by_psp: Counter[str] = Counter()
        self._settling = asyncio.Semaphore(_SETTLING_MAX)
        self._running: set[asyncio.Task[None]] = set()

    def busy(self) -> Busy:
        """Who has no slot left."""
        return Busy(
            [psp for psp, taken in self._by_psp.items() if taken >= SLOTS_OF_PSP],
            [account for account, taken in self._by_account.items() if taken >= SLOTS],
        )

    def surplus(self, wanting: Sequence[Kept]) -> list[Kept]:
        """Those of these events that find no slot, if the others take theirs."""
        by_account, by_psp = self._by_account.copy(), self._by_psp.copy()
        left: list[Kept] = []
        for kept in wanting:
            if by_account[kept.account] >= SLOTS or by_psp[kept.psp] >= SLOTS_OF_PSP:
                left.append(kept)
            else:
                by_account[kept.account] += 1
                by_psp[kept.psp] += 1
        return left

    def begin(self, kept: Kept, asks: Mapping[int, Reread]) -> None:
        """Ask the PSP about an event and go on with its answers."""
        self._by_account[kept.account] += 1
        self._by_psp[kept.psp] += 1
        task = asyncio.create_task(self._run(kept, asks))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is being asked; the rest is asked again when its lease has ended."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(self, kept: Kept, asks: Mapping[int, Reread]) -> None:
        try:
            answers = await asyncio.gather(*(self._answer(kept, reread) for reread in asks.values()))
            async with self._settling:
                await self._go_on(kept, dict(zip(asks, answers, strict=True)))
        except DatabaseError as error:  # it is leased, hence due again
            _log.warning("inbox_reread_not_kept", inbox_event=kept.id.hex, psp=kept.psp, error=str(error))
        except Exception:  # it is leased, hence asked again
            _log.exception("inbox_reread_failed", inbox_event=kept.id.hex, psp=kept.psp)
        finally:
            self._free(kept)

    def _free(self, kept: Kept) -> None:
        was_full = self._by_account[kept.account] >= SLOTS or self._by_psp[kept.psp] >= SLOTS_OF_PSP
        for counter, name in ((self._by_account, kept.account), (self._by_psp, kept.psp)):
            counter[name] -= 1
            if not counter[name]:
                del counter[name]
        if was_full:
            self._freed()

    async def _answer(self, kept: Kept, reread: Reread) -> Outcome:
        try:
            return await self._ask(kept.psp, kept.psp_account_id, reread)
        except Exception as fault:  # whatever it was, nothing is known
            _log.warning("inbox_reread_unanswered", inbox_event=kept.id.hex, psp=kept.psp, exc_info=fault)
            return Outcome(verdict=Verdict.UNKNOWN, detail=f"{type(fault).__name__}")
