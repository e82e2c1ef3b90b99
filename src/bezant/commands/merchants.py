"""`bezant merchant create|activate|suspend|close` and `bezant key create|list|revoke`."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated, Literal, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from bezant.base.errors import OperatorError
from bezant.commands.start import command_database, load_settings, run_on
from bezant.merchants.service import Merchants
from bezant.supported import CONNECTORS

T = TypeVar("T")

merchants = typer.Typer(help="Merchants: whose payments these are.", no_args_is_help=True)
keys = typer.Typer(help="API keys: shown once, stored hashed.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
Merchant = Annotated[str, typer.Option(help="The merchant, mer_...")]
KeyOwner = Annotated[str, typer.Option("--merchant", help="The merchant, mer_..., or `operator` for a key of our own.")]
RatePerS = Annotated[int | None, typer.Option(min=1, help="Requests per second that the key may send.")]


class KeyKind(StrEnum):
    """Whom a key is for."""

    SECRET = "secret"  # noqa: S105 - a kind, not a password
    PUBLISHABLE = "publishable"


@merchants.command("create")
def create_merchant(
    name: Annotated[str, typer.Option(help="The merchant's name.")],
    currency: Annotated[str, typer.Option(help="The currency of its account, e.g. USD.")],
    psp: Annotated[str, typer.Option(help="The PSP of payments that name none.")] = "simulator",
    json: Json = False,
) -> None:
    """Create a merchant with a secret and a publishable key, which are shown only now."""
    known = sorted(connector.manifest.name for connector in CONNECTORS)
    if psp not in known:
        raise OperatorError(f"There is no PSP {psp!r}; known: {', '.join(known)}.")
    _print(_with_merchants(lambda service: service.create(name, currency, psp)), json)


@merchants.command("activate")
def activate_merchant(merchant: Merchant) -> None:
    """Let a merchant take payments again."""
    _set_status(merchant, "active")


@merchants.command("suspend")
def suspend_merchant(merchant: Merchant) -> None:
    """Stop new payments; refunds and reads go on."""
    _set_status(merchant, "suspended")


@merchants.command("close")
def close_merchant(merchant: Merchant) -> None:
    """Stop everything but reads."""
    _set_status(merchant, "closed")


@keys.command("create")
def create_key(
    merchant: KeyOwner,
    kind: Annotated[KeyKind, typer.Option(help="secret: for a backend; publishable: for browsers.")] = KeyKind.SECRET,
    scope: Annotated[list[str] | None, typer.Option(help="What it may do; repeatable. Default: all.")] = None,
    rate_per_s: RatePerS = None,
    json: Json = False,
) -> None:
    """Create a further key, which is shown only now."""
    _print(_with_merchants(lambda service: service.create_key(merchant, kind.value, scope or [], rate_per_s)), json)


@keys.command("list")
def list_keys(merchant: KeyOwner, json: Json = False) -> None:
    """List a merchant's keys, without the keys themselves."""
    found = _with_merchants(lambda service: service.keys(merchant))
    if json:
        typer.echo(msgspec.json.encode(found))
        return
    table = Table(*(Column(title, no_wrap=True) for title in ("key", "scopes", "")), box=None, padding=(0, 1, 0, 0))
    for key in found:
        times = {"created": key.created_at, "used": key.last_used_at, "revoked": key.revoked_at}
        table.add_row(
            f"{key.key_id}\n[dim]{key.kind}, {escape(key.display)}[/]",
            "\n".join(key.scopes),
            "\n".join(f"{name} {at:%y-%m-%d %H:%M}Z" for name, at in times.items() if at is not None),
        )
    Console(highlight=False).print(table)


@keys.command("revoke")
def revoke_key(merchant: KeyOwner, key: Annotated[str, typer.Argument(help="The key's id, key_...")]) -> None:
    """Revoke a key: it moves nothing from now on."""
    _with_merchants(lambda service: service.revoke(merchant, key))
    typer.echo(f"revoked {key}")


def _set_status(merchant: str, status: Literal["active", "suspended", "closed"]) -> None:
    _with_merchants(lambda service: service.set_status(merchant, status))
    typer.echo(f"{merchant} is {status}")


def _with_merchants(work: Callable[[Merchants], Awaitable[T]]) -> T:
    settings = load_settings()
    database = command_database(settings)
    return run_on(database, lambda: work(Merchants(database, settings.rate_limit_per_s)))


def _print(created: msgspec.Struct, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(created))
        return
    for name, value in msgspec.structs.asdict(created).items():
        typer.echo(f"{name}: {value}")
