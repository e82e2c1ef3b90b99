"""`bezant reconciliation breaks|show|assign|comment|resolve|match|unmatch|status|transit`: people at work on breaks."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, Literal, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from bezant.audit.record import By
from bezant.base import ids
from bezant.base.db import Database, Transaction
from bezant.base.errors import OperatorError
from bezant.base.money import AMOUNT_MINOR_MAX, Money, major_text
from bezant.commands.reconciliation_run import reconciliation
from bezant.commands.start import actor, current_database, load_settings, run_on
from bezant.commands.texts import safe
from bezant.reconciliation.breaks.by_hand.unmatch import item_of
from bezant.reconciliation.breaks.matches import made_view, undone_view
from bezant.reconciliation.breaks.overview.status import AGES, OnItsWay, Overview, TransitFilter
from bezant.reconciliation.breaks.resolve import MOVES_MONEY, match_items, resolve, unmatch_item
from bezant.reconciliation.breaks.rules import Resolution
from bezant.reconciliation.breaks.views import (
    BY_A_PERSON,
    DAYS_MAX,
    OWNER_MAX,
    BreakDetail,
    BreakFilter,
    BreakView,
    ItemView,
)
from bezant.reconciliation.breaks.work import Work, assign, comment
from bezant.reconciliation.lease import Lease

T = TypeVar("T")

_CONNECTIONS_MAX: Final = 3
_OURS: Final = (f"{ids.JOURNAL}_", f"{ids.PAYOUT_AT_PSP}_")

Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
Break = Annotated[str, typer.Argument(help="The break's id, brk_...")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with your name.")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="How many.")]


@reconciliation.command("breaks")
def list_breaks(
    kind: Annotated[str | None, typer.Option(help="Only of this kind; without: all that is work.")] = None,
    status: Annotated[Literal["open", "resolved", "all"], typer.Option(help="Where they stand.")] = "open",
    psp: Annotated[str | None, typer.Option(help="Only of this PSP.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only what is somebody's.")] = None,
    currency: Annotated[str | None, typer.Option(help="Only in this currency.")] = None,
    amount: Annotated[
        int | None, typer.Option(min=0, max=AMOUNT_MINOR_MAX, help="At least so many minor units at risk.")
    ] = None,
    older_than: Annotated[int | None, typer.Option("--older-than", min=0, max=DAYS_MAX, help="Days.")] = None,
    limit: Limit = 20,
    csv: Annotated[bool, typer.Option("--csv", help="All of them as CSV, safe for spreadsheets.")] = False,
    json: Json = False,
) -> None:
    """List breaks, newest first."""
    wanted = BreakFilter(
        status=status,
        kind=kind,
        psp=psp,
        owner=owner,
        currency=currency,
        amount_gte=amount,
        older_than_days=older_than,
        limit=limit,
    )
    if csv:
        _on_database(lambda database: _write_csv(database, wanted))
        return
    page = _on_database(lambda database: Work(database).page(wanted))
    if json:
        typer.echo(msgspec.json.encode(page))
        return
    # 36 for ids, 20 for the longest kind, 14 for money: 80 with what is between them.
    what = Column("what, whose", overflow="fold")
    table = Table(Column("break, about", no_wrap=True), what, Column("at risk, since", justify="right"), box=None)
    for each in page.data:
        table.add_row(
            f"{each.break_id}\n[dim]{safe(each.subject or '')}[/]",
            f"{each.kind}\n[dim]{', '.join(filter(None, (each.psp, _stands(each), safe(each.owner or ''))))}[/]",
            f"{_money(each.at_risk)}\n[dim]{each.since:%Y-%m-%d}[/]",
        )
    Console(highlight=False).print(table if page.data else "There are no such breaks.")
    if page.has_more:
        typer.echo(f"There are more than {limit}: narrow the list, or raise --limit.", err=True)


@reconciliation.command("show")
def show_break(break_id: Break, json: Json = False) -> None:
    """Show a break with its comments, what it is about, and what could explain it."""
    _print_break(_on_database(lambda database: Work(database).show(break_id)), json)


@reconciliation.command("assign")
def assign_break(
    break_id: Break,
    owner: Annotated[str | None, typer.Argument(help="Who is to look at it; nobody if left out.")] = None,
    json: Json = False,
) -> None:
    """Say who is to look at a break."""
    if owner is not None and not 1 <= len(owner) <= OWNER_MAX:
        raise OperatorError(f"A name has 1 to {OWNER_MAX} characters.")
    _work_on(break_id, lambda transaction: assign(transaction, break_id, owner, actor()), json)


@reconciliation.command("comment")
def comment_on_break(
    break_id: Break, body: Annotated[str, typer.Argument(help="What you know of it.")], json: Json = False
) -> None:
    """Say something of a break."""
    if not 1 <= len(body) <= 4_000:
        raise OperatorError("A comment has 1 to 4000 characters.")
    _work_on(break_id, lambda transaction: comment(transaction, break_id, body, actor()), json)


@reconciliation.command("resolve")
def resolve_break(
    break_id: Break,
    resolution: Annotated[BY_A_PERSON, typer.Option("--as", help="How it ends.")],
    reason: Reason,
    json: Json = False,
) -> None:
    """End a break: write its money off, accept what the PSP reports, or dismiss it where no money is at risk."""
    by, ends = By(actor(), reason), Resolution(resolution)
    _work_on(
        break_id, lambda transaction: resolve(transaction, break_id, ends, by), json, moves_money=ends in MOVES_MONEY
    )


@reconciliation.command("match")
def match_by_hand(
    items: Annotated[
        list[str],
        typer.Argument(
            help="Operations jrn_... and lines psl_..., or payouts pyo_... and bank lines bkl_..., or payouts that "
            "failed and, last, the one with which they were sent again."
        ),
    ],
    reason: Reason,
    write_off: Annotated[bool, typer.Option("--write-off", help="Give up the difference of their sums.")] = False,
    json: Json = False,
) -> None:
    """Match operations of one payment with lines of reports, or payouts with bank lines."""
    by = By(actor(), reason)
    ours = [item for item in items if item.startswith(_OURS)]
    theirs = [item for item in items if not item.startswith(_OURS)]
    if not theirs:
        ours, theirs = ours[:-1], ours[-1:]
    made = made_view(_decide(lambda transaction: match_items(transaction, ours, theirs, by, write_off=write_off)))
    if json:
        typer.echo(msgspec.json.encode(made))
        return
    rest = f", {_money(made.written_off)} written off" if made.written_off.value else ""
    typer.echo(f"{made.match_id} is made{rest}")


@reconciliation.command("unmatch")
def unmatch_by_hand(
    match: Annotated[str, typer.Argument(help="The match, mat_..., or anything that it explains.")],
    reason: Reason,
    json: Json = False,
) -> None:
    """Take a match back: its postings are reversed, and no run matches its lines again."""
    by, item_id = By(actor(), reason), item_of(match)
    if item_id is None:
        raise OperatorError(f"There is no match {match!r}.")
    undone = undone_view(_decide(lambda transaction: unmatch_item(transaction, item_id, by)))
    typer.echo(
        msgspec.json.encode(undone) if json else f"{undone.match_id} is no more: {undone.reopened} things are open"
    )


@reconciliation.command("status")
def show_status(json: Json = False) -> None:
    """Show what is on its way, by account, kind and age, and how much of it is a break."""
    status = _on_database(lambda database: Overview(database).status())
    if json:
        typer.echo(msgspec.json.encode(status))
        return
    console = Console(highlight=False)
    for title, rows in (
        ("operations that PSPs must still report", status.operations),
        ("lines of reports that nothing explains", status.lines),
        ("payouts that are not at a bank yet", status.payouts),
        ("bank lines that nothing explains", status.bank_lines),
    ):
        if rows:
            console.print(_ages(title, rows))
    if status.breaks:
        table = Table("open breaks", *_right("count", "assigned", "at risk"), "oldest", box=None, title_justify="left")
        for each in status.breaks:
            table.add_row(
                each.kind, f"{each.count:,}", f"{each.assigned:,}", _money(each.at_risk), f"{each.oldest:%Y-%m-%d}"
            )
        console.print(table)
    table = Table("files", "state", *_right("count", "lines", "quarantined"), "last", box=None)
    for file in status.files:
        counts = (f"{file.count:,}", f"{file.lines:,}", f"{file.quarantined:,}")
        table.add_row(file.psp, file.state, *counts, f"{file.last_at:%Y-%m-%d %H:%M}Z")
    console.print(table if status.files else "No file was loaded yet.")


@reconciliation.command("transit")
def show_transit(
    payment: Annotated[str | None, typer.Option(help="Everything of this payment, pay_...")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List what is in transit, operation by operation: that nothing is left of it, or why."""
    page = _on_database(lambda database: Overview(database).transit(TransitFilter(payment=payment, limit=limit)))
    if json:
        typer.echo(msgspec.json.encode(page))
        return
    table = Table("operation, payment", "what", *_right("in transit"), Column("why", overflow="fold"), box=None)
    table.columns[0].no_wrap = True
    for each in page.data:
        table.add_row(
            f"{each.operation_id}\n[dim]{each.payment_id}[/]",
            f"{each.kind}\n[dim]{_money(each.amount)}[/]",
            _money(each.in_transit),
            safe(each.why) + "".join(f"\n[dim]{found}[/]" for found in (*each.lines, each.break_id) if found),
        )
    Console(highlight=False).print(table if page.data else "Nothing is in transit.")
    if page.has_more:
        typer.echo(f"There are more than {limit}: raise --limit.", err=True)


