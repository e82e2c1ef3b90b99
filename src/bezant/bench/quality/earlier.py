"""Payouts of the months before, of which only the sums are looked at: bank statements go back further than reports."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from bezant.base import ids
from bezant.bench.quality.names import payout_names
from bezant.bench.quality.orders import fee_of
from bezant.bench.quality.payouts import Sent, business_days_after
from bezant.bench.quality.shops import Account, Merchant, draw_merchants
from bezant.psp.reports import LineKind
from bezant.reconciliation.matching.model import Payout

_REFUNDS = 0.05


def earlier_payouts(rng: Random, count: int, before: date) -> list[Sent]:
    """So many payouts of 20 to 60 merchants, the last of them some days before `before`."""
    merchants, sales = draw_merchants(rng, rng.randint(20, 60))
    sold = [sale * rng.uniform(20, 200) for sale in sales]
    day = before - timedelta(days=10)
    sent: list[Sent] = []
    while len(sent) < count:
        day -= timedelta(days=1)
        sent += _of_day(rng, merchants, sold, day)
    return sent[:count]


def _of_day(rng: Random, merchants: Sequence[Merchant], sold: Sequence[float], day: date) -> Iterator[Sent]:
    if day.weekday() >= 5:
        return
    amounts: dict[str, int] = {}
    accounts: dict[str, Account] = {}
    for merchant, mean in zip(merchants, sold, strict=True):
        account = merchant.account
        if account.is_weekly and day.weekday() != 0:
            continue
        accounts[account.name] = account
        days = 7 if account.is_weekly else 3 if day.weekday() == 0 else 1
        net_minor = sum(_net(rng, merchant) for _ in range(int(rng.expovariate(1 / (mean * days)))))
        amounts[account.name] = amounts.get(account.name, 0) + net_minor
    for name, amount_minor in amounts.items():
        if amount_minor:
            account = accounts[name]
            at = datetime.combine(business_days_after(day, 0), time(5, 30, tzinfo=UTC))
            names, told = payout_names(rng, account, at.toordinal() % 400 + 1)
            payout_id = ids.dated(at, str(rng.getrandbits(64)))
            yield Sent(Payout(payout_id, account.currency, amount_minor, at, names), account, told)


def _net(rng: Random, merchant: Merchant) -> int:
    """What one sale brings, or a refund takes."""
    amount_minor = merchant.amount(rng)
    if rng.random() < _REFUNDS:
        return -amount_minor
    return amount_minor - fee_of(rng, merchant.account, LineKind.CHARGE, amount_minor)
