"""`bezant events status|replay`: how far each sink has been told, and telling it again."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from bezant.base import ids
from bezant.base.config import Settings
from bezant.base.db import Database
from bezant.base.errors import OperatorError
from bezant.commands.start import command_database, load_settings, run_on
from bezant.commands.texts import safe
from bezant.outbox import replay as again
from bezant.outbox.status import COUNT_MAX, CursorView, SinkView, by_sink, cursors
from bezant.sinks.configured import configured_sinks
from bezant.sinks.contract import Sink, SinkUnavailable
from bezant.webhooks.delivery.fan_out import FanOut

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)

events = typer.Typer(help="What sinks were told, and telling it again.", no_args_is_help=True)


@events.command("status")
def status(
    shards: Annotated[bool, typer.Option("--shards", help="Each shard by itself.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Show how far each sink has been told, what waits, and why."""
    database = command_database(load_settings())
    found = run_on(database, lambda: cursors(database))
    if json:
        typer.echo(msgspec.json.encode(found if shards else by_sink(found)))
    elif not found:
        Console().print("No sink was ever told anything; BEZANT_SINK_* configure some.")
    else:
        Console(highlight=False).print(_shard_table(found) if shards else _sink_table(by_sink(found)))


@events.command("replay")
def replay(
    sink: Annotated[str, typer.Option(help="Which sink is told again: webhooks, kafka, rabbitmq, stdout ...")],
    created_from: Annotated[
        str | None, typer.Option("--from", help="Created at or after, e.g. 2026-11-23T12:00:00Z; default: the first.")
    ] = None,
    created_to: Annotated[str | None, typer.Option("--to", help="Created before; default now.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--type", help="payment.captured, or refund.* for all of a kind; may repeat.")
    ] = None,
    merchant: Annotated[str | None, typer.Option(help="Of one merchant only, mer_...")] = None,
) -> None:
    """Send events again that the sink was told before, with the same ids, in order per payment."""
    merchant_id = None if merchant is None else ids.parse(ids.MERCHANT, merchant)
    if merchant is not None and merchant_id is None:
        raise OperatorError(f"There is no merchant {merchant!r}.")
    wanted = again.Wanted(
        created_from=_BEGINNING if created_from is None else _time("--from", created_from),
        created_to=datetime.now(UTC) if created_to is None else _time("--to", created_to),
        types=kind or (),
        merchant_id=merchant_id,
    )
    settings = load_settings()
    database = command_database(settings)
    done = run_on(database, lambda: _replay(settings, database, sink, wanted))
    Console(stderr=True).print(f"{done.sent:,} events were sent to {sink} again.")


async def _replay(settings: Settings, database: Database, name: str, wanted: again.Wanted) -> again.Progress:
    to_endpoints = FanOut(database, again=True)
    found: dict[str, Sink] = {sink.name: sink for sink in (*configured_sinks(settings), to_endpoints)}
    if (sink := found.get(name)) is None:
        raise OperatorError(f"There is no sink {name!r}; there are {', '.join(found)}, by BEZANT_SINK_* more.")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(f"to {name}", total=None)
        state = again.Progress(0, 0)

        def show(now: again.Progress) -> None:
            state.sent, state.total = now.sent, now.total
            bar.update(task, completed=now.sent, total=now.total)

        try:
            return await again.replay(database, sink, wanted, show)
        except SinkUnavailable as error:
            raise OperatorError(
                f"{name} does not take events ({error}). {state.sent:,} of {state.total:,} were sent; run it again."
            ) from error
        finally:
            await sink.close()


def _time(option: str, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise OperatorError(f"{option}: {text!r} is not a time such as 2026-11-23 or 2026-11-23T12:00:00Z.") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _sink_table(found: list[SinkView]) -> Table:
    table = Table("sink", *_right("told", "waiting", "behind", "failing shards"), Column("last error", overflow="fold"))
    for each in found:
        is_more = each.waiting >= COUNT_MAX
        table.add_row(
            each.sink,
            f"{each.delivered:,}",
            f"{each.waiting:,}{'+' if is_more else ''}",
            _age(each.lag_s),
            str(each.failing or ""),
            safe(each.last_error or ""),
        )
    return table


def _shard_table(found: list[CursorView]) -> Table:
    table = Table(
        "sink", *_right("shard", "told", "waiting", "behind", "tries"), "held", Column("last error", overflow="fold")
    )
    for each in found:
        table.add_row(
            each.sink,
            str(each.shard),
            f"{each.delivered:,}",
            f"{each.waiting:,}{'+' if each.waiting >= COUNT_MAX else ''}",
            _age(each.lag_s or 0.0),
            str(each.failures or ""),
            "yes" if each.is_held else "",
            safe(each.last_error or ""),
        )
    return table


def _right(*names: str) -> list[Column]:
    return [Column(name, justify="right") for name in names]


def _age(seconds: float) -> str:
    if seconds < 1:
        return "" if not seconds else "< 1 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} m" if hours else f"{minutes} m {rest} s" if minutes else f"{rest} s"
