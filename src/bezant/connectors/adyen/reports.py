"""Adyen's settlement details report: CSV, amounts in major units, debit and credit in columns of their own.

Columns are read by name: their order and further ones are the merchant's choice
(https://docs.adyen.com/reporting/settlement-reconciliation/transaction-level/settlement-details-report). Gross is in
the currency of the payment, net in that of the settlement: what is taken between them is commission, or markup, scheme
fees and interchange. A batch and its payout come to nothing together, which is checked. A batch is paid out once per
currency, so a payout is named `<merchant account> batch <number> <currency>`; the bank writes the number that the
payout's row begins with, and as a rule `<merchant account> batch <number>`.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from bezant.base.file_faults import BadLine, FileRefused
from bezant.base.money import major_text
from bezant.psp.report_headers import header_of
from bezant.psp.report_rows import (
    CellFault,
    Columns,
    currency_code,
    description,
    major,
    moment,
    name,
    needed,
    read_rows,
)
from bezant.psp.reports import LineKind, ReportLine, Reports

SETTLEMENT_DETAILS: Final = "settlement_details"

KINDS: Final[Mapping[str, LineKind]] = {
    "Settled": LineKind.CHARGE,
    "Refunded": LineKind.REFUND,
    "RefundedReversed": LineKind.REFUND_FAILED,
    "Chargeback": LineKind.DISPUTE,
    "SecondChargeback": LineKind.DISPUTE,
    "ChargebackReversed": LineKind.DISPUTE_REVERSED,
    "Fee": LineKind.FEE,
    "MiscCosts": LineKind.FEE,
    "PaymentCost": LineKind.FEE,
    "InvoiceDeduction": LineKind.FEE,
    "MerchantPayout": LineKind.PAYOUT,
    "BankInstructionReturned": LineKind.PAYOUT_FAILED,
    "DepositCorrection": LineKind.ADJUSTMENT,
    "MatchedStatement": LineKind.ADJUSTMENT,
    "ManualCorrected": LineKind.ADJUSTMENT,
    "Balancetransfer": LineKind.ADJUSTMENT,
    "PaidOut": LineKind.ADJUSTMENT,
    "PaidOutReversed": LineKind.ADJUSTMENT,
    "EpaPaid": LineKind.ADJUSTMENT,
}
"""Adyen's journal types. One that is not known here moves the balance too, and is an adjustment."""

ZONES_H: Final[Mapping[str, float]] = {
    "UTC": 0, "GMT": 0, "WET": 0, "BST": 1, "WEST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3,
    "EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10,
    "BRT": -3, "SGT": 8, "HKT": 8, "JST": 9, "KST": 9, "ACST": 9.5, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
}  # fmt: skip
"""Hours before UTC of the time zones that can be told by their letters: CST and IST cannot."""

FEES: Final = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")

_TYPE: Final = "Type"
_NEEDED: Final = (
    "Merchant Account", "Psp Reference", "Merchant Reference", "Creation Date", "TimeZone", _TYPE,
    "Modification Reference", "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)", "Net Currency",
    "Net Debit (NC)", "Net Credit (NC)", *FEES, "Batch Number",
)  # fmt: skip
_SIGNS: Final = {
    LineKind.CHARGE: 1,
    LineKind.REFUND: -1,
    LineKind.REFUND_FAILED: 1,
    LineKind.DISPUTE: -1,
    LineKind.DISPUTE_REVERSED: 1,
}


class _Batch:
    """What the lines of a batch come to in one currency, its payouts apart."""

    def __init__(self) -> None:
        self.lines_minor = 0
        self.payouts_minor = 0
        self.has_payout = False