def _on_database(work: Callable[[Database], Awaitable[T]]) -> T:
    database = Database(
        current_database(load_settings()), connections_max=_CONNECTIONS_MAX, application="bezant command"
    )
    return run_on(database, lambda: work(database))


def _decide(work: Callable[[Transaction], Awaitable[T]]) -> T:
    """Decide something about money while no run does."""

    async def decide(database: Database) -> T:
        lease = Lease(database)
        async with lease.held(is_run=False), lease.guarded() as transaction:
            return await work(transaction)

    return _on_database(decide)


def _work_on(
    break_id: str, work: Callable[[Transaction], Awaitable[None]], json: bool, *, moves_money: bool = False
) -> None:
    """Do something with a break and show it as it is then."""

    async def alone(database: Database) -> None:
        async with database.transaction() as transaction:
            await work(transaction)

    if moves_money:
        _decide(work)
    else:
        _on_database(alone)
    _print_break(_on_database(lambda database: Work(database).show(break_id)), json)


async def _write_csv(database: Database, wanted: BreakFilter) -> None:
    async for piece in Work(database).export(wanted):
        typer.echo(piece, nl=False)


def _print_break(shown: BreakDetail, json: bool) -> None:
    if json:
        typer.echo(msgspec.json.encode(shown))
        return
    console = Console(highlight=False, soft_wrap=True)
    for name, value in msgspec.structs.asdict(shown).items():
        if name not in ("items", "candidates", "comments") and value is not None:
            console.print(f"{name}: {safe(_money(value) if isinstance(value, Money) else str(value))}")
    _print_items(console, "about", shown.items)
    _print_items(console, "could be explained by", shown.candidates)
    for each in shown.comments:
        console.print(f"\n{safe(each.author)}, {each.created_at:%Y-%m-%d %H:%M}Z: {safe(each.body)}")


