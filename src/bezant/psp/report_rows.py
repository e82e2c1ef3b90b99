"""What the readers of PSP reports share: columns by name, amounts, times and names out of cells, faults of lines.

A reader of a format makes a `RowReader` of the header; `read_rows` leads it through the file. A row that it is given
has an empty cell more at its end: that is where columns point that the file does not have.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from bezant.base.card_data import redact_card_data
from bezant.base.csv_rows import CELL_CHARACTERS_MAX, CsvRows, shown
from bezant.base.file_faults import BadLine, FileRefused
from bezant.base.money import EXPONENTS
from bezant.psp.reports import ReportLine

ABSENT: Final = -1
DESCRIPTION_MAX: Final = 500

_MINOR: Final = re.compile(r"-?[0-9]{1,15}").fullmatch
_MINORS: Final = re.compile(r"-?[0-9]{1,15},-?[0-9]{1,15},-?[0-9]{1,15}").fullmatch  # one search for three cells
_MAJOR: Final = re.compile(r"(-?)([0-9]{1,15})(?:([.,])([0-9]{1,12}))?").fullmatch
_BLANKS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060\ufeff]+")
_YEARS: Final = range(2000, 2200)
_MINUTE_LENGTH: Final = len("2026-04-01 10:00")


class CellFault(Exception):
    """Why a row cannot be read, and which column is at fault."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field


class Columns:
    """The columns of a header. Raises `FileRefused` for one that is there twice."""

    def __init__(self, names: Sequence[str], number: int = 1) -> None:
        self.names = [name.strip() for name in names]
        self._at: dict[str, int] = {}
        for at, name in enumerate(self.names):
            if name and self._at.setdefault(name, at) != at:
                raise FileRefused("the column is there twice", line=number, field=name)
        self._number = number

    def __contains__(self, name: object) -> bool:
        return name in self._at

    def need(self, *names: str) -> tuple[int, ...]:
        """Where these stand. Raises `FileRefused` that names those that are missing."""
        missing = [name for name in names if name not in self._at]
        if missing:
            raise FileRefused(f"columns are missing: {', '.join(missing)}{self._hint()}", line=self._number)
        return tuple(self._at[name] for name in names)

    def may(self, name: str) -> int:
        """Where this stands, if it is there."""
        return self._at.get(name, ABSENT)

    def _hint(self) -> str:
        for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if len(self.names) <= 2 and delimiter in self.names[0]:
                return f" (the cells are parted by {name}, not by commas)"
        return ""


class RowReader(Protocol):
    """What is made of the rows of one format."""

    def take(self, number: int, cells: list[str]) -> ReportLine | None:
        """The line that a row says; None for one that says none. Raises `CellFault`, or `FileRefused`."""
        ...

    def miss(self) -> None:
        """A row could not be read, so sums cannot be checked."""
        ...

    def end(self, last: int) -> None:
        """All rows were read, up to this line. Raises `FileRefused` if they are not all or do not add up."""
        ...


def read_rows(pieces: Iterable[bytes], begin: Callable[[Columns], RowReader]) -> Iterator[ReportLine | BadLine]:
    """The lines of a file with a header row."""
    rows = CsvRows(pieces)
    found = iter(rows)
    header = next(found, None)
    if not isinstance(header, tuple):
        raise FileRefused("the header cannot be read" if header else "the file is empty", line=1)
    columns = Columns(header[1], header[0])
    reader = begin(columns)
    take, width, short = reader.take, len(header[1]), 0
    for row in found:
        if isinstance(row, BadLine):
            reader.miss()
            yield row
            continue
        number, cells = row
        try:
            if len(cells) != width:
                short = number if len(cells) < width else short
                fit(cells, width, rows, number)
            if rows.last > number:
                refuse_swallowed(cells, number)
            text = "".join(cells)
            if len(text) > CELL_CHARACTERS_MAX or not text.isprintable():
                cells = clean(cells)
            cells.append("")
            line = take(number, cells)
        except CellFault as fault:
            if cells[:width] == header[1]:
                raise FileRefused("the header is repeated: are these two files?", line=number) from None
            reader.miss()
            yield bad_line(number, fault, cells[:-1] if len(cells) > width and not cells[-1] else cells)
        else:
            if line is not None:
                yield line
    if rows.is_cut and short == rows.last:
        raise FileRefused("the file ends in the middle of a line", line=rows.last)
    reader.end(rows.last)


