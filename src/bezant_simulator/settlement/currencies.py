"""Amounts in minor units: their decimals, and what they are in another currency."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Final

import msgspec
from iso4217 import Currency

_DECIMALS: Final = {each.code: each.exponent for each in Currency if each.exponent is not None}
_DECIMALS_DEFAULT: Final = 2


class Conversion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a currency is settled in: `rate` units of `currency` for one."""

    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    rate: Decimal

    def __post_init__(self) -> None:
        if not (self.rate.is_finite() and Decimal("0.000001") <= self.rate <= 1_000_000):
            raise ValueError("a rate is between 0.000001 and 1,000,000")


def converted(amount: int, currency: str, into: Conversion) -> int:
    """An amount in minor units, in those of the other currency, half up."""
    shift = Decimal(10) ** (decimals(into.currency) - decimals(currency))
    return int((amount * into.rate * shift).quantize(Decimal(1), ROUND_HALF_UP))


def major(amount: int, currency: str) -> str:
    """An amount without a sign, with the currency's decimals: `49.99`."""
    places = decimals(currency)
    digits = str(abs(amount)).rjust(places + 1, "0")
    return f"{digits[: len(digits) - places]}.{digits[-places:]}" if places else digits


def decimals(currency: str) -> int:
    """How many decimals the currency has."""
    return _DECIMALS.get(currency, _DECIMALS_DEFAULT)
