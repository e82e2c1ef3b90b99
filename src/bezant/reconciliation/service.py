"""Reconciliation in one process, joined: what `app.py` needs of it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from bezant.base.config import Settings
from bezant.base.db import Database
from bezant.base.errors import Busy
from bezant.inbox.contract import AskPsp, Handlers
from bezant.jobs.schedule import Job
from bezant.psp.pulling import Pulls
from bezant.psp.reports import Reports
from bezant.reconciliation import store
from bezant.reconciliation.breaks.api import BreaksApi
from bezant.reconciliation.breaks.heal.heal import Heal
from bezant.reconciliation.breaks.keep import Kept, keep
from bezant.reconciliation.evidence import Evidence
from bezant.reconciliation.files.csv_mappings import bank_formats
from bezant.reconciliation.files.service import MIB, ReportFiles
from bezant.reconciliation.matching.model import Fee, Terms
from bezant.reconciliation.run import Progress, Run, RunResult, no_progress
from bezant.web import Call, Reply, Route, json_reply

LOOKS_EVERY_S: Final = 1.0
"""How often a process looks whether there is a reason to run."""

HEALS_EVERY_S: Final = 60.0
"""How often a process looks for operations that no report names."""


class RunView(msgspec.Struct, frozen=True):
    """A run was asked for: it begins at once, or after the one that is under way."""

    status: str = "started"


class Reconciliation:
    """Runs when a file was loaded, when somebody asks, and every few minutes."""

    def __init__(
        self,
        database: Database,
        handlers: Handlers,
        settings: Settings,
        reports: Mapping[str, Reports],
        pulls: Pulls | None = None,
        ask: AskPsp | None = None,
    ) -> None:
        self._database = database
        self._heal = None if ask is None else Heal(database, handlers, ask)
        self._run = Run(
            database, Evidence(database, handlers), terms_of(settings), fees_of(settings), balances_of(reports)
        )
        self._every = timedelta(seconds=settings.reconciliation_interval_s)
        self.files = ReportFiles(
            database,
            reports=reports,
            formats=bank_formats(settings.bank_csv),
            size_max=settings.report_file_max_mib * MIB,
            folder=settings.reports_dir,
            pulls=pulls,
            pull_every_s=settings.reports_pull_s,
        )

    async def run(self, progress: Progress = no_progress) -> tuple[RunResult, Kept]:
        """Run once and keep what was found. Raises Busy (`run_in_progress`) while another run is under way."""
        result = await self._run(progress)
        return result, await keep(self._database, result.found)

    async def rehearse(self, progress: Progress = no_progress) -> RunResult:
        """What a run would explain and find, without it. Raises Busy (`run_in_progress`)."""
        return await self._run(progress, dry=True)

    def routes(self) -> tuple[Route, ...]:
        """What is served."""
        return (
            *self.files.routes(),
            *BreaksApi(self._database).routes(),
            Route(
                "POST",
                "/reconciliation/runs",
                self.start,
                scope="reconciliation:write",
                operator=True,
                responses={202: RunView},
            ),
        )

    async def start(self, _: Call) -> Reply:
        """Reconcile now.

        Everything that is open is looked at; what came of it is shown by the status.
        """
        async with self._database.connection() as connection:
            await store.want_run(connection)
        return json_reply(202, RunView())

    def jobs(self) -> Sequence[Job]:
        """What runs in the background."""
        heal = () if self._heal is None else (Job("reconciliation.heal", self._heal, every_s=HEALS_EVERY_S),)
        return (*self.files.jobs(), Job("reconciliation.run", self._run_if_due, every_s=LOOKS_EVERY_S), *heal)

    async def _run_if_due(self) -> int:
        async with self._database.connection() as connection:
            if not await store.is_due(connection, self._every):
                return 0
        try:
            result, _ = await self.run()
        except Busy:
            return 0
        return result.explained


def balances_of(reports: Mapping[str, Reports]) -> list[str]:
    """The PSPs that pay out of a balance."""
    return [psp for psp, each in reports.items() if each.draws_balance]


def terms_of(settings: Settings) -> Terms:
    """How long is waited for what PSPs and banks report."""
    return Terms(
        skew=timedelta(hours=settings.reconciliation_skew_hours),
        deposit_skew=timedelta(hours=settings.reconciliation_deposit_skew_hours),
    )


def fees_of(settings: Settings) -> Mapping[str, Sequence[Fee]]:
    """What was agreed with PSPs."""
    return {psp: [Fee(*agreed) for agreed in fees] for psp, fees in settings.reconciliation_fees.items()}
