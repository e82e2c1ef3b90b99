"""Amounts, days, names and texts as bank statements write them. Pure."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

from bezant.base.card_data import redact_card_data

AMOUNT_DIGITS_MAX: Final = 18
TEXT_CHARACTERS_MAX: Final = 2000
REFERENCE_CHARACTERS_MAX: Final = 200
REFERENCES_MAX: Final = 200
BAD_LINE_CHARACTERS_MAX: Final = 500

_DECIMAL: Final = re.compile(r"([0-9]*)(?:[.,]([0-9]*))?")
_BLANKS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NO_REFERENCE: Final = frozenset(
    {"NONREF", "NOTPROVIDED", "NOT PROVIDED", "EREF", "EREF+", "KREF", "KREF+", "NOREF", "-"}
)


class Fault(Exception):
    """What is wrong with a value, and in which field. `reason` holds no card data."""

    def __init__(self, reason: str, field: str) -> None:
        self.reason = redact_card_data(reason)
        super().__init__(self.reason)
        self.field = field


def exponent_of(currency: str, exponents: Mapping[str, int], field: str) -> int:
    """The decimals of `currency`. Raises `Fault` for one that is not in use."""
    exponent = exponents.get(currency)
    if exponent is None:
        raise Fault(f"{currency[:10]!r} is no currency of ISO 4217 that is in use", field)
    return exponent


def minor_units(text: str, currency: str, exponents: Mapping[str, int], field: str) -> int:
    """`12,50` or `12.5` in minor units, exactly; `text` has no sign and no grouping. Raises `Fault`."""
    exponent = exponent_of(currency, exponents, field)
    found = _DECIMAL.fullmatch(text)
    if not found or not (found[1] or found[2]):
        raise Fault(f"{text[:40]!r} is no amount", field)
    whole, decimals = found[1], (found[2] or "").rstrip("0")
    if len(decimals) > exponent:
        raise Fault(f"{text[:40]!r} has more decimals than {currency}, which has {exponent}", field)
    digits = (whole + decimals.ljust(exponent, "0")).lstrip("0") or "0"
    if len(digits) > AMOUNT_DIGITS_MAX:
        raise Fault(f"{text[:40]!r} is larger than any amount can be", field)
    return int(digits)


def major_units(amount_minor: int, currency: str, exponents: Mapping[str, int]) -> str:
    """For people: `-12.50 EUR`."""
    exponent = exponents[currency]
    digits = str(abs(amount_minor)).rjust(exponent + 1, "0")
    whole = digits[: len(digits) - exponent]
    return f"{'-' if amount_minor < 0 else ''}{whole}{'.' + digits[-exponent:] if exponent else ''} {currency}"


def day(year: int, month: int, day_of_month: int, text: str, field: str) -> date:
    """A day. February 29th and 30th of banks that count thirty days a month are the month's last. Raises `Fault`."""
    try:
        return date(year, month, day_of_month)
    except ValueError:
        if month == 2 and day_of_month in (29, 30) and 1 <= year <= 9999:
            return date(year, 2, 28 if day_of_month == 29 or not _is_leap(year) else 29)
        raise Fault(f"{text[:40]!r} is no day", field) from None


def century(two_digits: int) -> int:
    """The year that is written as two digits: 1980 to 2079, as SWIFT has it."""
    return two_digits + (2000 if two_digits < 80 else 1900)


def one_line(text: str) -> str:
    """`text` in one line, without control characters and card data, at most 2,000 characters."""
    return redact_card_data(_BLANKS.sub(" ", text).strip()[:TEXT_CHARACTERS_MAX])


def joined(texts: Iterable[str]) -> str:
    """Texts in one line, each once."""
    return one_line(" ".join(dict.fromkeys(text.strip() for text in texts)))


def name(text: str | None) -> str | None:
    """A reference or the name of somebody; None where a bank writes that there is none."""
    if not text:
        return None
    plain = redact_card_data(_BLANKS.sub(" ", text).strip()[:REFERENCE_CHARACTERS_MAX])
    return None if not plain or plain.upper() in _NO_REFERENCE else plain


def names(texts: Iterable[str | None], but: str | None = None) -> tuple[str, ...]:
    """The references among `texts`, each once, in their order, at most 200, without `but`."""
    found: dict[str, None] = {}
    for text in texts:
        if (reference := name(text)) and reference != but:
            found[reference] = None
            if len(found) == REFERENCES_MAX:
                break
    return tuple(found)


def account_number(text: str) -> str:
    """An account as it is compared: without blanks, in capitals."""
    return _BLANKS.sub("", text).upper()[:REFERENCE_CHARACTERS_MAX]


def other_account(text: str | None) -> str | None:
    """A counterparty's account; a card number, which some banks put there, is removed."""
    return redact_card_data(account_number(text)) or None if text else None


def bad_text(text: str) -> str:
    """What is kept of a line that cannot be read."""
    return redact_card_data(_BLANKS.sub(" ", text).strip()[:BAD_LINE_CHARACTERS_MAX])[:BAD_LINE_CHARACTERS_MAX]


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
