"""Loads a kept file: reads it as a stream, and writes its lines in batches that are committed one by one.

The file's row is leased on the database's clock while that goes on. Whoever finds the lease over begins again with the
first line: lines that the file has brought already are its own, and nothing of it counts before its end. What is wrong
with the whole file takes all its lines back before the file is refused.
"""

import asyncio
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from bezant.banks.contract import Format
from bezant.base import ids
from bezant.base.db import Database, DataRefused, Transaction
from bezant.base.failpoints import reach
from bezant.base.file_faults import FileRefused
from bezant.base.log import logger, redact_text
from bezant.psp.reports import Reports
from bezant.reconciliation.files import store
from bezant.reconciliation.files.bank_lines import BankAccount, BankLines
from bezant.reconciliation.files.counts import Counts
from bezant.reconciliation.files.feed import HEAD_BYTES, Batches, Feed, LeaseLost, ReaderFault
from bezant.reconciliation.files.formats import chosen_format
from bezant.reconciliation.files.psp_lines import PspLines
from bezant.reconciliation.files.states import FileState, ReportFile

BATCH_LINES: Final = 5_000
LEASE: Final = timedelta(seconds=60)
_HELD_EVERY_S: Final = 15.0
_STATEMENT_S: Final = 30.0
_REFUSAL_MAX: Final = 500
_ONE_LOADING: Final = "report_files_one_loading"

_log = logger(__name__)


class Lines(Protocol):
    """Writes the lines of one file. `prepare` is called on a thread, of one batch after the other."""

    counts: Counts
    late_payouts: int

    def prepare(self, found: Sequence[Any]) -> Any: ...
    async def write(self, transaction: Transaction, batch: Any) -> None: ...
    async def write_late_payouts(self, transaction: Transaction, batch: Any) -> None: ...
    async def finish(self, transaction: Transaction) -> None: ...
    def summary(self) -> dict[str, object]: ...


class Load:
    """Loads files, one at a time. `reports`: how each PSP's are read; `formats`: how statements are, by name."""

    def __init__(
        self,
        database: Database,
        reports: Mapping[str, Reports],
        formats: Mapping[str, Format],
        *,
        batch_lines: int = BATCH_LINES,
        lease: timedelta = LEASE,
    ) -> None:
        self._database = database
        self._reports = reports
        self._formats = formats
        self._batch_lines = batch_lines
        self._lease = lease

    async def next(self, file_id: UUID | None = None, read: Callable[[int], None] = lambda _: None) -> UUID | None:
        """Load the file, or the next that is to be; None where there is none, or another of its account is loading.

        `read` is told the number of each part, from 0, when it is read.
        """
        owner = ids.new_id()
        try:
            async with self._database.statement() as connection:
                taken = await store.take(connection, owner, self._lease, file_id)
        except DataRefused as refused:
            if refused.constraint == _ONE_LOADING:
                return None
            raise
        if taken is None:
            return None
        async with self._database.connection() as connection:
            file = await store.file(connection, taken)
        assert file is not None
        try:
            load = _OneLoad(self._database, file, owner, self._lease, self._batch_lines, read)
            await load.run(self._reports, self._formats)
        except LeaseLost:
            _log.warning("report_file_taken_over", file=ids.show(ids.REPORT_FILE, taken))
        return taken


