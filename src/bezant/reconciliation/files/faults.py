"""What is wrong with a line although its reader could read it, and how a line that is not loaded is kept. Pure."""

from collections.abc import Iterable
from typing import Final

from bezant.base.card_data import redact_card_data
from bezant.base.file_faults import BadLine
from bezant.reconciliation.files.states import Quarantined

AMOUNT_MAX: Final = 10**15
"""Minor units. What is above is no amount, and sums of less stay within what the database can hold."""

_TEXT_MAX: Final = 500
_REASON_MAX: Final = 300


def text_fault(texts: Iterable[str | None]) -> bool:
    """Whether one of these holds what PostgreSQL cannot: U+0000, or half of a surrogate pair."""
    joined = "".join(filter(None, texts))
    return "\0" in joined or (not joined.isascii() and not _is_unicode(joined))


def quarantined(bad: BadLine) -> Quarantined:
    """How a line at fault is kept: bounded, without card data, and so that it can be kept at all."""
    return Quarantined(bad.number, _kept(bad.reason, _REASON_MAX), bad.field, _kept(bad.text, _TEXT_MAX))


def _kept(text: str, length_max: int) -> str:
    bounded = redact_card_data(text[: 2 * length_max])[:length_max].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return bounded.encode("utf-8", "replace").decode()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
