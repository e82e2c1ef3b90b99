"""The simulator's settlement report: CSV, a row per movement of the balance and per payout, amounts in minor units.

The last rows are of type `total`, one per currency: `row` is how many rows of the currency there are, `net` the sum of
the nets of those that are no payout. A report without any row has no total.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from bezant.base.file_faults import BadLine, FileRefused
from bezant.psp.report_headers import header_of
from bezant.psp.report_rows import (
    CellFault,
    Columns,
    currency_code,
    description,
    minor,
    minors,
    moment,
    name,
    needed,
    read_rows,
)
from bezant.psp.reports import LineKind, ReportLine, Reports

SETTLEMENT: Final = "settlement"
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
TOTAL: Final = "total"

_KINDS: Final = {
    kind.value: kind
    for kind in LineKind
    if kind is not LineKind.PAYOUT_FAILED  # the simulator's payouts arrive
}
_SIGNS: Final = {
    LineKind.CHARGE: 1,
    LineKind.REFUND: -1,
    LineKind.REFUND_FAILED: 1,
    LineKind.DISPUTE: -1,
    LineKind.DISPUTE_REVERSED: 1,
}


class _Settlement:
    """The rows of a report, and what they add up to."""

    def __init__(self, columns: Columns) -> None:
        self._at = columns.need(*COLUMNS)
        self._is_plain = self._at == tuple(range(len(columns.names)))
        self._report_id = ""
        self._counts: dict[str, int] = {}
        self._nets: dict[str, int] = {}
        self._stated: dict[str, tuple[int, int]] = {}
        self._missed = 0

    def take(self, number: int, cells: list[str]) -> ReportLine | None:
        if not self._is_plain:
            cells = [*(cells[at] for at in self._at), ""]
        (
            report_id, row, kind_name, line_id, charge_id, operation_id, reference, currency, gross, fee, net,
            presented, presented_currency, _, payout_id, at, text, _,
        ) = cells  # fmt: skip
        if report_id != self._report_id:
            self._begin(report_id, number)
        if kind_name == TOTAL:
            self._stated[currency_code(currency, "currency")] = minor(row, "row"), minor(net, "net")
            return None
        kind = _KINDS.get(kind_name)
        if kind is None:
            raise CellFault(f"{kind_name[:40]!r} is no type of a row", "type")
        if self._stated:
            raise FileRefused("rows go on after the totals", line=number)
        currency = currency_code(currency, "currency")
        gross_minor, fee_minor, net_minor = minors((gross, fee, net), ("gross", "fee", "net"))
        if net_minor != gross_minor - fee_minor:
            raise CellFault(f"{net} is not gross less fee, {gross_minor - fee_minor}", "net")
        if gross_minor * _SIGNS.get(kind, 0) < 0:
            raise CellFault(f"a {kind} of {gross}: the sign is wrong", "gross")
        line = ReportLine(
            number=number,
            line_reference=needed(line_id, "line_id"),
            kind=kind,
            currency=currency,
            gross_minor=0 if kind is LineKind.FEE else gross_minor,
            fee_minor=-net_minor if kind is LineKind.FEE else fee_minor,
            net_minor=net_minor,
            occurred_at=moment(at, "at"),
            presented_minor=minor(presented, "presented_amount") if presented_currency else None,
            presented_currency=currency_code(presented_currency, "presented_currency") if presented_currency else None,
            reference=name(reference),
            psp_reference=name(charge_id),
            operation_reference=name(operation_id),
            payout_reference=name(payout_id),
            description=description(text),
        )
        self._counts[currency] = self._counts.get(currency, 0) + 1
        if kind is not LineKind.PAYOUT:
            self._nets[currency] = self._nets.get(currency, 0) + net_minor
        return line

    def miss(self) -> None:
        self._missed += 1

    def end(self, last: int) -> None:
        if not self._counts and not self._missed and not self._stated:
            return
        if not self._stated:
            raise FileRefused("there are no totals at the end: the file is cut off", line=last)
        read, stated = sum(self._counts.values()) + self._missed, sum(count for count, _ in self._stated.values())
        if read != stated:
            raise FileRefused(f"{read} rows where the totals say {stated}", line=last, field="row")
        for currency in sorted(self._counts.keys() | self._stated.keys()):
            self._check(currency, last)

    def _check(self, currency: str, last: int) -> None:
        """The totals of a currency; with rows that could not be read there may be fewer than they say."""
        count, net_minor = self._stated.get(currency, (0, 0))
        read, read_minor = self._counts.get(currency, 0), self._nets.get(currency, 0)
        if read > count or (read < count and not self._missed):
            raise FileRefused(f"{read} rows in {currency} where the totals say {count}", line=last, field="row")
        if read_minor != net_minor and not self._missed:
            reason = f"the nets in {currency} add up to {read_minor}, not to {net_minor}"
            raise FileRefused(reason, line=last, field="net")

    def _begin(self, report_id: str, number: int) -> None:
        if not self._report_id:
            self._report_id = needed(report_id, "report_id")
        elif report_id != "report_id":  # the header again is told as that
            raise FileRefused(f"a row of another report, {report_id[:40]!r}", line=number, field="report_id")


def read_settlement(pieces: Iterable[bytes]) -> Iterator[ReportLine | BadLine]:
    """The lines of a settlement report."""
    return read_rows(pieces, _Settlement)


def recognise(start: bytes) -> str | None:
    """Whether this is a settlement report."""
    return SETTLEMENT if set(COLUMNS[:4]) <= header_of(start) else None


REPORTS: Final = Reports(formats={SETTLEMENT: read_settlement}, recognise=recognise)
