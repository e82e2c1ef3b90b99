"""`bezant disputes`: what customers' banks take back, seen and answered from the command line."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeVar
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from bezant.app import Services, create_services
from bezant.audit.record import By
from bezant.base import ids
from bezant.base.errors import OperatorError
from bezant.base.money import Money, major_text
from bezant.commands.start import actor, current_database, load_settings, run_on
from bezant.commands.texts import safe
from bezant.disputes.act import Verb
from bezant.disputes.queries import DisputeQuery
from bezant.disputes.render import DisputeView
from bezant.disputes.states import Status
from bezant.psp.call import HttpTransport

T = TypeVar("T")

disputes = typer.Typer(help="Disputes: what customers' banks take back.", no_args_is_help=True)

_Id = Annotated[str, typer.Argument(metavar="DISPUTE_ID", help="The dispute's id, dsp_...")]
_Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
_Reason = Annotated[str, typer.Option(help="Why; it is kept with your name.")]
_Bearer = Literal["merchant", "platform"]


@disputes.command("list")
def list_disputes(
    merchant: Annotated[str | None, typer.Option(help="Only this merchant's, mer_...")] = None,
    status: Annotated[Status | None, typer.Option(help="Only those of this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 20,
    json: _Json = False,
) -> None:
    """List disputes, those of the newest payments first."""
    merchant_id = None if merchant is None else _required(ids.MERCHANT, merchant, "merchant")
    wanted = DisputeQuery(status=status, limit=limit)
    page = _with_services(lambda services: services.disputes.queries.page(merchant_id, wanted))
    if json:
        typer.echo(msgspec.json.encode(page.data))
        return
    _print_all(page.data)


@disputes.command("show")
def show_dispute(dispute: _Id, json: _Json = False) -> None:
    """Show one dispute, with what was brought against it."""
    dispute_id = _required(ids.DISPUTE, dispute, "dispute")
    shown = _with_services(lambda services: services.disputes.queries.show(None, dispute_id))
    if json:
        typer.echo(msgspec.json.encode(shown))
        return
    _print_one(shown)


@disputes.command("submit")
def submit_dispute(dispute: _Id, reason: _Reason) -> None:
    """Hand in what the merchant has brought, once and for good."""
    _act(dispute, "submit", reason)


@disputes.command("accept")
def accept_dispute(dispute: _Id, reason: _Reason) -> None:
    """Give in for the merchant: the dispute is lost then."""
    _act(dispute, "accept", reason)


@disputes.command("policy")
def set_policy(
    merchant: Annotated[str, typer.Argument(metavar="MERCHANT_ID", help="The merchant's id, mer_...")],
    reason: _Reason,
    loss: Annotated[_Bearer | None, typer.Option(help="Who bears what is lost from now on.")] = None,
    fee: Annotated[_Bearer | None, typer.Option(help="Who bears the PSP's fees from now on.")] = None,
) -> None:
    """Say who bears a merchant's lost disputes and their fees."""
    merchant_id, by = _required(ids.MERCHANT, merchant, "merchant"), By(actor(), reason)
    if loss is None and fee is None:
        raise OperatorError("Say --loss, --fee or both.")
    policy = _with_services(lambda services: services.disputes.set_policy(merchant_id, loss, fee, by))
    typer.echo(f"{merchant}: the {policy[0]} bears what is lost, the {policy[1]} the fees")


def _act(dispute: str, verb: Verb, reason: str) -> None:
    dispute_id, by = _required(ids.DISPUTE, dispute, "dispute"), By(actor(), reason)
    shown = _with_services(lambda services: services.disputes.act(dispute_id, verb, by))
    action = shown.action
    typer.echo(f"{dispute} is {shown.status}" + ("" if action is None else f" ({action.action}: {action.status})"))


def _required(prefix: str, text: str, what: str) -> UUID:
    found = ids.parse(prefix, text)
    if found is None:
        raise OperatorError(f"There is no {what} {text!r}: its id looks like {prefix}_ and 32 hexadecimal digits.")
    return found


def _with_services(work: Callable[[Services], Awaitable[T]]) -> T:
    """Work on the services with the database open and no job running."""
    settings = load_settings()
    current_database(settings)
    services = create_services(settings)

    async def work_and_hang_up() -> T:
        try:
            return await work(services)
        finally:
            if isinstance(services.transport, HttpTransport):
                await services.transport.close()

    return run_on(services.database, work_and_hang_up)


def _print_all(found: list[DisputeView]) -> None:
    console = Console(highlight=False)
    if not found:
        console.print("There are no disputes.")
        return
    table = Table("dispute, payment", "amount", "stands", Column("evidence due", overflow="fold"), box=None)
    table.columns[0].no_wrap = True
    for each in found:
        due_at = "" if each.evidence_due_at is None else f"{each.evidence_due_at:%Y-%m-%d %H:%M}Z"
        table.add_row(
            f"{each.dispute_id}\n[dim]{each.payment_id}[/]",
            f"{_text(each.amount)}\n[dim]{each.psp}[/]",
            f"{each.status}\n[dim]{each.stage}[/]",
            due_at,
        )
    console.print(table)


def _print_one(shown: DisputeView) -> None:
    _print_all([shown])
    console = Console(highlight=False)
    for each in shown.rounds:
        console.print(f"round {each.round}: {_text(each.amount)} {each.outcome}")
    for field, words in shown.evidence.texts.items():
        console.print(f"{field}: {safe(words)}")
    for file in shown.evidence.files:
        console.print(f"{file.field}: {safe(file.name)}, {file.content_type}, {file.size} bytes")


def _text(amount: Money) -> str:
    return major_text(amount.value, amount.currency)
