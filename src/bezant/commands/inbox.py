"""`bezant inbox list|show|retry`: what PSPs told us, and what became of it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from bezant.base.errors import OperatorError
from bezant.commands.start import command_database, load_settings, run_on
from bezant.commands.texts import safe
from bezant.inbox.records import InboxEventView, InboxFilter, Records
from bezant.inbox.rules import Status

T = TypeVar("T")

inbox = typer.Typer(help="Webhooks of PSPs: what they told us, and what became of it.", no_args_is_help=True)

Psp = Annotated[str | None, typer.Option(help="Only what this PSP told.")]
Type = Annotated[str | None, typer.Option("--type", help="Only events of this type, as the PSP names it.")]
Since = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"], help="Received then or later, UTC."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]

_RETRIED = (Status.ASIDE, Status.WAITING, Status.UNKNOWN)


@inbox.command("list")
def list_events(
    psp: Psp = None,
    status: Annotated[Status | None, typer.Option(help="Only events that stand there.")] = None,
    type_: Type = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
    json: Json = False,
) -> None:
    """List events, newest first."""
    wanted = InboxFilter(psp=psp, status=status, type=type_, since=_utc(since), limit=limit)
    page = _with_records(lambda records: records.page(None, wanted))
    if json:
        typer.echo(msgspec.json.encode(page))
        return
    _print(page.data)
    if page.has_more:
        typer.echo(f"There are more than {limit}: narrow the list, or raise --limit.", err=True)


@inbox.command("show")
def show_event(event: Annotated[str, typer.Argument(help="The event's id, inb_...")], json: Json = False) -> None:
    """Show an event with what the PSP said, without secrets."""
    shown = _with_records(lambda records: records.show(None, event))
    if json:
        typer.echo(msgspec.json.encode(shown))
        return
    for name, value in msgspec.structs.asdict(shown).items():
        if name != "body" and value is not None:
            typer.echo(f"{name}: {value}")
    typer.echo("\n" + "".join(char if char.isprintable() or char in "\t\n" else "\ufffd" for char in shown.body))


@inbox.command("retry")
def retry_events(
    events: Annotated[list[str] | None, typer.Argument(help="Ids of events, inb_...")] = None,
    status: Annotated[Status | None, typer.Option(help="All that stand there: aside, waiting or unknown.")] = None,
    psp: Psp = None,
    type_: Type = None,
    since: Since = None,
) -> None:
    """Try events again now: some by their ids, or all of a status."""
    if bool(events) == bool(status) or (events and (psp or type_ or since)):
        raise OperatorError("Name events by their ids, or all of a --status, which --psp, --type and --since narrow.")
    if status is not None and status not in _RETRIED:
        raise OperatorError(f"What is {status} cannot be tried again; --status takes {', '.join(_RETRIED)}.")

    async def retry(records: Records) -> int:
        if status is not None:
            return await records.retry_all(status, psp=psp, type_=type_, since=_utc(since))
        for event in events or ():
            await records.retry(None, event)
        return len(events or ())

    typer.echo(f"{_with_records(retry)} tried again by the processes that run the background jobs")


def _with_records(work: Callable[[Records], Awaitable[T]]) -> T:
    database = command_database(load_settings())
    return run_on(database, lambda: work(Records(database)))


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC)


def _print(found: Sequence[InboxEventView]) -> None:
    console = Console(highlight=False)
    if not found:
        console.print("Nothing was found.")
        return
    table = Table("event", "from", "received", Column("stands", overflow="fold"), box=None)
    table.columns[0].no_wrap = True
    for each in found:
        account = f"/{each.psp_account}" if each.psp_account else ""
        next_try = f"\n[dim]next try {each.next_try_at:%H:%M:%S}Z[/]" if each.next_try_at else ""
        reason = f"\n{safe(each.reason)}" if each.reason else ""
        table.add_row(
            f"{each.inbox_event_id}\n[dim]{safe(each.event_id)}[/]",
            f"{each.psp}{account}\n{safe(each.type)}",
            f"{each.received_at:%Y-%m-%d\n%H:%M:%S}Z",
            f"{each.status}, {each.tries} {'try' if each.tries == 1 else 'tries'}{next_try}{reason}",
        )
    console.print(table)
