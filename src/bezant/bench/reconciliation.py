"""`bezant bench reconciliation`: a PSP's report of very many payments and the bank's statement, from file to settled.

Payments and their journals are there before the measurement, and so are the operations that were collected from them,
as in life, where that goes on all day. Measured are: the load of the report (parsing, each line once, commits), the run
(matching, postings, deposits, `payment.settled`), both together, and matching alone in memory.
"""

import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bezant.banks.csv_file import csv_format
from bezant.banks.csv_mapping import CsvMapping
from bezant.base import ids
from bezant.base.db import Database
from bezant.base.garbage import collect_garbage_seldom
from bezant.bench import store
from bezant.bench.figures import Figures
from bezant.bench.ledger import bench_ledger
from bezant.bench.place import cpu_seconds, family_of, fresh_database, postmaster_of
from bezant.bench.settled_world import (
    FEE_MINOR,
    GROSS_MINOR,
    PAYOUT_LINES,
    attempt_name,
    payout_name,
    report,
    sell,
    statement,
)
from bezant.connectors import simulator
from bezant.psp.reports import LineKind
from bezant.reconciliation.collect import Collect
from bezant.reconciliation.evidence import Evidence
from bezant.reconciliation.files.bank_accounts import AddBankAccount, BankAccounts
from bezant.reconciliation.files.service import MIB, ReportFiles
from bezant.reconciliation.files.states import NewFile
from bezant.reconciliation.files.watch import pieces_of
from bezant.reconciliation.matching.exact import match_exactly
from bezant.reconciliation.matching.model import Line, Operation, Terms
from bezant.reconciliation.matching.operations import match_operations
from bezant.reconciliation.run import Run

_ACCOUNT: Final = "BENCH-1"
_STATEMENT: Final = CsvMapping(
    account=_ACCOUNT, currency="USD", date_column="date", amount_column="amount", text_columns=("text",)
)
_TERMS: Final = Terms(late_days_after=200, deposit_days_after=200)


async def bench_reconciliation(
    server_url: str, sizes: tuple[int, ...], pgbench_seconds: int, progress: Callable[[str], None]
) -> list[Figures]:
    """Reconcile so many payments, for each size on a fresh database, beside `bench ledger` in the same run."""
    collect_garbage_seldom()
    ledger = (await bench_ledger(server_url, (8_000,), 15.0, pgbench_seconds, progress))[0]
    figures = [ledger]
    for payments in sizes:
        figures += await _one(server_url, payments, ledger, progress)
    return figures


async def _one(server_url: str, payments: int, ledger: Figures, progress: Callable[[str], None]) -> list[Figures]:
    async with fresh_database(server_url, migrated=True) as url:
        database = Database(url, connections_max=4, application="bezant-bench")
        await database.open()
        try:
            progress(f"{payments:,} payments")
            await sell(database, payments)
            await Collect(database)()
            async with database.connection() as connection:
                await store.analyze_collected(connection)
                postmaster = postmaster_of(await store.backend_pid(connection))
                await store.settle(connection)
            watch = _Watch(postmaster, ledger, payments)
            with TemporaryDirectory() as folder:
                files = _write(Path(folder), payments)
                progress(f"{payments:,} lines: loading")
                with watch("load"):
                    await _load(database, *files)
            progress(f"{payments:,} lines: matching, posting, settling")
            with watch("match, post and settle"):
                await Run(database, Evidence(database, {}), _TERMS)()
            async with database.connection() as connection:
                settled = await store.settled_payments(connection)
        finally:
            await database.close()
    progress(f"{payments:,} lines: matching alone")
    watch.alone(payments)
    return watch.figures(failures=payments - settled)


def _write(folder: Path, payments: int) -> tuple[Path, Path]:
    """The PSP's report and the bank's statement."""
    reported, booked = folder / "report.csv", folder / "statement.csv"
    with reported.open("wb") as file:
        file.writelines(report(payments))
    booked.write_bytes(statement(payments))
    return reported, booked