def fit(cells: list[str], width: int, rows: CsvRows, number: int) -> None:
    """Take empty cells off the end of a row that is too long. Raises `CellFault` for too few cells or too many."""
    if len(cells) > width and not any(cells[width:]):
        del cells[width:]
        return
    if rows.last > number:
        raise FileRefused("a quote that is not closed where it should be", line=number)
    raise CellFault(f"{len(cells)} cells where the header has {width}")


def refuse_swallowed(cells: list[str], number: int) -> None:
    """Raise `FileRefused` if a cell over several lines holds what looks like rows."""
    for cell in cells:
        if any(part.count(",") >= len(cells) - 1 for part in cell.split("\n")[1:]):
            raise FileRefused("a cell holds whole rows: a quote is not closed where it should be", line=number)


def clean(cells: list[str]) -> list[str]:
    """Cells in one line each, without control characters. Raises `CellFault` for one that is too long."""
    if max(map(len, cells)) > CELL_CHARACTERS_MAX:
        raise CellFault(f"a cell of more than {CELL_CHARACTERS_MAX:,} characters")
    return [_BLANKS.sub(" ", cell) for cell in cells]


def bad_line(number: int, fault: CellFault, cells: list[str]) -> BadLine:
    """A row that is put out as faulty."""
    return BadLine(number=number, reason=fault.reason, text=shown(cells), field=fault.field)


def minor(text: str, field: str) -> int:
    """A whole number of minor units."""
    if _MINOR(text) is None:
        raise CellFault(f"{text[:40]!r} is no whole number" if text else "is empty", field)
    return int(text)


def minors(texts: tuple[str, str, str], fields: tuple[str, str, str]) -> tuple[int, int, int]:
    """Three whole numbers of minor units."""
    first, second, third = texts
    if _MINORS(f"{first},{second},{third}") is None:
        return minor(first, fields[0]), minor(second, fields[1]), minor(third, fields[2])
    return int(first), int(second), int(third)


def currency_code(text: str, field: str) -> str:
    """A currency of ISO 4217, in capitals."""
    code = text.upper()
    if code not in EXPONENTS:
        raise CellFault(f"{text[:10]!r} is no currency of ISO 4217 that is in use" if text else "is empty", field)
    return code


def major(text: str, currency: str, field: str) -> int:
    """An amount in major units (`-20.00`; `-20,00` where all decimals are there), exactly, in minor units."""
    found = _MAJOR(text)
    if found is None:
        raise CellFault(f"{text[:40]!r} is no amount" if text else "is empty", field)
    sign, whole, point, decimals = found.groups("")
    exponent = EXPONENTS[currency]
    if point == "," and len(decimals) != exponent:
        raise CellFault(f"{text[:40]!r} may have a comma for thousands or for decimals", field)
    if len(decimals) > exponent:
        if decimals[exponent:].strip("0"):
            raise CellFault(f"{text[:40]!r} has more decimals than {currency}, which has {exponent}", field)
        decimals = decimals[:exponent]
    amount_minor = int(whole + decimals.ljust(exponent, "0"))
    return -amount_minor if sign else amount_minor


def moment(text: str, field: str, *, is_utc: bool = False) -> datetime:
    """A time in ISO 8601 or RFC 3339, in UTC. `is_utc`: where it does not say its offset, that is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CellFault(f"{text[:40]!r} is no time" if text else "is empty", field) from None
    if at.year not in _YEARS:
        raise CellFault(f"{text[:40]!r} is no time of a payment", field)
    if at.tzinfo is UTC:
        return at
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    if not is_utc or len(text) < _MINUTE_LENGTH:
        raise CellFault(f"{text[:40]!r} does not say its hour or its time zone", field)
    return at.replace(tzinfo=UTC)


def name(text: str) -> str | None:
    """A reference, None where there is none."""
    return text.strip() or None


def needed(text: str, field: str) -> str:
    """A reference that must be there."""
    found = text.strip()
    if not found:
        raise CellFault("is empty", field)
    return found


def description(text: str) -> str | None:
    """What people wrote, without card data."""
    return redact_card_data(text.strip())[:DESCRIPTION_MAX] or None if text else None
