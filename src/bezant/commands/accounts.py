"""`bezant account create|list|show|rotate-credentials|add-webhook-secret|remove-webhook-secret|close`.

Secrets come from a file, from stdin or from a hidden prompt, never from the command line, which everybody on the
machine can read; and they are never shown again.
"""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from bezant.audit.record import By
from bezant.base.errors import OperatorError
from bezant.base.sealed import Sealer
from bezant.commands.start import actor, command_database, load_settings, run_on
from bezant.psp.account_secrets import WEBHOOK_FIELD, AccountSecrets, fields_of
from bezant.psp.contract import Manifest
from bezant.psp.desk import AccountDesk, AccountView
from bezant.psp.registry import separated
from bezant.supported import CONNECTORS

T = TypeVar("T")

accounts = typer.Typer(help="Merchants' own accounts at PSPs.", no_args_is_help=True)

_INPUT_MAX_BYTES: Final = 64 * 1024
_STDIN: Final = Path("-")

Name = Annotated[str, typer.Argument(help="The account's name.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with your name.")]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
Secrets = Annotated[
    Path | None,
    typer.Option("--secrets", help="File of lines field=value; - reads stdin. Without it they are asked for."),
]


@accounts.command("create")
def create_account(
    name: Name,
    merchant: Annotated[str, typer.Option(help="Whose it is, mer_...")],
    psp: Annotated[str, typer.Option(help="The PSP, e.g. stripe.")],
    reason: Reason,
    secrets: Secrets = None,
    json: Json = False,
) -> None:
    """Create an account: the merchant's new payments at this PSP go through it from now on.

    Its secrets are the PSP's credentials and, one or several separated by commas, webhook_secret.
    """
    by = By(actor(), reason)

    async def create(desk: AccountDesk) -> AccountView:
        given = _secrets(desk.manifest(psp), secrets, with_webhooks=True)
        webhook_secrets = separated(given.pop(WEBHOOK_FIELD, ""))
        return await desk.create(name, psp, merchant, AccountSecrets(given, webhook_secrets), by)

    _print(_at_desk(create), json)


@accounts.command("list")
def list_accounts(
    merchant: Annotated[str | None, typer.Option(help="Only those of this merchant, mer_...")] = None,
    json: Json = False,
) -> None:
    """List accounts, without what they keep."""
    found = _at_desk(lambda desk: desk.accounts(merchant))
    if json:
        typer.echo(msgspec.json.encode(found))
        return
    console = Console(highlight=False)
    if not found:
        console.print("There are no accounts but the platform's own.")
        return
    table = Table(*(Column(title, no_wrap=True) for title in ("name", "psp", "status", "merchant")), box=None)
    for account in found:
        status = account.status if account.opens else f"{account.status}, [red]does not open[/]"
        table.add_row(escape(account.name), account.psp, status, account.merchant_id)
    console.print(table)


@accounts.command("show")
def show_account(name: Name, json: Json = False) -> None:
    """Show an account: the names of its credentials, and fingerprints of its webhook secrets."""
    _print(_at_desk(lambda desk: desk.account(name)), json)


@accounts.command("rotate-credentials")
def rotate_credentials(
    name: Name,
    reason: Reason,
    secrets: Secrets = None,
    discard_unreadable: Annotated[
        bool, typer.Option(help="Also where what it keeps does not open: its webhook secrets are lost.")
    ] = False,
    json: Json = False,
) -> None:
    """Replace the credentials, all of them. Processes use them within seconds: let the old ones live on a while."""
    by = By(actor(), reason)

    async def rotate(desk: AccountDesk) -> AccountView:
        manifest = desk.manifest((await desk.account(name)).psp)
        given = _secrets(manifest, secrets, with_webhooks=False)
        return await desk.rotate_credentials(name, given, by, discard=discard_unreadable)

    _print(_at_desk(rotate), json)


@accounts.command("add-webhook-secret")
def add_webhook_secret(
    name: Name,
    reason: Reason,
    secret: Annotated[
        Path | None, typer.Option(help="File that holds the secret; - reads stdin. Without it it is asked for.")
    ] = None,
    json: Json = False,
) -> None:
    """Accept webhooks that are signed with a further secret. The others stay until they are removed."""
    by = By(actor(), reason)
    given = _prompt(WEBHOOK_FIELD) if secret is None else _text(secret).strip()
    _print(_at_desk(lambda desk: desk.add_webhook_secret(name, given, by)), json)


@accounts.command("remove-webhook-secret")
def remove_webhook_secret(
    name: Name,
    fingerprint: Annotated[str, typer.Argument(help="As `bezant account show` lists it.")],
    reason: Reason,
    json: Json = False,
) -> None:
    """Refuse from now on what is signed with this secret."""
    by = By(actor(), reason)
    _print(_at_desk(lambda desk: desk.remove_webhook_secret(name, fingerprint, by)), json)


@accounts.command("close")
def close_account(name: Name, reason: Reason, json: Json = False) -> None:
    """Take no new payments in it. What it holds is still captured, refunded and heard of; it cannot be opened again."""
    by = By(actor(), reason)
    _print(_at_desk(lambda desk: desk.close(name, by)), json)


def _at_desk(work: Callable[[AccountDesk], Awaitable[T]]) -> T:
    settings = load_settings()
    sealer = Sealer(settings.master_keys())
    database = command_database(settings)
    return run_on(database, lambda: work(AccountDesk(database, CONNECTORS, sealer)))


def _secrets(manifest: Manifest, source: Path | None, *, with_webhooks: bool) -> dict[str, str]:
    """The values by field, from the source or asked for. Raises OperatorError, which repeats no value."""
    if source is not None:
        return fields_of(_text(source))
    extra = (WEBHOOK_FIELD,) if with_webhooks else ()
    asked = {field: _prompt(field) for field in manifest.credential_fields}
    optional = {field: _prompt(field, optional=True) for field in (*manifest.optional_fields, *extra)}
    return {field: value for field, value in {**asked, **optional}.items() if value}


def _text(source: Path) -> str:
    try:
        if source == _STDIN:
            raw = sys.stdin.buffer.read(_INPUT_MAX_BYTES + 1)
        else:
            with source.open("rb") as file:
                raw = file.read(_INPUT_MAX_BYTES + 1)
        text = raw.decode()
    except OSError as error:
        raise OperatorError(f"{source} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise OperatorError(f"{source} is not text.") from None
    if len(raw) > _INPUT_MAX_BYTES:
        raise OperatorError(f"{source} is longer than 64 KiB.")
    return text


def _prompt(field: str, *, optional: bool = False) -> str:
    if not sys.stdin.isatty():
        raise OperatorError(f"{field} is missing: give a file, or - to read stdin.")
    label = f"{field} (empty for none)" if optional else field
    answer: str = typer.prompt(label, hide_input=True, default="" if optional else None, show_default=False, err=True)
    return answer.strip()


def _print(account: AccountView, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(account))
        return
    lists = {"credentials": account.credentials, "webhook_secrets": account.webhook_secrets}
    shown = {name: ", ".join(values) or "none" for name, values in lists.items()}
    for name, value in {**msgspec.structs.asdict(account), **shown}.items():
        typer.echo(f"{name}: {value}")
    if not account.opens:
        raise OperatorError("What it keeps does not open with the master key that is given.")
