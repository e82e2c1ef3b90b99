"""The tables at the end, for someone who sees a payment system for the first time."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bezant.base.money import major_text
from bezant.demo.summary import Summary

_STATES: Final = {
    "pending": "nothing decided yet",
    "authorized": "money is reserved, not taken",
    "captured": "money was taken (some of it may have gone back)",
    "settled": "taken, reported by the PSP and seen at the bank",
    "failed": "declined; no money moved",
    "canceled": "given up, the reservation released",
    "refunding": "on its way back to the customer",
    "refunded": "all of it went back",
}
_ACCOUNTS: Final = {
    "customer_funds_in_transit": "taken from customers, not yet in a report of the PSP",
    "psp_clearing": "reported by the PSP, not yet at the bank",
    "psp_fee_expense": "kept by the PSP",
    "cash": "at the bank",
    "merchant_payable": "owed to the merchant",
    "platform_fee_revenue": "earned by the platform",
}
_FAILURES_SHOWN: Final = 20
_FAILURE_LENGTH_MAX: Final = 300


def show(summary: Summary, console: Console) -> None:
    """Print the summary."""
    for table in (_payments, _ledger, _unknown, _webhooks, _reconciliation, _figures):
        shown = table(summary)
        if shown is not None:
            console.print()
            console.print(shown)
    console.print()
    console.print(_verdict(summary))


def show_way_on(links: Mapping[str, str], curl: str, console: Console) -> None:
    """Print where to go on, with keys that are shown only now."""
    grid = Table.grid(padding=(0, 2))
    for name, link in links.items():
        grid.add_row(f"[bold]{name}[/]", Text(link, no_wrap=True, overflow="ignore"))
    console.print(Panel(grid, title="Go on from here", title_align="left", expand=False))
    console.print(curl, markup=False, highlight=False, soft_wrap=True)
    console.print("\n[dim]Ctrl-C stops everything.[/]")


def _payments(summary: Summary) -> Table:
    table = _table("Payments", "state", ">payments", "what it means")
    for state, count in summary.payments_by_state.items():
        table.add_row(state, str(count), f"[dim]{_STATES.get(state, '')}[/]")
    table.add_section()
    table.add_row("all", str(sum(summary.payments_by_state.values())), "")
    return table


def _ledger(summary: Summary) -> Table:
    currencies = sorted(summary.trial_balance)
    table = _table("Ledger: what lies where", "account", *(f">{currency}" for currency in currencies))
    balances = {(account["account"], account["currency"]): account["balance"] for account in summary.ledger}
    for code in dict.fromkeys(account["account"] for account in summary.ledger):
        row = [_amount(balances.get((code, currency), 0), currency) for currency in currencies]
        table.add_row(code, *row)
    table.add_section()
    sums = {currency: summary.trial_balance[currency] for currency in currencies}
    off = [_amount(s["debits"] - s["credits"], currency) for currency, s in sums.items()]
    table.add_row("debits less credits", *off)
    codes = dict.fromkeys(account["account"] for account in summary.ledger)
    table.caption = "\n".join(f"{code}: {_ACCOUNTS[code]}" for code in codes if code in _ACCOUNTS)
    return table


def _unknown(summary: Summary) -> Table:
    table = _table("Outcomes that nobody knew for a while", "what the PSP did", "found out by", ">times", "operations")
    kinds = Counter((u.what_happened, u.resolved_by) for u in summary.unknown_outcomes)
    for (what, by), count in sorted(kinds.items()):
        same = (u for u in summary.unknown_outcomes if (u.what_happened, u.resolved_by) == (what, by))
        of_each = Counter(u.operation for u in same).most_common()
        table.add_row(what, by, str(count), ", ".join(f"{number} {operation}" for operation, number in of_each))
    if not kinds:
        table.add_row("[dim]none[/]", "", "0", "")
    return table


def _webhooks(summary: Summary) -> Table:
    told, heard = summary.webhooks.from_psp, summary.webhooks.to_shop
    table = _table("Webhooks", "what", f">from {summary.psp}", ">to the shop", "")
    failed = sum(heard.failed_on_purpose.values())
    for what, from_psp, to_shop, meaning in (
        ("events", told.events, heard.events, ""),
        ("requests", told.requests, heard.tries, "each with its signature"),
        ("repeats dropped", told.repeats_dropped, heard.repeats_dropped, "known by their ids"),
        ("brought the outcome", told.decided, "", "before any answer"),
        ("failed on purpose", "", failed, "500, connection dropped"),
        ("out of order", told.out_of_order, heard.out_of_order, "within a payment"),
        ("median time", "", f"{heard.median_waited_s:g} s", "from change to shop"),
        ("slowest", "", f"{heard.slowest_waited_s:g} s", "failed once, sent again" if failed else ""),
    ):
        table.add_row(what, str(from_psp), str(to_shop), f"[dim]{meaning}[/]")
    return table


def _reconciliation(summary: Summary) -> Table | None:
    closing = summary.closing
    if closing is None:
        return None
    title = f"Reconciliation: {closing.lines:,} lines of {closing.reports} reports and {closing.statements} statements"
    table = _table(title, "planted by the simulator", ">times", ">breaks", "")
    for each in closing.planted:
        meaning = "a person has to look" if each.is_a_break else "seen through, nothing left to do"
        table.add_row(each.kind, str(each.planted), str(each.found), f"[dim]{meaning}[/]")
    return table


def _figures(summary: Summary) -> Table:
    table = _table("Figures", "what", ">how much", "")
    slowest = max((u.took_s for u in summary.unknown_outcomes), default=0.0)
    table.add_row(
        "calls to the API",
        f"{summary.api_calls}",
        f"{summary.api_calls_per_s:g} a second while shopping",
    )
    table.add_row("median reply", f"{summary.reply_median_ms:g} ms", "")
    table.add_row(
        "checkouts", f"{summary.payments}", f"in {summary.shopping_s:g} s: {summary.payments_per_s:g} a second"
    )
    table.add_row("replies given again", f"{summary.idempotent_replays}", "same key, same reply, nothing done twice")
    table.add_row("repeats by the shop", f"{sum(summary.repeats.values())}", "told to wait, or had hung up")
    unresolved = f"of {len(summary.unknown_outcomes)} outcomes; the slowest took {slowest:g} s"
    table.add_row("still unresolved", f"{summary.unresolved}", unresolved)
    return table


def _verdict(summary: Summary) -> Panel:
    lines = [f"{mark} {what}" for mark, what in _checks(summary)]
    shown = [failure[:_FAILURE_LENGTH_MAX] for failure in summary.failures[:_FAILURES_SHOWN]]
    more = len(summary.failures) - len(shown)
    lines += [*shown, *([f"... and {more} more"] if more > 0 else [])]
    title = "Everything agrees" if summary.agreed else "Something does not agree"
    style = "green" if summary.agreed else "red"
    return Panel(Text("\n".join(lines)), title=title, title_align="left", border_style=style, expand=False)


def _checks(summary: Summary) -> list[tuple[str, str]]:
    return [("ok   " if passed else "WRONG", what) for what, passed in summary.checks.items()]


def _amount(amount_minor: int, currency: str) -> str:
    return major_text(amount_minor, currency).removesuffix(f" {currency}")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, header_style="dim", caption_style="dim", show_edge=False)
    table.title_style, table.title_justify, table.caption_justify = "bold", "left", "left"
    for number, column in enumerate(columns):
        justify = "right" if column.startswith(">") else "left"
        table.add_column(column.removeprefix(">"), justify=justify, no_wrap=number == 0 or justify == "right")
    return table
