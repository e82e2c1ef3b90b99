"""`bezant attempts --stuck` and `bezant attempts resolve`: what evidence could not resolve, and a person can."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from bezant.app import Services, create_services
from bezant.base import ids
from bezant.base.errors import OperatorError
from bezant.base.money import major_text
from bezant.commands.start import actor, current_database, load_settings, run_on
from bezant.commands.texts import safe
from bezant.idempotency.claims import Reply
from bezant.payments.resolve import AttemptView, ResolveAttempt

T = TypeVar("T")

attempts = typer.Typer(help="Attempts at a PSP whose outcome nobody could find out.", no_args_is_help=True)

_REASON_MIN, _REASON_MAX = 3, 500


@attempts.callback(invoke_without_command=True)
def stuck_attempts(
    context: typer.Context,
    stuck: Annotated[bool, typer.Option("--stuck", help="List what waits for a person, oldest first.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """List what waits for a person, or resolve one of them."""
    if context.invoked_subcommand is not None:
        return
    if not stuck:
        raise OperatorError("Say --stuck to list what waits for a person, or resolve ATTEMPT_ID.")
    found = _with_services(lambda services: services.payments.resolution.stuck(None))
    if json:
        typer.echo(msgspec.json.encode(found))
        return
    _print(found)


@attempts.command("resolve")
def resolve_attempt(
    attempt: Annotated[str, typer.Argument(help="The attempt's id, att_...")],
    outcome: Annotated[Literal["approved", "declined"], typer.Option(help="What the PSP itself shows.")],
    reason: Annotated[str, typer.Option(help="How you know; it is kept with your name.")],
    psp_reference: Annotated[
        str | None, typer.Option(help="The PSP's name of it; required for an approved authorization.")
    ] = None,
    captured: Annotated[
        int | None, typer.Option(min=0, help="Of an approved authorization: minor units that were taken with it.")
    ] = None,
) -> None:
    """Record what a person found out at the PSP: it posts what it says, and is audited."""
    attempt_id = ids.parse(ids.ATTEMPT, attempt)
    if attempt_id is None:
        raise OperatorError(f"There is no attempt {attempt!r}; `bezant attempts --stuck` lists them.")
    if not _REASON_MIN <= len(reason) <= _REASON_MAX:
        raise OperatorError(f"--reason takes {_REASON_MIN} to {_REASON_MAX} characters.")
    said = ResolveAttempt(outcome=outcome, reason=reason, psp_reference=psp_reference, captured=captured)

    async def resolve(services: Services) -> Reply:
        merchant_id = await services.payments.resolution.merchant_of(attempt_id)
        return await services.payments.resolution.resolve(merchant_id, attempt_id, said, actor())

    _with_services(resolve)
    typer.echo(f"{attempt} is {outcome}")


def _with_services(work: Callable[[Services], Awaitable[T]]) -> T:
    """Work on the services with the database open and no job running."""
    settings = load_settings()
    current_database(settings)
    services = create_services(settings)
    return run_on(services.database, lambda: work(services))


def _print(found: list[AttemptView]) -> None:
    console = Console(highlight=False)
    if not found:
        console.print("Nothing is stuck.")
        return
    table = Table("attempt, payment, merchant", "what", "asked", Column("seen last", overflow="fold"), box=None)
    table.columns[0].no_wrap = True
    for each in found:
        amount = major_text(each.amount.value, each.amount.currency)
        table.add_row(
            f"{each.attempt_id}\n[dim]{each.payment_id}\n{each.merchant_id}[/]",
            f"{each.operation}\n{amount}\n[dim]{each.psp}[/]",
            f"{each.checks} times\n[dim]since\n{each.created_at:%Y-%m-%d %H:%M}Z[/]",
            safe(each.detail or ""),
        )
    console.print(table)