class _OneLoad:
    """The load of one file by one process."""

    def __init__(
        self,
        database: Database,
        file: ReportFile,
        owner: UUID,
        lease: timedelta,
        batch_lines: int,
        read: Callable[[int], None],
    ) -> None:
        self._read = read
        self._database = database
        self._file = file
        self._owner = owner
        self._lease = lease
        self._batch_lines = batch_lines
        self._format = file.format
        self._held_at_s = time.monotonic()
        self._lines: Lines | None = None

    async def run(self, reports: Mapping[str, Reports], formats: Mapping[str, Format]) -> None:
        """Load it or refuse it. Raises LeaseLost and DatabaseError, after which it is begun again."""
        try:
            self._format, reader = chosen_format(self._file, await self._head(), reports, formats)
            lines = self._lines = await self._make_lines()
            await self._each_batch(reader, lines, lines.write, "load.before_batch_commit", "load.after_batch_commit")
            if lines.late_payouts:
                await self._each_batch(reader, lines, lines.write_late_payouts)
            await self._loaded(lines)
        except FileRefused as refused:
            await self._refuse(refused)
        except ReaderFault as fault:
            _log.exception("report_reader_fault", file=ids.show(ids.REPORT_FILE, self._file.id), format=self._format)
            await self._refuse(FileRefused(f"it cannot be read as {self._format}: {fault}"))
        except DataRefused as refused:
            _log.exception("report_file_refused_by_database", file=ids.show(ids.REPORT_FILE, self._file.id))
            await self._refuse(
                FileRefused(f"the database refuses a line of it ({refused.constraint or refused.sqlstate})")
            )

    async def _make_lines(self) -> Lines:
        file = self._file
        if file.source == "psp":
            assert file.psp is not None
            return PspLines(file.id, file.psp, file.psp_account_id)
        async with self._database.connection() as connection:
            rows = await store.bank_accounts(connection)
        accounts = {row[2]: BankAccount(row[0], row[1], row[3], row[5] is not None, row[6] == "final") for row in rows}
        return BankLines(file.id, accounts)

    async def _each_batch(
        self, reader: Any, lines: Lines, write: Any, before_commit: str = "", after_commit: str = ""
    ) -> None:
        """Read the whole file, and write each batch in a transaction of its own."""
        feed = Feed(self._part)
        batches: Batches[Any, Any] = Batches(reader, feed, self._batch_lines, lines.prepare)
        try:
            while (batch := await batches.next()) is not None:
                async with self._database.transaction() as transaction:
                    await self._hold(transaction)
                    await write(transaction, batch)
                    if before_commit:
                        reach(before_commit)
                if after_commit:
                    reach(after_commit)
        finally:
            await batches.close()

    async def _loaded(self, lines: Lines) -> None:
        counts = lines.counts
        async with self._database.transaction() as transaction:
            await lines.finish(transaction)
            counted = (counts.loaded, counts.repeated, counts.quarantined)
            await self._finish(transaction, FileState.LOADED, None, counted, lines.summary())
            reach("load.before_loaded")
        reach("load.after_loaded")
        _log.info(
            "report_file_loaded", file=ids.show(ids.REPORT_FILE, self._file.id), lines=counts.loaded,
            repeated=counts.repeated, quarantined=counts.quarantined,
        )  # fmt: skip

    async def _refuse(self, refused: FileRefused) -> None:
        """Take back what was written of it, in small transactions, and then say why."""
        while True:
            async with self._database.transaction() as transaction:
                await self._hold(transaction)
                gone = await store.take_lines_back(transaction, self._file.id, self._file.source, self._batch_lines)
            reach("load.after_taking_back")
            if gone < self._batch_lines:
                break
        reason = redact_text(refused.reason)[:_REFUSAL_MAX].replace("\0", "\N{REPLACEMENT CHARACTER}")
        quarantined = 0 if self._lines is None else self._lines.counts.quarantined
        async with self._database.transaction() as transaction:
            refusal = (reason, refused.line, refused.field)
            await self._finish(transaction, FileState.REFUSED, refusal, (0, 0, quarantined), {})
        _log.warning("report_file_refused", file=ids.show(ids.REPORT_FILE, self._file.id), reason=reason)

    async def _finish(
        self,
        transaction: Transaction,
        state: FileState,
        refusal: tuple[str, int | None, str | None] | None,
        counted: tuple[int, int, int],
        summary: dict[str, object],
    ) -> None:
        shown = msgspec.json.encode(summary).decode()
        if not await store.finish(
            transaction, self._file.id, self._owner, state, refusal, self._format, counted, shown
        ):
            raise LeaseLost

    async def _hold(self, transaction: Transaction) -> None:
        """Go on holding the file. Raises LeaseLost."""
        if not await store.hold(transaction.connection, self._file.id, self._owner, self._lease):
            raise LeaseLost
        self._held_at_s = time.monotonic()

    async def _part(self, number: int) -> bytes | None:
        """A piece of the file. A long stretch without a line must not cost the lease."""
        self._read(number)
        async with self._database.statement(_STATEMENT_S) as connection:
            if time.monotonic() - self._held_at_s > _HELD_EVERY_S:
                if not await store.hold(connection, self._file.id, self._owner, self._lease):
                    raise LeaseLost
                self._held_at_s = time.monotonic()
            return await store.part(connection, self._file.content_id, number)

    async def _head(self) -> bytes:
        packed = await self._part(0)
        return b"" if packed is None else (await asyncio.to_thread(zlib.decompress, packed))[:HEAD_BYTES]
