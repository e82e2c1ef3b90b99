"""The transactions of PayPal's reports: a row (SB) read by the columns that the section names (CH). Pure."""

from datetime import datetime
from typing import Final

import msgspec

from bezant.base.money import EXPONENTS
from bezant.connectors.paypal import codes
from bezant.psp.report_rows import CellFault, Columns, currency_code, minor, moment, name, needed
from bezant.psp.reports import LineKind, ReportLine

STATUS: Final = "Transactional Status"
"""A column of the transaction detail report alone."""

NEEDED: Final = (
    "Transaction ID", "Transaction Event Code", "Transaction Completion Date", "Transaction Debit or Credit",
    "Gross Transaction Amount", "Gross Transaction Currency", "Fee Debit or Credit", "Fee Amount", "Fee Currency",
)  # fmt: skip

_SIDES: Final = {codes.CREDIT: 1, codes.DEBIT: -1}
_PAYOUT_KINDS: Final = frozenset({LineKind.PAYOUT, LineKind.PAYOUT_FAILED})
_NO_DESCRIPTION: Final = frozenset({LineKind.CHARGE, LineKind.REFUND})
_MOVED: Final = "S"
_NOT_MOVED: Final = frozenset({"D", "P"})
_LENGTH: Final = len("2026/04/02 10:00:03 -0700")


class Amounts(msgspec.Struct, frozen=True):
    """Gross and fee of a transaction as the row has them: hundredths, each with its side and currency."""

    currency: str
    side: str
    gross: int
    fee_currency: str
    fee_side: str
    fee: int


class Transactions:
    """The rows of a section."""

    def __init__(self, columns: Columns) -> None:
        (
            self._id, self._code, self._completed, self._side, self._gross, self._currency, self._fee_side, self._fee,
            self._fee_currency,
        ) = columns.need(*NEEDED)  # fmt: skip
        self.width = len(columns.names)
        self.is_detail = STATUS in columns
        self._status = columns.may(STATUS)
        self._initiated = columns.may("Transaction Initiation Date")
        self._invoice = columns.may("Invoice ID")
        self._custom = columns.may("Custom Field")
        self._parent = columns.may("PayPal Reference ID")
        self._bank = columns.may("Bank Reference ID")

    def amounts(self, cells: list[str]) -> Amounts:
        """What the row adds to the totals."""
        currency = currency_code(cells[self._currency], "Gross Transaction Currency")
        fee = minor(cells[self._fee] or "0", "Fee Amount")
        return Amounts(
            currency=currency,
            side=_side(cells[self._side], "Transaction Debit or Credit"),
            gross=_unsigned(minor(cells[self._gross], "Gross Transaction Amount"), "Gross Transaction Amount"),
            fee_currency=currency_code(cells[self._fee_currency], "Fee Currency") if fee else currency,
            fee_side=_side(cells[self._fee_side], "Fee Debit or Credit") if fee else codes.DEBIT,
            fee=_unsigned(fee, "Fee Amount"),
        )

    def line(self, number: int, cells: list[str], amounts: Amounts) -> ReportLine | None:
        """The row as a line; None where it moved no balance."""
        code = cells[self._code].strip().upper()
        if len(code) != 5 or code[0] != "T" or not code[1:].isdigit():
            raise CellFault(f"{code[:20]!r} is no transaction event code", "Transaction Event Code")
        if code[:3] in codes.STILL or (self.is_detail and not self._has_moved(cells, code)):
            return None
        if amounts.fee_currency != amounts.currency:
            raise CellFault(f"a fee in another currency than {amounts.currency}", "Fee Currency")
        kind = codes.kind_of(code, amounts.side)
        gross_minor = _SIDES[amounts.side] * _minor_units(amounts.gross, amounts.currency, "Gross Transaction Amount")
        fee_minor = -_SIDES[amounts.fee_side] * _minor_units(amounts.fee, amounts.currency, "Fee Amount")
        transaction = needed(cells[self._id], "Transaction ID")
        parent, bank = name(cells[self._parent]), name(cells[self._bank])
        payout = (parent or transaction) if kind is LineKind.PAYOUT_FAILED else transaction
        is_payout, is_fee = kind in _PAYOUT_KINDS, kind is LineKind.FEE
        return ReportLine(
            number=number,
            line_reference=f"{transaction}/{code}/{amounts.side}/{amounts.currency}",
            kind=kind,
            currency=amounts.currency,
            gross_minor=0 if is_fee else gross_minor,
            fee_minor=fee_minor - gross_minor if is_fee else fee_minor,
            net_minor=gross_minor - fee_minor,
            occurred_at=self._moment(cells),
            reference=None if is_payout else name(cells[self._custom]) or name(cells[self._invoice]),
            psp_reference=None if is_payout else parent or transaction,
            operation_reference=bank if is_payout else transaction,
            payout_reference=payout if is_payout else None,
            description=None if kind in _NO_DESCRIPTION else codes.shown(code),
        )

    def _has_moved(self, cells: list[str], code: str) -> bool:
        """Whether a row of a transaction report has certainly moved the balance; False: certainly not."""
        status = cells[self._status].strip()
        if status in _NOT_MOVED:
            return False
        if status != _MOVED:
            raise CellFault(f"{status[:20]!r}: whether the balance was moved is not known here for certain", STATUS)
        if code.startswith("T99"):
            reason = f"{codes.shown(code)}: whether the balance was moved is not known here for certain"
            raise CellFault(reason, "Transaction Event Code")
        return True

    def _moment(self, cells: list[str]) -> datetime:
        """When it was completed: `2026/04/02 10:00:03 -0700`."""
        field = "Transaction Completion Date"
        text = (cells[self._completed] or cells[self._initiated]).strip()
        if len(text) != _LENGTH or text[4] != "/" or text[7] != "/" or text[19] != " ":
            raise CellFault(f"{text[:40]!r} is no time such as 2026/04/02 10:00:03 -0700", field)
        return moment(f"{text[:10].replace('/', '-')}T{text[11:19]}{text[20:23]}:{text[23:]}", field)


def _side(text: str, field: str) -> str:
    side = text.strip().upper()
    if side not in _SIDES:
        raise CellFault(f"{text[:20]!r} is neither CR nor DR", field)
    return side


def _unsigned(amount: int, field: str) -> int:
    if amount < 0:
        raise CellFault("has a sign", field)
    return amount


def _minor_units(hundredths: int, currency: str, field: str) -> int:
    """Hundredths of the major unit in minor units."""
    shift = EXPONENTS[currency] - 2
    if shift >= 0:
        return hundredths * 10**shift
    amount_minor, rest = divmod(hundredths, 10**-shift)
    if rest:
        raise CellFault(f"{hundredths} hundredths have more decimals than {currency}", field)
    return amount_minor
