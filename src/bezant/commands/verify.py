"""`bezant verify`: whether everything that must hold does hold."""

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from bezant.base.db import Database
from bezant.commands.start import current_database, load_settings, run
from bezant.verify.report import Report
from bezant.verify.run import verify as verify_rows

_SHOWN_MAX = 10


def verify(json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """Re-derive every invariant from the rows; exit status 0 only if all hold. Reads one snapshot, writes nothing."""
    report = run(_verified(current_database(load_settings())))
    if json:
        typer.echo(msgspec.json.encode(report))
    else:
        _print(report)
    raise typer.Exit(0 if report.ok else 1)


async def _verified(url: str) -> Report:
    database = Database(url, connections_max=1, application="bezant verify")
    await database.open()
    try:
        with _progress() as bar:
            task = bar.add_task("", total=None)
            return await verify_rows(
                database, lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
            )
    finally:
        await database.close()


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
