"""PayPal's settlement report (STL) and transaction detail report (TRR), as they lie on its SFTP server.

Each row begins with its type: RH report, FH file, SH section (an account), CH the names of columns, SB a transaction,
then totals: SF per currency and SC count of a section, RF and RC of the report, FF of the file
(https://developer.paypal.com/docs/reports/sftp-reports/settlement-report/). A report may go over several files: RH is
in the first, RF and RC in the last alone. What may be the totals of more than this file is not checked; FF always is.

Amounts have no sign (CR and DR stand beside them) and no decimals: they are hundredths of the major unit in every
currency, "100,00 yen and $100.00 USD are both represented as 10000". The two reports name a transaction alike, so what
both report is one line. Of a transaction report only what certainly moved the balance is read: a status of denied or
pending moved nothing; any other than success is put out by name.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from bezant.base.csv_rows import CELL_CHARACTERS_MAX, CsvRows
from bezant.base.file_faults import BadLine, FileRefused
from bezant.connectors.paypal.totals import Totals
from bezant.connectors.paypal.transactions import STATUS, Transactions
from bezant.psp.report_headers import first_rows
from bezant.psp.report_rows import CellFault, Columns, bad_line, clean, currency_code, fit, minor
from bezant.psp.reports import ReportLine, Reports

SETTLEMENT: Final = "settlement"
TRANSACTIONS: Final = "transactions"
VERSIONS: Final = range(8, 12)

_MAY_FOLLOW: Final = {
    "": {"RH", "FH"},
    "RH": {"FH"},
    "FH": {"SH"},
    "SH": {"CH", "SF", "SC"},
    "CH": {"SB", "SF", "SC"},
    "SB": {"SB", "SF", "SC"},
    "SF": {"SF", "SC"},
    "SC": {"SH", "RF", "RC", "FF"},
    "RF": {"RF", "RC"},
    "RC": {"FF"},
    "FF": set[str](),
}
_BODY: Final = "SB"


class _Report:
    """The rows of a file so far."""

    def __init__(self, *, is_detail: bool) -> None:
        self.row_type = ""
        self._is_detail = is_detail
        self._is_whole = False
        """It begins with the report: if it ends with the report too, its totals are those of this file."""
        self._is_continued = False
        """The section may have begun in the file before."""
        self._sections = 0
        self._file = Totals()
        self._section = Totals()
        self._transactions: Transactions | None = None
        self._take: dict[str, Callable[[int, list[str]], None]] = {
            "RH": self._begin_report,
            "SH": self._begin_section,
            "CH": self._name_columns,
            "SF": self._check_section_sums,
            "SC": self._check_section_count,
            "RF": self._check_report_sums,
            "RC": self._check_report_count,
            "FF": self._check_file_count,
        }

    def step(self, row_type: str, number: int) -> None:
        """The next row is of this type. Raises `FileRefused` where it may not be."""
        if row_type not in _MAY_FOLLOW:
            reason = f"{row_type[:20]!r} is no type of a row: the file is no report of PayPal's, or damaged"
            raise FileRefused(reason, line=number)
        if row_type not in _MAY_FOLLOW[self.row_type]:
            raise FileRefused(f"{row_type} cannot follow {self.row_type or 'the beginning'}", line=number)
        self.row_type = row_type

    def take(self, number: int, cells: list[str]) -> None:
        """A row that is no transaction."""
        handle = self._take.get(self.row_type)
        if handle is not None:
            try:
                handle(number, cells)
            except CellFault as fault:
                raise FileRefused(fault.reason, line=number, field=fault.field or self.row_type) from None

    def transaction(self, number: int, cells: list[str], rows: CsvRows) -> ReportLine | None:
        """A transaction, once it was counted. Raises `CellFault`."""
        self._file.count += 1
        self._section.count += 1
        transactions = self._transactions
        assert transactions is not None  # SB follows CH alone
        if len(cells) != transactions.width:
            fit(cells, transactions.width, rows, number)
        text = "".join(cells)
        if len(text) > CELL_CHARACTERS_MAX or not text.isprintable():
            cells = clean(cells)
        cells.append("")
        amounts = transactions.amounts(cells)
        line = transactions.line(number, cells, amounts)
        for totals in (self._section, self._file):
            totals.add(amounts.currency, amounts.side, amounts.gross)
            totals.add_fee(amounts.fee_currency, amounts.fee_side, amounts.fee)
        return line

    def miss_row(self, row: BadLine) -> None:
        """A row whose cells cannot be parted. Raises `FileRefused` for one that is no transaction."""
        if not row.text.startswith((_BODY, f'"{_BODY}"')):
            raise FileRefused(row.reason, line=row.number)
        self.step(_BODY, row.number)
        self._file.count += 1
        self._section.count += 1
        self.miss()

    def miss(self) -> None:
        """A transaction could not be read."""
        self._section.is_missed = self._file.is_missed = True

    def _begin_report(self, number: int, cells: list[str]) -> None:
        version = minor((cells[4:5] or [""])[0].strip(), "version")
        if version not in VERSIONS:
            raise FileRefused(f"version {version} of the report is not known here", line=number, field="version")
        self._is_whole = True

    def _begin_section(self, number: int, cells: list[str]) -> None:
        self._is_continued = not self._is_whole and self._sections == 0
        self._sections += 1
        self._section = Totals()
        self._transactions = None

    def _name_columns(self, number: int, cells: list[str]) -> None:
        self._transactions = Transactions(Columns(cells, number))
        if self._transactions.is_detail != self._is_detail:
            other = "transaction detail" if self._transactions.is_detail else "settlement"
            raise FileRefused(f"the columns are those of a {other} report", line=number)

    def _check_section_sums(self, number: int, cells: list[str]) -> None:
        if not self._is_continued:
            self._check_sums(self._section, number, cells)

    def _check_section_count(self, number: int, cells: list[str]) -> None:
        if not self._is_continued:
            _check_count(self._section, number, cells, "the section")
            self._check_currencies(self._section, number, "SF")

    def _check_report_sums(self, number: int, cells: list[str]) -> None:
        if self._is_whole:
            self._check_sums(self._file, number, cells)

    def _check_report_count(self, number: int, cells: list[str]) -> None:
        if self._is_whole:
            _check_count(self._file, number, cells, "the report")
            self._check_currencies(self._file, number, "RF")

    def _check_file_count(self, number: int, cells: list[str]) -> None:
        _check_count(self._file, number, cells, "the file")

    def _check_sums(self, totals: Totals, number: int, cells: list[str]) -> None:
        """The totals of a currency. Those of a transaction report are of more than what moved the balance."""
        if self._is_detail or totals.is_missed:
            return
        if len(cells) < 6:
            raise FileRefused("a total of too few cells", line=number, field=cells[0])
        stated = [minor(cell.strip(), cells[0]) for cell in cells[2:6]]
        difference = totals.difference(currency_code(cells[1].strip(), cells[0]), stated)
        if difference is not None:
            raise FileRefused(difference, line=number, field=cells[0])

    def _check_currencies(self, totals: Totals, number: int, row_type: str) -> None:
        if not self._is_detail and not totals.is_missed and (missing := totals.unchecked()):
            raise FileRefused(f"there are no totals in {', '.join(missing)}", line=number, field=row_type)


def _check_count(totals: Totals, number: int, cells: list[str], what: str) -> None:
    stated = minor((cells[1:2] or [""])[0].strip(), cells[0])
    if stated != totals.count:
        reason = f"{totals.count} transactions where {what} says {stated}"
        raise FileRefused(reason, line=number, field=cells[0])


def _read(pieces: Iterable[bytes], *, is_detail: bool) -> Iterator[ReportLine | BadLine]:
    rows = CsvRows(pieces)
    report = _Report(is_detail=is_detail)
    for row in rows:
        if isinstance(row, BadLine):
            report.miss_row(row)
            yield row
            continue
        number, cells = row
        report.step(cells[0].strip(), number)
        if report.row_type != _BODY:
            report.take(number, cells)
            continue
        try:
            line = report.transaction(number, cells, rows)
        except CellFault as fault:
            report.miss()
            yield bad_line(number, fault, cells)
        else:
            if line is not None:
                yield line
    if report.row_type != "FF":
        raise FileRefused("the file ends without its last row, FF: it is cut off", line=rows.last)


def read_settlement(pieces: Iterable[bytes]) -> Iterator[ReportLine | BadLine]:
    """The lines of a settlement report (STL)."""
    return _read(pieces, is_detail=False)


def read_transactions(pieces: Iterable[bytes]) -> Iterator[ReportLine | BadLine]:
    """The lines of a transaction detail report (TRR) that certainly moved the balance."""
    return _read(pieces, is_detail=True)


def recognise(start: bytes) -> str | None:
    """Which of the two this is, by the columns that it names."""
    rows = first_rows(start)
    if not rows or rows[0][0].strip() not in _MAY_FOLLOW[""]:
        return None
    columns = next((row for row in rows if row[0].strip() == "CH"), ())
    if "Transaction Event Code" not in columns:
        return None
    return TRANSACTIONS if STATUS in columns else SETTLEMENT


REPORTS: Final = Reports(
    formats={SETTLEMENT: read_settlement, TRANSACTIONS: read_transactions}, recognise=recognise, draws_balance=True
)
