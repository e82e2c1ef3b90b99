"""What a PSP sends to the bank: the rows of a day, or of a week, together."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Final

import msgspec
from msgspec.structs import replace

from bezant.base import ids
from bezant.bench.quality.names import payout_names
from bezant.bench.quality.orders import Case
from bezant.bench.quality.shops import Account
from bezant.reconciliation.matching.model import Line, Payout

_REPORTED: Final = timedelta(days=1, hours=6)
_PAID: Final = time(5, 30, tzinfo=UTC)


class Sent(msgspec.Struct, frozen=True):
    """A payout, whose it is, and how its transfer calls it at the bank."""

    payout: Payout
    account: Account
    told: str


def reported_at(occurred_at: datetime) -> datetime:
    """When a row is in a report: the next morning."""
    return datetime.combine(occurred_at.date(), time(tzinfo=UTC)) + _REPORTED


def business_days_after(day: date, count: int) -> date:
    """The next day but `count` on which banks work; a day on which they work is its own next for 0."""
    while day.weekday() >= 5:
        day += timedelta(days=1)
    for _ in range(count):
        day += timedelta(days=1)
        while day.weekday() >= 5:
            day += timedelta(days=1)
    return day


def pay_out(rng: Random, cases: Sequence[Case], now: datetime) -> list[Sent]:
    """Put every reported line that has been paid by `now` into a payout of its account; the payouts."""
    batches: dict[tuple[str, date], list[tuple[Case, int]]] = {}
    accounts = {case.account.name: case.account for case in cases}
    for case in cases:
        for number, line in enumerate(case.lines):
            batches.setdefault((case.account.name, _payday(case.account, line)), []).append((case, number))
    sent: list[Sent] = []
    numbers = dict.fromkeys(accounts, 0)
    for (name, day), rows in sorted(batches.items()):
        amount_minor = _net(case.lines[number] for case, number in rows)
        paid_at = datetime.combine(day, _PAID)
        if amount_minor == 0 or paid_at > now:
            continue
        numbers[name] += 1
        account = accounts[name]
        names, told = payout_names(rng, account, numbers[name])
        payout = Payout(
            ids.dated(paid_at, str(rng.getrandbits(64))),
            account.currency,
            amount_minor,
            paid_at,
            names,
        )
        for case, number in rows:
            case.lines[number] = replace(case.lines[number], payout=payout.id)
        sent.append(Sent(payout, account, told))
    return sent


def _payday(account: Account, line: Line) -> date:
    reported = reported_at(line.occurred_at).date()
    if account.is_weekly:
        return reported + timedelta(days=7 - reported.weekday())
    return business_days_after(reported, 1)


def _net(lines: Iterable[Line]) -> int:
    return sum(line.net_minor for line in lines)