async def _load(database: Database, reported: Path, booked: Path) -> None:
    files = ReportFiles(
        database,
        reports={simulator.MANIFEST.name: simulator.REPORTS},
        formats={"csv:bench": csv_format(_STATEMENT)},
        size_max=8_192 * MIB,
    )
    new = AddBankAccount(name="bench", identification=_ACCOUNT, currency="USD", reason="the bench's account")
    await BankAccounts(database).add(new, "bench")
    psp = simulator.MANIFEST.name
    for path, sent in (
        (reported, NewFile(source="psp", psp=psp, psp_account_id=None, format=None, name="report", by="bench")),
        (
            booked,
            NewFile(source="bank", psp=None, psp_account_id=None, format="csv:bench", name="statement", by="bench"),
        ),
    ):
        file, _ = await files.receive(sent, pieces_of(path))
        await files.load.next(file.id)
        loaded = await files.records.kept(file.id)
        if loaded.state != "loaded":
            raise AssertionError(f"the {sent.name} was refused: {loaded.refusal}")


class _Watch:
    """Times and CPU of named steps."""

    def __init__(self, postmaster: int | None, ledger: Figures, lines: int) -> None:
        self._postmaster = postmaster
        self._ledger = ledger
        self._lines = lines
        self._steps: list[tuple[str, float, float, float | None, float]] = []
        self._name = ""
        self._began = (0.0, 0.0, 0.0)

    def __call__(self, name: str) -> "_Watch":
        self._name = name
        return self

    def __enter__(self) -> None:
        self._began = (time.perf_counter(), time.process_time(), self._database_s())

    def __exit__(self, *_: object) -> None:
        began, api_s, database_s = self._began
        elapsed = time.perf_counter() - began
        used = self._database_s() - database_s if self._postmaster else None
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self._steps.append((self._name, elapsed, time.process_time() - api_s, used, peak_mb))

    def alone(self, payments: int) -> None:
        """Matching in memory: the fast path, and all rules, over rows as the run hands them over."""
        operations, lines = _rows(payments)
        with self("match by name alone"):
            found = len(match_exactly(operations, lines).matches)
        with self("match by all rules alone"):
            found = min(found, len(match_operations(operations, lines, _TERMS).matches))
        if found != payments:
            raise AssertionError("not everything was matched")

    def figures(self, failures: int) -> list[Figures]:
        """One row a step, and one for load and run together."""
        load, run, *alone = self._steps
        database_s = None if load[3] is None or run[3] is None else load[3] + run[3]
        both = ("from file to settled", load[1] + run[1], load[2] + run[2], database_s, run[4])
        return [self._row(*step, failures) for step in (load, run, both, *alone)]

    def _row(
        self, name: str, elapsed_s: float, api_s: float, database_s: float | None, peak_mb: float, failures: int
    ) -> Figures:
        per_second, unit = self._lines / elapsed_s, self._ledger
        return Figures(
            name=f"{self._lines:,} lines: {name}",
            per_second=per_second,
            p50_ms=0.0,
            p99_ms=0.0,
            pgbench_tps=unit.pgbench_tps,
            ratio_to_pgbench=per_second / unit.pgbench_tps,
            cpu_us_api=api_s / self._lines * 1e6,
            cpu_us_database=None if database_s is None else database_s / self._lines * 1e6,
            operations=self._lines,
            failures=failures,
            memory_mb=peak_mb,
            ratio_to_ledger=per_second / unit.per_second,
        )

    def _database_s(self) -> float:
        return cpu_seconds(family_of(self._postmaster)) if self._postmaster else 0.0


def _rows(payments: int) -> tuple[list[Operation], list[Line]]:
    now = datetime.now(UTC)
    operations: list[Operation] = []
    lines: list[Line] = []
    for n in range(payments):
        reference, charge, at = attempt_name(n), f"ch_{n}", now + timedelta(milliseconds=n)
        payment = ids.new_id()
        operations.append(
            Operation(
                ids.new_id(),
                LineKind.CHARGE,
                payment,
                "USD",
                GROSS_MINOR,
                at,
                (reference, charge),
                (charge, f"pay_{n}"),
            )
        )
        net_minor = GROSS_MINOR - FEE_MINOR
        lines.append(
            Line(
                ids.new_id(), LineKind.CHARGE, "USD", GROSS_MINOR, FEE_MINOR, net_minor, at, (reference, f"op_{n}"),
                (charge,), payout=payout_name(n // PAYOUT_LINES),
            )
        )  # fmt: skip
    return operations, lines
