"""`bezant reconciliation load|read-again|files|file|content|quarantine` and `bank-account add|list|close`.

Other modules of this folder add their own commands to the group `reconciliation`.
"""

import asyncio
import math
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Column, Table

from bezant.base.config import Settings
from bezant.base.db import Database
from bezant.base.errors import OperatorError
from bezant.commands.start import actor, current_database, load_settings, run_on
from bezant.reconciliation.files.bank_accounts import AddBankAccount, BankAccountView
from bezant.reconciliation.files.csv_mappings import bank_formats
from bezant.reconciliation.files.read_again import ReadFileAgain
from bezant.reconciliation.files.receive import PART_BYTES
from bezant.reconciliation.files.records import (
    FileFilter,
    QuarantinedLineView,
    QuarantineFilter,
    ReportFileView,
    parsed_id,
    view,
)
from bezant.reconciliation.files.service import MIB, ReportFiles
from bezant.reconciliation.files.states import FileState, ReportFile
from bezant.supported import REPORTS

T = TypeVar("T")

_PIECE_BYTES: Final = 1 << 18
_CONNECTIONS_MAX: Final = 3
_LOOK_EVERY_S: Final = 0.2

reconciliation = typer.Typer(help="Reports of PSPs and bank statements, explained by the ledger.", no_args_is_help=True)
bank_account = typer.Typer(help="Our accounts at banks, whose statements are taken.", no_args_is_help=True)
reconciliation.add_typer(bank_account, name="bank-account")

Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
File = Annotated[str, typer.Argument(help="The file's id, fil_...")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="How many.")]
Psp = Annotated[str | None, typer.Option(help="The PSP whose report it is, e.g. stripe.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with your name.")]


@reconciliation.command("load")
def load_file(
    path: Annotated[Path, typer.Argument(help="The file as it came, not packed.", exists=True, dir_okay=False)],
    psp: Psp = None,
    bank: Annotated[bool, typer.Option("--bank", help="It is a bank statement.")] = False,
    account: Annotated[str | None, typer.Option(help="The account at the PSP; none: the platform's own.")] = None,
    format_: Annotated[str | None, typer.Option("--format", help="None: recognised by what is in it.")] = None,
    json: Json = False,
) -> None:
    """Load a report of a PSP, or a bank statement: all of it, or nothing. The same file again is not loaded twice."""
    if bank == (psp is not None):
        raise OperatorError("Say whose it is: --psp NAME for a report, or --bank for a bank statement.")

    async def load(files: ReportFiles) -> ReportFile:
        new = await files.senders.new_file(
            source="bank" if bank else "psp",
            name=path.name,
            by=actor(),
            psp=psp,
            psp_account=account,
            format_=format_,
        )
        with _progress() as bar:
            file, is_new = await files.receive(new, _pieces(path, bar))
            if not is_new and not json:
                bar.console.print("This very file is there already.")
            return await _loaded(files, file, bar)

    _print_outcome(view(_with_files(load)), json)


@reconciliation.command("read-again")
def read_file_again(
    file: File,
    reason: Reason,
    format_: Annotated[str | None, typer.Option("--format", help="None: the one that it was read as.")] = None,
    json: Json = False,
) -> None:
    """Read a file again that was refused, or lines of which are in quarantine, e.g. once its account is known."""
    wanted = ReadFileAgain(reason=reason, format=format_)

    async def read(files: ReportFiles) -> ReportFile:
        with _progress() as bar:
            return await _loaded(files, await files.read_again(file, wanted, actor()), bar)

    _print_outcome(view(_with_files(read)), json)


