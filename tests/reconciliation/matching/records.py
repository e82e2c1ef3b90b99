"""Records to match, with what a test does not care about filled in."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from bezant.psp.reports import LineKind
from bezant.reconciliation.matching.model import (
    Deposit,
    DepositMatch,
    Explained,
    ExplainedDeposits,
    Line,
    Match,
    Operation,
    Payout,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def operation(
    id_: str,
    amount_minor: int,
    *,
    names: Iterable[str] = (),
    payment: str | None = None,
    payment_names: Iterable[str] | None = None,
    kind: LineKind = LineKind.CHARGE,
    currency: str = "USD",
    hours: float = 0,
) -> Operation:
    """An operation; its payment is its own unless said otherwise, and named after itself."""
    of = payment or f"payment of {id_}"
    return Operation(
        id=id_,
        kind=kind,
        payment=of,
        currency=currency,
        amount_minor=amount_minor,
        booked_at=NOON + timedelta(hours=hours),
        names=tuple(names),
        payment_names=(f"pay_{of}",) if payment_names is None else tuple(payment_names),
    )


def line(
    id_: str,
    amount_minor: int,
    *,
    names: Iterable[str] = (),
    payment: str | None = None,
    kind: LineKind = LineKind.CHARGE,
    currency: str = "USD",
    presented: tuple[str, int] | None = None,
    fee_minor: int = 0,
    hours: float = 24,
) -> Line:
    """A line, by default of the day after; `payment` as in `operation`."""
    return Line(
        id=id_,
        kind=kind,
        currency=currency,
        gross_minor=amount_minor,
        fee_minor=fee_minor,
        net_minor=amount_minor - fee_minor,
        occurred_at=NOON + timedelta(hours=hours),
        names=tuple(names),
        payment_names=(f"pay_{payment}",) if payment else (),
        presented_currency=presented[0] if presented else None,
        presented_minor=presented[1] if presented else None,
    )


def payout(id_: str, amount_minor: int, *, names: Iterable[str] = (), currency: str = "USD", days: float = 0) -> Payout:
    return Payout(id_, currency, amount_minor, NOON + timedelta(days=days), tuple(names))


def deposit(
    id_: str,
    amount_minor: int,
    *,
    names: Iterable[str] = (),
    text: str = "",
    currency: str = "USD",
    original: tuple[str, int] | None = None,
    days: int = 2,
) -> Deposit:
    """An entry of a statement, by default two days after a payout of `payout`."""
    booked_on: date = NOON.date() + timedelta(days=days)
    original_currency, original_minor = original or (None, None)
    return Deposit(id_, currency, amount_minor, booked_on, tuple(names), text, original_currency, original_minor)


def pairs(explained: Explained | ExplainedDeposits) -> set[tuple[str, str]]:
    """The matches as text: `A+B`, `1+2`."""
    return {shown(match) for match in explained.matches}


def shown(match: Match | DepositMatch) -> tuple[str, str]:
    ours, theirs = (match.operations, match.lines) if isinstance(match, Match) else (match.payouts, match.deposits)
    return "+".join(str(one.id) for one in ours), "+".join(str(one.id) for one in theirs)
