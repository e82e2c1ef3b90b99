"""Writes a report as CSV: a row per movement, one per payout, and a total per currency that closes it. Pure.

`net` of a total is the sum of the nets of its currency's rows other than payouts, `row` their count, payouts included.
"""

import csv
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bezant_simulator.settlement.model import Payout, Row, RowType
from bezant_simulator.wire import rfc3339

COLUMNS: Final = (
    "report_id",
    "row",
    "type",
    "line_id",
    "charge_id",
    "operation_id",
    "reference",
    "currency",
    "gross",
    "fee",
    "net",
    "presented_amount",
    "presented_currency",
    "fx_rate",
    "payout_id",
    "at",
    "description",
)
_LEVEL: Final = 1
_LINE: Final = COLUMNS.index("line_id")


def written(report_id: str, rows: Sequence[Row], payouts: Sequence[Payout], at: float) -> tuple[bytes, int]:
    """The report, compressed, and how many rows it has without its totals."""
    all_rows = [*rows, *(_of_payout(payout, at) for payout in payouts)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(report_id, number, row) for number, row in enumerate(all_rows, start=1))
    writer.writerows(_totals(report_id, all_rows, at))
    return zlib.compress(text.getvalue().encode(), _LEVEL), len(all_rows)


def unpacked(report: bytes) -> bytes:
    """The report as it is sent."""
    return zlib.decompress(report)


def lines_in(report: bytes) -> Iterator[str]:
    """The names of the lines in a report; its cells hold neither commas nor quotes before them."""
    for line in unpacked(report).decode().split("\r\n")[1:]:
        cells = line.split(",", _LINE + 1)
        if len(cells) > _LINE and cells[_LINE]:
            yield cells[_LINE]


def _cells(report_id: str, number: int, row: Row) -> tuple[object, ...]:
    return (
        report_id,
        number,
        row.type.value,
        row.line_id,
        row.charge_id,
        row.operation_id,
        row.reference,
        row.currency,
        row.gross,
        row.fee,
        row.gross - row.fee,
        row.presented_amount,
        row.presented_currency,
        row.fx_rate,
        row.payout_id,
        rfc3339(row.at),
        row.description,
    )


def _of_payout(payout: Payout, at: float) -> Row:
    line_id = f"txn_{payout.id.removeprefix('po_')}"
    return Row(RowType.PAYOUT, line_id, payout.currency, -payout.amount, at, payout_id=payout.id)


def _totals(report_id: str, rows: Iterable[Row], at: float) -> Iterator[tuple[object, ...]]:
    counts: dict[str, int] = {}
    nets: dict[str, int] = {}
    for row in rows:
        counts[row.currency] = counts.get(row.currency, 0) + 1
        nets[row.currency] = nets.get(row.currency, 0) + (0 if row.type is RowType.PAYOUT else row.net)
    blank = ("",) * 4
    for currency in sorted(counts):
        yield (
            report_id, counts[currency], "total", *blank, currency, "", "", nets[currency], *blank, rfc3339(at), "",
        )  # fmt: skip
