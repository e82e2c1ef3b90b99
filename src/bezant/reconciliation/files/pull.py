"""Asks PSPs for reports that they have ready, and receives those that are new."""

from typing import Final

from bezant.base.db import Database
from bezant.base.errors import ApiError, WaitAndRepeat
from bezant.base.log import logger
from bezant.psp.contract import PspSilence
from bezant.psp.pulling import Pulls
from bezant.psp.reports import Offered
from bezant.reconciliation.files import store
from bezant.reconciliation.files.receive import Receive
from bezant.reconciliation.files.senders import Senders

SILENCES_MAX: Final = 3
"""So many files in a row that do not come: the PSP is not there."""

_log = logger(__name__)


class Pull:
    """Looks again and again. What was brought once is not asked for again, whatever became of it.

    A file that does not come stands in nobody's way: the next time it is the last that is asked for.
    """

    def __init__(self, database: Database, pulls: Pulls, senders: Senders, receive: Receive) -> None:
        self._database = database
        self._pulls = pulls
        self._senders = senders
        self._receive = receive
        self._refused: set[tuple[str, str]] = set()
        self._late: set[tuple[str, str]] = set()

    async def look(self) -> int:
        """Receive what is new at each PSP; how many files that were. A PSP that is silent is asked the next time."""
        received = 0
        for psp in self._pulls.psps:
            try:
                received += await self._of(psp)
            except PspSilence as silence:
                _log.warning("reports_not_pulled", psp=psp, reason=str(silence))
        return received

    async def _of(self, psp: str) -> int:
        offered = [each for each in await self._pulls.offered(psp) if (psp, each.name) not in self._refused]
        by = f"pulled:{psp}"
        async with self._database.connection() as connection:
            known = await store.known_names(connection, [each.name for each in offered], by)
        wanted = [each for each in offered if each.name not in known]
        received = silences = 0
        for each in sorted(wanted, key=lambda each: (psp, each.name) in self._late):
            try:
                received += await self._bring(psp, each, by)
            except (PspSilence, WaitAndRepeat) as silence:
                self._late.add((psp, each.name))
                silences += 1
                _log.warning("report_not_pulled", psp=psp, name=each.name, reason=str(silence))
                if silences == SILENCES_MAX:
                    break
            else:
                self._late.discard((psp, each.name))
                silences = 0
        return received

    async def _bring(self, psp: str, offered: Offered, by: str) -> bool:
        try:
            new = await self._senders.new_file(
                source=offered.source,
                name=offered.name,
                by=by,
                psp=psp if offered.source == "psp" else None,
                format_=offered.format,
            )
            _, is_new = await self._receive(new, self._pulls.pieces(psp, offered))
        except WaitAndRepeat:
            raise
        except ApiError as refused:
            _log.warning("pulled_report_refused", psp=psp, name=offered.name, reason=refused.detail)
            self._refused.add((psp, offered.name))
            return False
        if not is_new:
            self._refused.add((psp, offered.name))
        return is_new