@reconciliation.command("files")
def list_files(
    psp: Annotated[str | None, typer.Option(help="Only reports of this PSP.")] = None,
    state: Annotated[FileState | None, typer.Option(help="Only those that stand there.")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List reports and statements, newest first."""
    page = _with_files(lambda files: files.records.files(FileFilter(psp=psp, state=state, limit=limit)))
    if json:
        typer.echo(msgspec.json.encode(page))
        return
    table = Table("file", "of", Column("lines", justify="right"), Column("stands", overflow="fold"), box=None)
    table.columns[0].no_wrap = True
    for each in page.data:
        table.add_row(
            f"{each.file_id}\n[dim]{escape(_plain(each.name))}[/]",
            f"{_of(each)}\n[dim]{each.created_at:%Y-%m-%d %H:%M}Z[/]",
            f"{each.lines:,}" + (f"\n[dim]{each.repeated:,} repeated[/]" if each.repeated else ""),
            escape(_stands(each)),
        )
    Console(highlight=False).print(table if page.data else "There are no files.")
    if page.has_more:
        typer.echo(f"There are more than {limit}: narrow the list, or raise --limit.", err=True)


@reconciliation.command("file")
def show_file(file: File, json: Json = False) -> None:
    """Show a report or a statement: where it stands, what it brought, why it was refused."""
    _print_file(_with_files(lambda files: files.records.file(file)), json)


@reconciliation.command("content")
def write_content(file: File) -> None:
    """Write a file as it came to stdout."""

    async def write(files: ReportFiles) -> None:
        async for piece in files.records.content(parsed_id(file)):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()

    _with_files(write)


@reconciliation.command("quarantine")
def list_quarantine(
    file: Annotated[str | None, typer.Argument(help="Only of this file, fil_...")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List the lines that were not loaded, each with its reason."""
    page = _with_files(lambda files: files.records.quarantined(QuarantineFilter(file=file, limit=limit)))
    if json:
        typer.echo(msgspec.json.encode(page))
        return
    console = Console(highlight=False, soft_wrap=True)
    for each in page.data:
        _print_quarantined(console, each)
    if not page.data:
        console.print("No line is in quarantine.")
    if page.has_more:
        typer.echo(f"There are more than {limit}: narrow the list, or raise --limit.", err=True)


@bank_account.command("add")
def add_bank_account(
    name: Annotated[str, typer.Argument(help="How it is called here.")],
    identification: Annotated[str, typer.Option(help="The IBAN, or the number that its statements show.")],
    reason: Reason,
    currency: Annotated[str | None, typer.Option(help="e.g. EUR; none: it holds several.")] = None,
    json: Json = False,
) -> None:
    """Add an account at a bank, whose statements are then taken."""
    new = AddBankAccount(name=name, identification=identification, currency=currency, reason=reason)
    _print_bank_account(_with_files(lambda files: files.bank_accounts.add(new, actor())), json)


@bank_account.command("list")
def list_bank_accounts(json: Json = False) -> None:
    """List the accounts at banks."""
    found = _with_files(lambda files: files.bank_accounts.all())
    if json:
        typer.echo(msgspec.json.encode(found))
        return
    for each in found:
        closed = "" if each.closed_at is None else f", closed {each.closed_at:%Y-%m-%d}"
        typer.echo(f"{each.name}: {each.identification} {each.currency or 'several currencies'}{closed}")
    if not found:
        typer.echo("There are no bank accounts: statements of any are refused.")


@bank_account.command("close")
def close_bank_account(name: Annotated[str, typer.Argument(help="The account's name.")], reason: Reason) -> None:
    """Take no more statements of an account. What it reported stays."""
    _with_files(lambda files: files.bank_accounts.close(name, reason, actor()))
    typer.echo(f"{name} is closed")


def files_of(settings: Settings, database: Database) -> ReportFiles:
    """The files, as commands need them: nothing runs in the background."""
    return ReportFiles(
        database,
        reports=REPORTS,
        formats=bank_formats(settings.bank_csv),
        size_max=settings.report_file_max_mib * MIB,
    )


def _with_files(work: Callable[[ReportFiles], Awaitable[T]]) -> T:
    settings = load_settings()
    # One connection more for the next part of a file while lines of the last one are written.
    database = Database(current_database(settings), connections_max=_CONNECTIONS_MAX, application="bezant command")
    return run_on(database, lambda: work(files_of(settings, database)))


async def _pieces(path: Path, bar: Progress) -> AsyncIterator[bytes]:
    """The file, with how much of it is received."""
    try:
        with path.open("rb") as file:
            task = bar.add_task("received", total=os.fstat(file.fileno()).st_size)
            while piece := file.read(_PIECE_BYTES):
                yield piece
                bar.advance(task, len(piece))
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}.") from error


async def _loaded(files: ReportFiles, file: ReportFile, bar: Progress) -> ReportFile:
    """The file once it has come to its end, loaded here or by whoever was quicker."""
    parts = math.ceil(file.size_bytes / PART_BYTES)
    task = bar.add_task("loaded", total=file.size_bytes)

    def read(part: int) -> None:
        bar.update(task, completed=min(part / parts * file.size_bytes, file.size_bytes))

    while not file.is_final:
        if await files.load.next(file.id, read) is None and await files.load.next() is None:
            await asyncio.sleep(_LOOK_EVERY_S)
        file = await files.records.kept(file.id)
    bar.update(task, completed=file.size_bytes)
    return file


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _print_outcome(file: ReportFileView, as_json: bool) -> None:
    """What became of a file; one that is refused is an error."""
    _print_file(file, as_json)
    if file.refusal is not None:
        raise OperatorError(f"The file is refused: {_refusal(file)}.")


def _print_file(file: ReportFileView, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(file))
        return
    typer.echo(f"{file.file_id}: {_plain(file.name)} of {_of(file)}, {file.size_bytes:,} bytes, {_stands(file)}")
    typer.echo(f"{file.lines:,} lines, {file.repeated:,} repeated, {file.quarantined:,} in quarantine")


def _print_quarantined(console: Console, line: QuarantinedLineView) -> None:
    field = f" (field {escape(_plain(line.field))})" if line.field else ""
    console.print(f"[dim]{line.file_id}[/] {escape(_plain(line.file_name))}, line {line.line}{field}")
    console.print(f"  {escape(_plain(line.reason))}\n  [dim]{escape(_plain(line.content))}[/]")


def _print_bank_account(account: BankAccountView, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(account))
        return
    typer.echo(f"{account.name}: statements of {account.identification} are taken")


def _of(file: ReportFileView) -> str:
    """Whose a file is, and what."""
    whose = "/".join(filter(None, (file.psp, file.psp_account))) or "bank"
    return f"{whose} {file.format}" if file.format else whose


def _stands(file: ReportFileView) -> str:
    return file.state if file.refusal is None else f"{file.state}: {_refusal(file)}"


def _refusal(file: ReportFileView) -> str:
    assert file.refusal is not None
    line = f"line {file.refusal.line}" if file.refusal.line else None
    field = f"field {file.refusal.field}" if file.refusal.field else None
    where = ", ".join(filter(None, (line, field)))
    return _plain(file.refusal.reason + (f" ({where})" if where else ""))


def _plain(text: str) -> str:
    """A text out of a file, without what a terminal would act on."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
