"""The files of one process, joined: what `app.py` and commands need of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from bezant.banks.contract import Format
from bezant.base.db import Database
from bezant.jobs.schedule import Job
from bezant.psp.pulling import Pulls
from bezant.psp.reports import Reports
from bezant.reconciliation.files.api import FilesApi
from bezant.reconciliation.files.bank_accounts import BankAccounts
from bezant.reconciliation.files.jobs import files_jobs
from bezant.reconciliation.files.load import BATCH_LINES, LEASE, Load
from bezant.reconciliation.files.pull import Pull
from bezant.reconciliation.files.read_again import ReadAgain
from bezant.reconciliation.files.receive import Receive
from bezant.reconciliation.files.records import Records
from bezant.reconciliation.files.senders import Senders
from bezant.reconciliation.files.watch import Watch
from bezant.web import Route

MIB: Final = 1 << 20


class ReportFiles:
    """Receives, loads, shows.

    `reports`: how each PSP's reports are read, by PSP; `formats`: how bank statements are, by the format's name, in the
    order in which they are tried. `folder`: a folder to be watched. `pulls`: where PSPs are asked for their reports.
    `loaded` is told when a file counts, so that it can be matched at once.
    """

    def __init__(
        self,
        database: Database,
        *,
        reports: Mapping[str, Reports],
        formats: Mapping[str, Format],
        size_max: int,
        folder: Path | None = None,
        pulls: Pulls | None = None,
        pull_every_s: float = 60.0,
        loaded: Callable[[], None] = lambda: None,
        batch_lines: int = BATCH_LINES,
        lease: timedelta = LEASE,
    ) -> None:
        self._wake = asyncio.Event()
        self.records = Records(database)
        self.bank_accounts = BankAccounts(database)
        self.senders = Senders(database, reports, formats)
        self.receive = Receive(database, size_max=size_max, arrived=self._wake.set)
        self.load = Load(database, reports, formats, batch_lines=batch_lines, lease=lease)
        self.watch = None if folder is None else Watch(folder, self.senders, self.receive, self.records)
        self.pull = None if pulls is None else Pull(database, pulls, self.senders, self.receive)
        self._loaded = loaded
        self._pull_every_s = pull_every_s
        self.read_again = ReadAgain(database, self.records, self.senders, self._wake.set)
        self._api = FilesApi(self.receive, self.read_again, self.senders, self.records, self.bank_accounts, size_max)

    def routes(self) -> tuple[Route, ...]:
        """What is served."""
        return self._api.routes()

    def jobs(self) -> Sequence[Job]:
        """What runs in the background."""
        watch = None if self.watch is None else self.watch.look
        pull = None if self.pull is None else self.pull.look
        return files_jobs(self.load, self.receive, self._wake, self._loaded, watch, pull, self._pull_every_s)
