"""Looks for card data and secrets in stored texts. What is found is never repeated."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from bezant.base.card_data import contains_card_data
from bezant.verify.report import Findings, Result

_SECRET: Final = re.compile(
    r"(?<![A-Za-z0-9_])(?:sk|rk|pk)_(?:(?:live|test)_[A-Za-z0-9]{10}|[A-Za-z0-9_-]{43})"  # keys: Stripe's, ours
    r"|(?<![A-Za-z0-9_])whsec_[A-Za-z0-9+/=]{16}"
    r"|_secret_[0-9A-Za-z]{16}"
    r"|\bBearer\s+[A-Za-z0-9._~+/=-]{20}"
)
_SIGNS_OF_SECRET: Final = ("sk_", "rk_", "pk_", "whsec_", "_secret_", "Bearer")
_SIGNS_OF_CODE: Final = (b"cv", b"csc", b"security", b"verif")
_DIGIT_AS_ZERO: Final = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x78 for byte in range(256))
_PARTING: Final = b" \t\r\n.-"
_SHORTEST_NUMBER: Final = b"0" * 13


class Texts:
    """Collects the rows that hold what must not be stored."""

    def __init__(self) -> None:
        self._cards = Findings("no_card_data", "No stored text holds a card number or a verification value.")
        self._secrets = Findings("no_secrets", "No stored text holds a key or a client secret.")

    def look(self, table: str, subject: str, columns: Sequence[str], values: Sequence[str | None]) -> None:
        """Look at the texts of one row."""
        # One search over all of them; a group separator parts digits that do not belong together.
        joined = "\x1dx\x1d".join(filter(None, values))
        if _may_hold_card_data(joined) and contains_card_data(joined):
            self._cards.add(subject, f"{table}: {_where(columns, values, contains_card_data) or 'across columns'}")
        if any(sign in joined for sign in _SIGNS_OF_SECRET) and _SECRET.search(joined):
            self._secrets.add(subject, f"{table}: {_where(columns, values, _holds_secret)}")

    def results(self) -> tuple[Result, ...]:
        """What was found."""
        return self._cards.result(), self._secrets.result()


def _may_hold_card_data(text: str) -> bool:
    """Whether `text` must be looked at closely: a tenth of the cost, and never wrong when it says no."""
    raw = text.encode("utf-8", "replace")
    if not raw.isascii() or _SHORTEST_NUMBER in raw.translate(_DIGIT_AS_ZERO, _PARTING):
        return True
    lowered = raw.lower()
    return any(sign in lowered for sign in _SIGNS_OF_CODE)


def _holds_secret(text: str) -> bool:
    return _SECRET.search(text) is not None


def _where(columns: Sequence[str], values: Sequence[str | None], holds: Callable[[str], bool]) -> str:
    return ", ".join(c for c, v in zip(columns, values, strict=True) if v and holds(v))
