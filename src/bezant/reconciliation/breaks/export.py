"""Breaks as CSV, for the spreadsheets of people: no cell of it is taken for a formula."""

import csv
import io
import re
from collections.abc import Iterable
from typing import Final

from bezant.reconciliation.breaks.views import BreakView

COLUMNS: Final = (
    *("break_id", "kind", "status", "subject", "psp", "merchant_id", "payment_id", "at_risk_minor", "currency"),
    *("since", "owner", "resolution", "resolved_by", "resolved_at", "journal_id", "detail"),
)

_BEGIN_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
# Where commas are decimal points, spreadsheets part cells at semicolons, also within quotes.
_PARTED: Final = re.compile(r"(?<=[;\t\r\n])(?= *[=+@-])")


def header() -> str:
    """The first line."""
    return _lines([COLUMNS])


def rows(breaks: Iterable[BreakView]) -> str:
    """A line for each."""
    return _lines(_cells(each) for each in breaks)


def cell(value: object) -> str:
    """What stands in a cell. A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    text = "" if value is None else _PARTED.sub("'", str(value))
    return f"'{text}" if text.startswith(_BEGIN_FORMULAS) else text


def _cells(each: BreakView) -> tuple[object, ...]:
    at_risk = (None, None) if each.at_risk is None else (each.at_risk.value, each.at_risk.currency)
    return (
        *(each.break_id, each.kind, each.status, each.subject, each.psp, each.merchant_id, each.payment_id, *at_risk),
        *(each.since.isoformat(), each.owner, each.resolution, each.resolved_by),
        *(each.resolved_at and each.resolved_at.isoformat(), each.journal_id, each.detail),
    )


def _lines(found: Iterable[Iterable[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([cell(value) for value in each] for each in found)
    return out.getvalue()
