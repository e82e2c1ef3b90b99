"""Who sells what, when, and through which PSP account: merchants of very different size, whose prices are few."""

from bisect import bisect
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from random import Random
from typing import Final

import msgspec

from bezant.base.money import EXPONENTS
from bezant.reconciliation.matching.model import Fee

_CURRENCIES: Final = {"EUR": 45, "USD": 33, "GBP": 13, "CHF": 4, "SEK": 3, "JPY": 2}
_IN_EUROS: Final = {"EUR": 1.0, "USD": 0.92, "GBP": 1.17, "CHF": 1.04, "SEK": 0.088, "JPY": 0.0061}
_HOURS: Final = (10, 6, 4, 3, 3, 4, 7, 14, 24, 34, 42, 48, 52, 48, 45, 44, 46, 52, 62, 74, 82, 76, 50, 24)
_ENDINGS: Final = ((99, 45), (95, 15), (90, 15), (0, 15), (50, 10))


class Connector(StrEnum):
    """Through whom a merchant is paid."""

    SIMULATOR = "simulator"
    STRIPE = "stripe"
    ADYEN = "adyen"
    PAYPAL = "paypal"


class Route(StrEnum):
    """What becomes of a payout's reference on the way to the bank statement."""

    END_TO_END = "end-to-end id"
    TEXT = "in the text"
    CAPITALS = "in the text, in capitals, without underscores"
    WRAPPED = "in the text, broken into lines"
    DROPPED = "nowhere"


class Account(msgspec.Struct, frozen=True):
    """An account at a PSP. `fee`: what is agreed, None where each card costs something else."""

    name: str
    connector: Connector
    currency: str
    fee: Fee | None
    route: Route
    is_weekly: bool


class Merchant(msgspec.Struct, frozen=True):
    """`prices` in minor units, the popular ones first. `bills_at_night`: subscriptions, all within half an hour."""

    account: Account
    prices: Sequence[int]
    popularity: Sequence[float]
    bills_at_night: bool
    shipping_minor: int
    weekend: float

    def amount(self, rng: Random) -> int:
        """What a customer pays."""
        if self.bills_at_night:
            return self._price(rng)
        items = rng.choices((1, 2, 3, 4), (70, 19, 8, 3))[0]
        return sum(self._price(rng) for _ in range(items)) + (self.shipping_minor if rng.random() < 0.4 else 0)

    def moment(self, rng: Random, start: datetime, days: int) -> datetime:
        """When a customer pays."""
        while True:
            day = start + timedelta(days=rng.randrange(days))
            if self.weekend >= 1 or day.weekday() < 5 or rng.random() < self.weekend:
                break
        if self.bills_at_night and rng.random() < 0.9:
            return day + timedelta(hours=3, seconds=rng.random() * 1_800)
        hour = rng.choices(range(24), _HOURS)[0]
        return day + timedelta(hours=hour, seconds=rng.random() * 3_600)

    def _price(self, rng: Random) -> int:
        return self.prices[bisect(self.popularity, rng.random() * self.popularity[-1])]


def draw_merchants(rng: Random, count: int) -> tuple[list[Merchant], list[float]]:
    """Merchants, and how much each sells compared with the others. Half of them share the platform's accounts."""
    shared: dict[tuple[Connector, str], Account] = {}
    merchants: list[Merchant] = []
    for number in range(count):
        currency = rng.choices(list(_CURRENCIES), list(_CURRENCIES.values()))[0]
        connector = rng.choices(list(Connector), (20, 40, 25, 15))[0]
        account = _account(rng, connector, currency, f"{connector}-{currency}-{number}")
        if rng.random() < 0.5:
            account = shared.setdefault((connector, currency), account)
        merchants.append(_merchant(rng, account))
    return merchants, [1 / (rank + 2) ** 0.8 for rank in range(count)]


def minor(euros: float, currency: str) -> int:
    """About this many euros, in minor units of `currency`."""
    return max(1, round(euros / _IN_EUROS[currency] * 10 ** EXPONENTS[currency]))


def minor_rate(rng: Random, source: str, target: str) -> float:
    """What a minor unit of `source` is worth in those of `target` today, after the PSP's margin, in six digits."""
    quoted = float(f"{_IN_EUROS[source] / _IN_EUROS[target] * rng.gauss(0.985, 0.006):.6g}")
    return quoted * 10.0 ** (EXPONENTS[target] - EXPONENTS[source])


def foreign(rng: Random, currency: str) -> str:
    """A currency that customers of a shop in `currency` pay in."""
    others = [code for code in _CURRENCIES if code != currency]
    return rng.choices(others, [_CURRENCIES[code] for code in others])[0]


def _account(rng: Random, connector: Connector, currency: str, name: str) -> Account:
    fixed_minor = minor(0.30, currency)
    agreed = {
        Connector.SIMULATOR: Fee(currency, 290, fixed_minor),
        Connector.STRIPE: Fee(currency, rng.choice((140, 150, 290)), fixed_minor),
        Connector.ADYEN: None,
        Connector.PAYPAL: Fee(currency, rng.choice((249, 349)), fixed_minor),
    }
    route = rng.choices(list(Route), (35, 25, 15, 10, 15))[0]
    return Account(name, connector, currency, agreed[connector], route, rng.random() < 0.15)


def _merchant(rng: Random, account: Account) -> Merchant:
    bills_at_night = rng.random() < 0.25
    count = rng.randint(1, 3) if bills_at_night else rng.randint(5, 60)
    usual = rng.choice((9.0, 15.0, 25.0, 40.0, 80.0))
    prices = [_price(rng, usual, account.currency) for _ in range(count)]
    popularity = list(accumulate(1 / (rank + 1) ** 0.9 for rank in range(count)))
    shipping = minor(rng.choice((3.9, 4.9, 5.95)), account.currency)
    return Merchant(account, prices, popularity, bills_at_night, shipping, rng.choice((0.3, 1.0, 1.0)))


def _price(rng: Random, usual: float, currency: str) -> int:
    """A price as shops write them: 9.99, 24.90, 1480 yen."""
    about = minor(max(1.0, rng.lognormvariate(0, 0.7) * usual), currency)
    if EXPONENTS[currency] == 0:
        return max(10, about // 10 * 10)
    ending = rng.choices([each for each, _ in _ENDINGS], [weight for _, weight in _ENDINGS])[0]
    return max(100, about // 100 * 100 + ending)
