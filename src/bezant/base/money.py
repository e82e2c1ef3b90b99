"""Amounts in integer minor units with an ISO 4217 currency.

The exponent of each currency (JPY 0, USD 2, KWD 3) is ISO 4217's own, read from the `iso4217` package, which carries
the maintenance agency's list. A PSP's exceptions belong in its connector's manifest, not here.
"""

from typing import Final

import msgspec
from iso4217 import Currency

AMOUNT_MINOR_MAX: Final = 999_999_999_999

EXPONENTS: Final[dict[str, int]] = {c.code: c.exponent for c in Currency if c.exponent is not None}
"""Minor-unit exponent per active ISO 4217 code; codes without minor units (XAU, XXX) are absent."""


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount as the API carries it: `value` in minor units of `currency`."""

    value: int
    currency: str


def is_currency(code: str) -> bool:
    """Whether `code` is an active ISO 4217 currency that has minor units."""
    return code in EXPONENTS


def major_text(amount_minor: int, currency: str) -> str:
    """`amount_minor` for people, in the currency's own decimals: `49.99 USD`, `4999 JPY`, `-0.005 KWD`."""
    exponent = EXPONENTS[currency]
    sign = "-" if amount_minor < 0 else ""
    digits = str(abs(amount_minor)).rjust(exponent + 1, "0")
    whole = digits[: len(digits) - exponent]
    return f"{sign}{whole}{'.' + digits[-exponent:] if exponent else ''} {currency}"