def _print_items(console: Console, title: str, items: list[ItemView]) -> None:
    for each in items:
        stands = "open" if each.is_open else "explained"
        names = safe(", ".join(each.names))
        console.print(
            f"{title}: {each.id} {each.kind} {_money(each.amount)}, {each.at:%Y-%m-%d}, {stands} [dim]{names}[/]"
        )


def _ages(title: str, rows: list[OnItsWay]) -> Table:
    """A line for each kind at an account, a column for each age."""
    table = Table(title, "kind", *_right(*AGES, "in all"), box=None)
    kinds = dict.fromkeys((each.at, each.account or "", each.kind, each.amount.currency) for each in rows)
    for at, account, kind, currency in kinds:
        of_kind = [
            r for r in rows if (r.at, r.account or "", r.kind, r.amount.currency) == (at, account, kind, currency)
        ]
        by_age = {each.age: f"{_money(each.amount)}\n[dim]{each.count:,}[/]" for each in of_kind}
        total = Money(sum(each.amount.value for each in of_kind), currency)
        cells = (by_age.get(age, "") for age in AGES)
        table.add_row(f"{at}{'/' if account else ''}{safe(account)}", kind, *cells, _money(total))
    return table


def _right(*titles: str) -> list[Column]:
    return [Column(title, justify="right") for title in titles]


def _stands(each: BreakView) -> str:
    return each.status if each.resolution is None else each.resolution


def _money(amount: Money | None) -> str:
    return "" if amount is None else major_text(amount.value, amount.currency)
