"""The reader of a bank's CSV file, made from its mapping."""

import codecs
import csv
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from bezant.banks.contract import Format, Part, StatementEntry, StatementFoot, StatementHead
from bezant.banks.csv_cells import Cells
from bezant.banks.csv_mapping import CsvMapping
from bezant.banks.pieces import checked, lines_of
from bezant.banks.values import Fault, account_number, bad_text, major_units
from bezant.base.file_faults import BadLine, FileRefused
from bezant.base.money import EXPONENTS

HEADER_LINES_MAX: Final = 100
ROW_BYTES_MAX: Final = 1024 * 1024

_UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


def csv_format(mapping: CsvMapping) -> Format:
    """The format of files that `mapping` describes. It is known by its header, so what has that is recognised."""
    return Format(name="csv", read=partial(read_csv, mapping=mapping), recognise=partial(_has_header, mapping))


def read_csv(
    pieces: Iterable[bytes],
    *,
    mapping: CsvMapping,
    check_totals: bool = True,
    exponents: Mapping[str, int] = EXPONENTS,
) -> Iterator[Part]:
    """The entries of a file, as one statement, or as one for each account that follows another."""
    lines = _Lines(pieces, mapping)
    cells = Cells(mapping, _header(lines, mapping), exponents)
    statement: _Statement | None = None
    account = ""
    for number, row in _rows(lines, mapping):
        try:
            cells.check(row)
            row_account = cells.account(row)
            currency = cells.currency(row)
        except Fault as fault:
            yield bad_row(number, row, fault)
            if statement is not None:
                statement.lose()
            continue
        if statement is None or row_account != account:
            if statement is not None:
                yield statement.foot()
            account = row_account
            statement = _Statement(check_totals, exponents)
            yield StatementHead(account=account, currency=currency)
        yield from statement.take(cells, row, number, currency)
    if statement is not None:
        yield statement.foot()
    elif mapping.account is not None:
        yield StatementHead(account=account_number(mapping.account), currency=mapping.currency)
        yield StatementFoot()


def bad_row(number: int, row: list[str], fault: Fault) -> BadLine:
    """A row that cannot be read."""
    return BadLine(number=number, reason=fault.reason, field=fault.field, text=bad_text(" | ".join(row[:100])))


class _Statement:
    """The rows of one account: how many, and whether its running balance runs on."""

    def __init__(self, check_totals: bool, exponents: Mapping[str, int]) -> None:
        self.check_totals = check_totals
        self.exponents = exponents
        self.entries = 0
        self.skipped = 0
        self.before: tuple[int, int] | None = None
        self.is_oldest_first = True
        self.is_newest_first = True

    def take(self, cells: Cells, row: list[str], number: int, currency: str) -> Iterator[Part]:
        """The next row."""
        if not cells.is_booked(row):
            self.skipped += 1
            return
        try:
            entry = cells.entry(row, number, currency)
            balance_minor = cells.balance(row, currency)
        except Fault as fault:
            self.lose()
            yield bad_row(number, row, fault)
            return
        if balance_minor is not None and self.check_totals:
            self._run_on(entry, balance_minor)
        self.entries += 1
        yield entry

    def lose(self) -> None:
        """A row could not be read: the balance is followed anew from the next one."""
        self.before = None

    def foot(self) -> StatementFoot:
        return StatementFoot(entries=self.entries, skipped=self.skipped)

    def _run_on(self, entry: StatementEntry, balance_minor: int) -> None:
        if self.before is not None:
            amount_before, balance_before = self.before
            self.is_oldest_first &= balance_before + entry.amount_minor == balance_minor
            self.is_newest_first &= balance_before - amount_before == balance_minor
            if not self.is_oldest_first and not self.is_newest_first:
                shown = [
                    major_units(minor, entry.currency, self.exponents) for minor in (balance_before, balance_minor)
                ]
                raise FileRefused(
                    f"the running balance does not run on: it goes from {shown[0]} to {shown[1]} with an entry of "
                    f"{major_units(entry.amount_minor, entry.currency, self.exponents)}",
                    line=entry.number,
                    field="balance",
                )
        self.before = (entry.amount_minor, balance_minor)


class _Lines:
    """The decoded lines of a file, counted; a row may take many, but not more than 1 MiB."""

    def __init__(self, pieces: Iterable[bytes], mapping: CsvMapping) -> None:
        self.encoding = mapping.encoding
        if mapping.encoding == "utf-16":
            self.raw = lines_of(_recoded(pieces))
            self.encoding = "utf-8"
        else:
            self.raw = lines_of(pieces)
        self.number = 0
        self.row_bytes = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.raw)
        self.number += 1
        self.row_bytes += len(line)
        if self.row_bytes > ROW_BYTES_MAX:
            raise FileRefused("a row of more than 1 MiB: is a quotation mark not closed?", line=self.number)
        if self.number == 1 and line.startswith(_UTF_16_MARKS) and self.encoding == "utf-8":
            raise FileRefused("the file is encoded in UTF-16, the mapping says UTF-8", line=1, field="encoding")
        try:
            return line.decode(self.encoding) + "\n"
        except UnicodeDecodeError:
            raise FileRefused(
                f"the file is not encoded in {self.encoding}", line=self.number, field="encoding"
            ) from None


def _recoded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A file in UTF-16, with a mark or in the order of this machine, as UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-16")()
    line = 1
    try:
        for piece in checked(pieces):
            text = decoder.decode(piece)
            line += text.count("\n")
            yield text.encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError:
        raise FileRefused("the file is not encoded in UTF-16", line=line, field="encoding") from None


def _rows(lines: _Lines, mapping: CsvMapping) -> Iterator[tuple[int, list[str]]]:
    """The rows after the header that are not blank, with the line that each begins on."""
    before = lines.number
    try:
        for row in csv.reader(lines, delimiter=mapping.delimiter, strict=True):
            if any(cell.strip() for cell in row):
                yield before + 1, row
            before = lines.number
            lines.row_bytes = 0
    except csv.Error as fault:
        raise FileRefused(f"this is no CSV: {fault}", line=before + 1) from None


def _header(lines: _Lines, mapping: CsvMapping) -> list[str]:
    """The columns of a file, out of the first line that has all of the mapping. Raises `FileRefused`."""
    missing = mapping.columns()
    for line in lines:
        header = _columns(line, mapping)
        absent = tuple(column for column in mapping.columns() if column not in header)
        if not absent:
            return header
        missing = min(missing, absent, key=len)
        if lines.number >= HEADER_LINES_MAX:
            break
    listed = ", ".join(map(repr, missing[:20]))
    raise FileRefused(
        f"no header among the first {min(lines.number, HEADER_LINES_MAX)} lines: the columns {listed} are missing",
        line=1,
        field=missing[0],
    )


def _columns(line: str, mapping: CsvMapping) -> list[str]:
    try:
        row = next(csv.reader([line], delimiter=mapping.delimiter, strict=True))
    except (csv.Error, StopIteration):
        return []
    header = [cell.strip() for cell in row]
    twice = [column for column in mapping.columns() if header.count(column) > 1]
    if twice and all(column in header for column in mapping.columns()):
        raise FileRefused(f"the header has two columns {twice[0]!r}", field=twice[0])
    return header


def _has_header(mapping: CsvMapping, start: bytes) -> bool:
    """Whether the columns of `mapping` are in the first 4 KiB of a file."""
    text = start.decode(mapping.encoding, errors="replace").removeprefix("\ufeff")
    wanted = set(mapping.columns())
    return any(wanted.issubset(_columns(line, mapping)) for line in text.split("\n"))
