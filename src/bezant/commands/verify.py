"""`bezant verify`: whether everything that must hold does hold."""

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from bezant.base.config import Settings
from bezant.base.db import Database
from bezant.base.errors import OperatorError
from bezant.base.sealed import Sealer
from bezant.commands.start import current_database, load_settings, run
from bezant.demo.kept import kept_simulator
from bezant.psp.accounts import Accounts
from bezant.psp.call import Caller, HttpTransport
from bezant.psp.registry import endpoints
from bezant.supported import CONNECTORS
from bezant.verify.report import Report, joined
from bezant.verify.run import verify as verify_rows
from bezant.verify.run import verify_psps

_SHOWN_MAX = 10


def verify(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    psp: Annotated[bool, typer.Option("--psp", help="Also compare with what the PSPs hold.")] = False,
) -> None:
    """Re-derive every invariant from the rows; exit status 0 only if all hold. Reads one snapshot, writes nothing."""
    settings = load_settings()
    report = run(_verified(settings, current_database(settings), psp))
    if json:
        typer.echo(msgspec.json.encode(report))
    else:
        _print(report)
    raise typer.Exit(0 if report.ok else 1)


async def _verified(settings: Settings, url: str, with_psps: bool) -> Report:
    sealer = _sealer(settings)
    database = Database(url, connections_max=1, application="bezant verify")
    await database.open()
    try:
        with _progress() as bar:
            task = bar.add_task("", total=None)
            report = await verify_rows(
                database,
                lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
                sealer,
            )
            if with_psps:
                bar.update(task, total=None, completed=0)
                async with kept_simulator(settings) as reachable:
                    report = joined(report, await _compared(reachable, database, sealer, bar, task))
            return report
    finally:
        await database.close()


def _sealer(settings: Settings) -> Sealer | None:
    """None where no master key is given: only what is sealed asks for one."""
    try:
        return Sealer(settings.master_keys())
    except OperatorError:
        return None


async def _compared(
    settings: Settings, database: Database, sealer: Sealer | None, bar: Progress, task: TaskID
) -> Report:
    transport = HttpTransport(connections_max=settings.psp_concurrency)
    known = endpoints(CONNECTORS, settings.psp_urls, settings.psp_credentials)
    accounts = None if sealer is None else Accounts(database, CONNECTORS, known, settings.psp_urls, sealer)
    caller = Caller(
        known,
        transport,
        timeout_s=settings.psp_timeout_s,
        concurrency=settings.psp_concurrency,
        accounts=accounts,
    )
    try:
        return await verify_psps(
            database, caller, lambda psp, count: bar.update(task, description=f"held by {psp}", completed=count)
        )
    finally:
        await transport.close()


def _progress() -> Progress:
    """On a terminal a bar, elsewhere nothing."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<36}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _print(report: Report) -> None:
    console = Console(highlight=False)
    if report.ok:
        console.print(f"[green]All {len(report.checks)} checks hold[/] ({report.elapsed_s:g} s).")
        return
    for check in report.broken:
        title = f"[bold red]{check.name}[/]: {check.count} for which this does not hold: {check.says}"
        table = Table(Column("id", no_wrap=True), Column("found", overflow="fold"), title=title, title_justify="left")
        for violation in check.violations[:_SHOWN_MAX]:
            table.add_row(violation.id, escape(violation.detail))
        if check.count > _SHOWN_MAX:
            table.add_row(f"... and {check.count - _SHOWN_MAX} more", "--json names more of them")
        console.print(table)
    console.print(f"[red]{len(report.broken)} of {len(report.checks)} checks do not hold[/] ({report.elapsed_s:g} s).")
