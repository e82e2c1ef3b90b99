"""`bezant reconciliation run`: explain what is open, now."""

import dataclasses
from collections import Counter
from typing import Annotated, Final
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from bezant.app import create_services
from bezant.base import ids
from bezant.commands.reconciliation import reconciliation
from bezant.commands.start import current_database, load_settings, run
from bezant.reconciliation.breaks.keep import Kept
from bezant.reconciliation.matching.model import Id
from bezant.reconciliation.rehearsal import Rehearsal
from bezant.reconciliation.run import RunResult

_MATCHES_SHOWN: Final = 100


class RehearsedMatch(msgspec.Struct, frozen=True):
    """A match that a run would make."""

    rule: str
    ours: list[str]
    theirs: list[str]


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has done, and what is left. `would_match`: of a dry run, the first of its matches."""

    operations_collected: int
    lines_looked_at: int
    lines_explained: int
    payouts_found: int
    taken_for_evidence: int
    breaks: dict[str, int]
    breaks_opened: int
    breaks_closed: int
    would_match: list[RehearsedMatch] = []


@reconciliation.command("run")
def run_now(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be explained and found.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
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

                def show(what: str, lines: int) -> None:
                    bar.update(task, description=what, completed=lines)

                if dry_run:
                    result = await services.reconciliation.rehearse(show)
                    return result, Kept(counts=Counter(each.kind.value for each in result.found), opened=0, closed=0)
                return await services.reconciliation.run(show)

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
        would_match=[] if result.rehearsal is None else _rehearsed(result.rehearsal),
    )
    if json:
        typer.echo(msgspec.json.encode(summary))
        return
    table = Table("", "", box=None, show_header=False)
    for name, value in msgspec.structs.asdict(summary).items():
        if name not in ("breaks", "would_match"):
            table.add_row(name.replace("_", " "), f"{value:,}")
    for kind, count in summary.breaks.items():
        table.add_row(f"  {kind}", f"{count:,}")
    for match in summary.would_match:
        table.add_row(f"  {match.rule}", " ".join(match.ours) + " = " + " ".join(match.theirs))
    Console().print(table)


def _rehearsed(rehearsal: Rehearsal) -> list[RehearsedMatch]:
    """The first matches of a dry run: payouts, then operations."""
    of_deposits = [
        RehearsedMatch(
            match.rule,
            [_shown(ids.PAYOUT_AT_PSP, each.id) for each in match.payouts],
            [_shown(ids.BANK_LINE, each.id) for each in match.deposits],
        )
        for match in rehearsal.deposits[:_MATCHES_SHOWN]
    ]
    return of_deposits + [
        RehearsedMatch(
            match.rule,
            [_shown(ids.JOURNAL, each.id) for each in match.operations],
            [_shown(ids.PSP_LINE, each.id) for each in match.lines],
        )
        for match in rehearsal.matches[:_MATCHES_SHOWN]
    ]


def _shown(prefix: str, item_id: Id) -> str:
    return ids.show(prefix, item_id) if isinstance(item_id, UUID) else item_id