class _SettlementDetails:
    """The rows of a report, and what each batch comes to."""

    def __init__(self, columns: Columns) -> None:
        self._at = columns.need(*_NEEDED)
        self._modification_reference = columns.may("Modification Merchant Reference")
        self._batches: dict[str, _Batch] = {}
        self._nameless: dict[str, int] = {}
        self._is_missed = False

    def take(self, number: int, cells: list[str]) -> ReportLine:
        """The line of a row."""
        (
            account, psp_reference, reference, created, zone, kind_name, modification,
            gross_currency, gross_debit, gross_credit, net_currency, net_debit, net_credit, *fees, batch,
        ) = (cells[at].strip() for at in self._at)  # fmt: skip
        kind = KINDS.get(needed(kind_name, _TYPE), LineKind.ADJUSTMENT)
        currency = currency_code(net_currency, "Net Currency")
        net_minor = _side(net_debit, net_credit, currency, "NC")
        gross_minor = 0 if kind is LineKind.FEE else net_minor + _sum_of(fees, currency)
        presented_minor = presented_currency = None
        if (gross_debit or gross_credit) and kind is not LineKind.FEE:
            presented_currency = currency_code(gross_currency, "Gross Currency")
            presented_minor = _side(gross_debit, gross_credit, presented_currency, "GC")
        if presented_currency == currency:
            if presented_minor != gross_minor:
                raise CellFault(f"gross less fees is not {major_text(net_minor, currency)}", "Net Credit (NC)")
            presented_minor = presented_currency = None
        if (presented_minor or gross_minor) * _SIGNS.get(kind, 0) < 0:
            raise CellFault(f"{kind_name} is on the wrong side", "Gross Credit (GC)")
        payout = f"{needed(account, 'Merchant Account')} batch {needed(batch, 'Batch Number')} {currency}"
        line = ReportLine(
            number=number,
            line_reference=self._line_reference(
                f"{payout}/{kind_name}/{psp_reference or '-'}/{modification}/{net_minor}", psp_reference
            ),
            kind=kind,
            currency=currency,
            gross_minor=gross_minor,
            fee_minor=gross_minor - net_minor,
            net_minor=net_minor,
            occurred_at=_moment(created, zone),
            presented_minor=presented_minor,
            presented_currency=presented_currency,
            reference=name(cells[self._modification_reference]) or name(reference),
            psp_reference=name(psp_reference),
            operation_reference=name(modification) if psp_reference else _bank_reference(kind, modification),
            payout_reference=payout,
            description=None if psp_reference and kind_name in KINDS else description(f"{kind_name}: {modification}"),
        )
        self._add(payout, kind, net_minor)
        return line

    def miss(self) -> None:
        """What a batch comes to cannot be said any more."""
        self._is_missed = True

    def end(self, last: int) -> None:
        """Each batch that was paid out comes to nothing; one that is above nothing was paid out."""
        if self._is_missed:
            return
        for payout, batch in self._batches.items():
            currency = payout[-3:]
            if batch.has_payout and batch.lines_minor + batch.payouts_minor:
                reason = (
                    f"{payout}: the lines add up to {major_text(batch.lines_minor, currency)}, "
                    f"paid out is {major_text(-batch.payouts_minor, currency)}"
                )
                raise FileRefused(reason, line=last, field="Net Debit (NC)")
            if not batch.has_payout and batch.lines_minor > 0:
                raise FileRefused(f"{payout} ends without its payout: is the file cut off?", line=last)

    def _add(self, payout: str, kind: LineKind, net_minor: int) -> None:
        batch = self._batches.setdefault(payout, _Batch())
        if kind is LineKind.PAYOUT:
            batch.has_payout = True
            batch.payouts_minor += net_minor
        else:
            batch.lines_minor += net_minor

    def _line_reference(self, row: str, psp_reference: str) -> str:
        """What stays the same in each report; rows of no payment that say the same are counted."""
        if psp_reference:
            return row
        count = self._nameless[row] = self._nameless.get(row, 0) + 1
        return f"{row}/{count}"


def read_settlement_details(pieces: Iterable[bytes]) -> Iterator[ReportLine | BadLine]:
    """The lines of a settlement details report."""
    return read_rows(pieces, _SettlementDetails)


def recognise(start: bytes) -> str | None:
    """Whether this is a settlement details report."""
    return SETTLEMENT_DETAILS if {"Psp Reference", "Net Credit (NC)", "Batch Number"} <= header_of(start) else None


def _side(debit: str, credit: str, currency: str, of: str) -> int:
    """Credit less debit, in the gross (GC) or the net currency (NC)."""
    kind = "Gross" if of == "GC" else "Net"
    if not debit and not credit:
        raise CellFault("is empty, and so is the debit", f"{kind} Credit ({of})")
    taken_minor = major(debit, currency, f"{kind} Debit ({of})") if debit else 0
    return (major(credit, currency, f"{kind} Credit ({of})") if credit else 0) - taken_minor


def _sum_of(fees: list[str], currency: str) -> int:
    return sum(major(text, currency, field) for text, field in zip(fees, FEES, strict=True) if text)


def _moment(text: str, zone: str) -> datetime:
    hours = ZONES_H.get(zone.strip().upper())
    if hours is None:
        raise CellFault(f"{zone[:20]!r} is no time zone that can be told by these letters", "TimeZone")
    return (moment(text, "Creation Date", is_utc=True) - timedelta(hours=hours)).astimezone(UTC)


def _bank_reference(kind: LineKind, modification: str) -> str | None:
    """What the bank writes first of a payout."""
    return modification.split(maxsplit=1)[0] if kind is LineKind.PAYOUT and modification.strip() else None


REPORTS: Final = Reports(formats={SETTLEMENT_DETAILS: read_settlement_details}, recognise=recognise)
