"""`bezant reconciliation run`: explain what is open, now."""

import dataclasses
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from bezant.app import create_services
from bezant.commands.reconciliation import reconciliation
from bezant.commands.start import current_database, load_settings, run
from bezant.reconciliation.breaks.keep import Kept
from bezant.reconciliation.run import RunResult


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has done, and what is left."""

    operations_collected: int
    lines_looked_at: int
    lines_explained: int
    payouts_found: int
    taken_for_evidence: int
    breaks: dict[str, int]
    breaks_opened: int
    breaks_closed: int


@reconciliation.command("run")
def run_now(json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False) -> None:
    """Explain everything that is open: lines of reports, operations, payouts, entries of statements.

    Safe to repeat, and to kill: the next run carries on. One run at a time.
    """
    settings = dataclasses.replace(load_settings(), jobs=False)
    current_database(settings)

    async def reconcile() -> tuple[RunResult, Kept]:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,.0f} lines"))
        async with create_services(settings).running() as services:
            with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task("reconciling", total=None)
                return await services.reconciliation.run(
                    lambda what, lines: bar.update(task, description=what, completed=lines)
                )

    result, kept = run(reconcile())
    summary = RunSummary(
        operations_collected=result.collected,
        lines_looked_at=result.lines,
        lines_explained=result.explained,
        payouts_found=result.deposits,
        taken_for_evidence=result.evidence,
        breaks=dict(kept.counts),
        breaks_opened=kept.opened,
        breaks_closed=kept.closed,
    )
    if json:
        typer.echo(msgspec.json.encode(summary))
        return
    table = Table("", "", box=None, show_header=False)
    for name, value in msgspec.structs.asdict(summary).items():
        if name != "breaks":
            table.add_row(name.replace("_", " "), f"{value:,}")
    for kind, count in summary.breaks.items():
        table.add_row(f"  {kind}", f"{count:,}")
    Console().print(table)
