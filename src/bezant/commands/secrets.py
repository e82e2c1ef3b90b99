"""`bezant secrets status|rotate|forget`: the master key, under which stored credentials are sealed, and its change."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from bezant.audit.record import By
from bezant.base.config import Settings
from bezant.base.db import Database
from bezant.base.errors import OperatorError
from bezant.base.failpoints import arm
from bezant.base.master_key import NOTICED_WITHIN_S, add_kept_key, age_s, drop_former_kept_keys
from bezant.base.sealed import Sealer
from bezant.commands.start import actor, command_database, load_settings, run_on
from bezant.sealing.rotate import Rotated, SealedRows, audit_key_change, rotate, sealed_rows

T = TypeVar("T")

secrets = typer.Typer(help="The master key, under which stored credentials are sealed.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with your name.")]


@secrets.command("status")
def status(json: Json = False) -> None:
    """Show how many rows each master key has sealed. Exit status 1 where the key of some is not given."""
    settings = load_settings()
    sealer = Sealer(settings.master_keys())
    found = _with_database(settings, lambda database: sealed_rows(database, sealer))
    if json:
        typer.echo(msgspec.json.encode(found))
    else:
        table = Table("table", "master key", "", "rows", box=None)
        for rows in found:
            table.add_row(rows.table, rows.key_id, rows.key, str(rows.rows))
        Console(highlight=False).print(table if found else "Nothing is sealed yet.")
    if any(rows.key == "missing" for rows in found):
        raise OperatorError(_missing(found))


@secrets.command("rotate")
def rotate_master_key(reason: Reason = "the master key is changed", json: Json = False) -> None:
    """Seal everything anew under the newest master key. Safe to repeat, to be killed, and while others run.

    With BEZANT_MASTER_KEY give the former key as BEZANT_MASTER_KEY_OLD, here and to every process. A key that is kept
    beside the embedded database is made anew by this command, and the former one is kept with it.
    """
    by = By(actor(), reason)
    settings = load_settings()
    arm(settings.failpoints)
    sealer = Sealer(settings.master_keys())

    async def work(database: Database) -> Rotated:
        before = await sealed_rows(database, sealer)
        waiting = sum(rows.rows for rows in before if rows.key != "newest")
        makes_a_key = settings.kept_master_key is not None and len(settings.master_keys().keys) == 1
        if waiting or makes_a_key:
            detail = {"rows": waiting, "former": [key for key in sealer.key_ids if key != sealer.key_id]}
            if makes_a_key:
                detail = {"rows": sum(rows.rows for rows in before), "former": list(sealer.key_ids)}
            await audit_key_change(database, by, "rotate_master_key", detail, sealer.key_id)
        if makes_a_key and settings.kept_master_key is not None:
            add_kept_key(settings.kept_master_key)
        with _progress() as bar:
            task = bar.add_task("sealed rows", total=sum(rows.rows for rows in before))
            return await rotate(database, sealer, lambda count: bar.advance(task, count))

    rotated = _with_database(settings, work)
    if json:
        typer.echo(msgspec.json.encode(rotated))
    else:
        for table, count in rotated.rows.items():
            typer.echo(f"{table}: {count} sealed anew")
        typer.echo(f"The master key in use is {rotated.key_id}.")
        if len(sealer.key_ids) > 1:
            typer.echo("Client secrets of the former one are still accepted; `bezant secrets forget` ends that.")
    if rotated.unopened:
        first = rotated.unopened[0]
        raise OperatorError(
            f"{len(rotated.unopened)} rows do not open and stay as they are, e.g. {first.table} {first.id}: "
            f"{first.reason}. Give the former master key as BEZANT_MASTER_KEY_OLD."
        )


@secrets.command("forget")
def forget_former_key(reason: Reason = "the former master key is not needed any more", json: Json = False) -> None:
    """Drop the former master key: client secrets that were shown under it are refused from now on."""
    by = By(actor(), reason)
    settings = load_settings()
    sealer = Sealer(settings.master_keys())
    newest, *former = sealer.key_ids

    async def work(database: Database) -> None:
        still = sum(rows.rows for rows in await sealed_rows(database, sealer) if rows.key == "former")
        if still:
            raise OperatorError(f"{still} rows are still sealed with it: run `bezant secrets rotate` first.")
        if settings.kept_master_key is not None and former:
            # Who still derives from the former key would show client secrets that nobody accepts.
            await asyncio.sleep(max(0.0, NOTICED_WITHIN_S - age_s(settings.kept_master_key)))
            await audit_key_change(database, by, "forget_master_key", {"forgotten": former}, newest)
            drop_former_kept_keys(settings.kept_master_key)

    _with_database(settings, work)
    if json:
        typer.echo(msgspec.json.encode({"key_id": newest, "former": former}))
    elif settings.kept_master_key is None or settings.master_key_old is not None:
        typer.echo("Nothing is sealed with a former key: BEZANT_MASTER_KEY_OLD may be unset, everywhere.")
    else:
        typer.echo(f"The master key {newest} is the only one now.")


def _with_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    database = command_database(settings)
    return run_on(database, lambda: work(database))


def _missing(found: Sequence[SealedRows]) -> str:
    keys = sorted({rows.key_id for rows in found if rows.key == "missing"})
    return f"Rows are sealed with master keys that are not given: {', '.join(keys)}. Give it as BEZANT_MASTER_KEY_OLD."


def _progress() -> Progress:
    """On a terminal a bar, elsewhere nothing."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
