"""Stripe's reports as CSV: payout reconciliation, balance change from activity, and payouts, each of them itemized.

All versions of a report name their columns, and whoever runs a report chooses them: they are read by name. Amounts are
in major units as people write them (dollars, yen: https://docs.stripe.com/reports/report-types/balance), whatever
Stripe's API counts in, so `mapping.EXPONENTS` has no part here. Times are those of the columns `..._utc`: the others
are in a time zone that the file does not name.

The report of payouts writes a payout as the bank sees it, above zero when it arrives there; the others as the balance
moves. A row is named by its balance transaction, which is the same in all of them.

Ours is `payment_metadata[bezant_payment]`, of a refund `refund_metadata[bezant_reference]`; a charge is named by the
column `charge_id`, its payment by `payment_intent_id`. Nothing stands in for a column that was not chosen: two reports
would name one movement in two ways.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from bezant.base.file_faults import BadLine, FileRefused
from bezant.connectors.stripe import calls, outcomes
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

PAYOUT_RECONCILIATION: Final = "payout_reconciliation"
BALANCE_CHANGE: Final = "balance_change_from_activity"
PAYOUTS: Final = "payouts"

KINDS: Final[Mapping[str, LineKind]] = {
    "charge": LineKind.CHARGE,
    # what a capture of a part gives back of the charge, which is reported whole: together they are the capture
    "partial_capture_reversal": LineKind.CHARGE,
    "refund": LineKind.REFUND,
    "refund_failure": LineKind.REFUND_FAILED,
    "dispute": LineKind.DISPUTE,
    "dispute_reversal": LineKind.DISPUTE_REVERSED,
    "fee": LineKind.FEE,
    "network_cost": LineKind.FEE,
    "tax": LineKind.FEE,
    "payout": LineKind.PAYOUT,
    "payout_reversal": LineKind.PAYOUT_FAILED,
}
"""Stripe's reporting categories (https://docs.stripe.com/reports/reporting-categories) that are not an adjustment."""

ADJUSTMENTS: Final = frozenset(
    """
    advance advance_funding anticipation_repayment charge_failure climate_order_purchase climate_order_refund
    connect_collection_transfer connect_reserved_funds contribution financing_paydown financing_paydown_reversal
    financing_payout financing_payout_reversal issuing_authorization_hold issuing_authorization_release issuing_dispute
    issuing_transaction other_adjustment platform_earning platform_earning_refund risk_reserved_funds topup
    topup_reversal transfer transfer_reversal unreconciled_customer_funds
    """.split()
)
"""All others that Stripe names. One that it names some day moves the balance too, and is an adjustment."""

_AMOUNTS: Final = ("currency", "gross", "fee", "net", "reporting_category", "balance_transaction_id")
_PAYOUT_KINDS: Final = frozenset({LineKind.PAYOUT, LineKind.PAYOUT_FAILED})
_REFUND_KINDS: Final = frozenset({LineKind.REFUND, LineKind.REFUND_FAILED})


class _Names(msgspec.Struct, frozen=True, kw_only=True):
    """What a row says beside its amounts."""

    reference: str | None = None
    psp_reference: str | None = None
    operation_reference: str | None = None
    payout_reference: str | None = None
    presented_minor: int | None = None
    presented_currency: str | None = None


class _Rows:
    """What the reports have in common: a balance transaction a row, and nothing that says how many there should be."""

    def __init__(self, columns: Columns, time: str) -> None:
        self._currency, self._gross, self._fee, self._net, self._category, self._id = columns.need(*_AMOUNTS)
        self._is_utc = f"{time}_utc" in columns or time not in columns
        self._time = f"{time}_utc" if self._is_utc else time
        (self._at,) = columns.need(self._time)
        self._description = columns.may("description")

    def miss(self) -> None:
        """There are no sums to check."""

    def end(self, last: int) -> None:
        """There are no sums to check."""

    def kind_of(self, cells: list[str]) -> LineKind:
        """What the row's category says."""
        return KINDS.get(cells[self._category], LineKind.ADJUSTMENT)

    def line(self, number: int, cells: list[str], kind: LineKind, names: _Names, sign: int = 1) -> ReportLine:
        """The row as a line; `sign` is -1 where amounts are written as another sees them."""
        currency = currency_code(cells[self._currency], "currency")
        gross_minor = sign * major(cells[self._gross], currency, "gross")
        fee_minor = sign * major(cells[self._fee], currency, "fee")
        net_minor = sign * major(cells[self._net], currency, "net")
        if net_minor != gross_minor - fee_minor:
            raise CellFault(f"{cells[self._net]} is not gross less fee", "net")
        text = description(cells[self._description])
        if kind is LineKind.ADJUSTMENT:
            category = needed(cells[self._category], "reporting_category")
            text = f"{category}: {text}" if text else category
        return ReportLine(
            number=number,
            line_reference=needed(cells[self._id], "balance_transaction_id"),
            kind=kind,
            currency=currency,
            gross_minor=0 if kind is LineKind.FEE else gross_minor,
            fee_minor=-net_minor if kind is LineKind.FEE else fee_minor,
            net_minor=net_minor,
            occurred_at=self._moment(cells[self._at], number),
            presented_minor=names.presented_minor,
            presented_currency=names.presented_currency,
            reference=names.reference,
            psp_reference=names.psp_reference,
            operation_reference=names.operation_reference,
            payout_reference=names.payout_reference,
            description=text,
        )

    def _moment(self, text: str, number: int) -> datetime:
        if not self._is_utc and text and "+" not in text and not text.endswith("Z"):
            reason = f"the times are in a time zone that the file does not name: choose the column {self._time}_utc"
            raise FileRefused(reason, line=number, field=self._time)
        return moment(text, self._time, is_utc=self._is_utc)


class _BalanceRows(_Rows):
    """The movements of the balance: as they were, or of the payouts that they are part of."""

    def __init__(self, columns: Columns) -> None:
        super().__init__(columns, "created")
        self._source = columns.may("source_id")
        self._charge = columns.may("charge_id")
        self._intent = columns.may("payment_intent_id")
        self._payout = columns.may("automatic_payout_id")
        self._facing = columns.may("customer_facing_amount"), columns.may("customer_facing_currency")
        self._payment = columns.may(f"payment_metadata[{calls.PAYMENT}]")
        self._refund = columns.may(f"refund_metadata[{outcomes.REFERENCE}]")

    def take(self, number: int, cells: list[str]) -> ReportLine:
        """The line of a row."""
        kind = self.kind_of(cells)
        source = name(cells[self._source])
        if kind in _PAYOUT_KINDS:
            return self.line(number, cells, kind, _Names(payout_reference=source or name(cells[self._payout])))
        presented_minor, presented_currency = self._presented(cells)
        names = _Names(
            reference=name(cells[self._refund if kind in _REFUND_KINDS else self._payment]),
            psp_reference=name(cells[self._intent]),
            operation_reference=name(cells[self._charge]) if kind is LineKind.CHARGE else source,
            payout_reference=name(cells[self._payout]),
            presented_minor=presented_minor,
            presented_currency=presented_currency,
        )
        return self.line(number, cells, kind, names)

    def _presented(self, cells: list[str]) -> tuple[int | None, str | None]:
        """What the customer saw, with the sign of gross, where that was in another currency."""
        amount, currency = cells[self._facing[0]], cells[self._facing[1]]
        if not amount or not currency or currency.upper() == cells[self._currency].upper():
            return None, None
        code = currency_code(currency, "customer_facing_currency")
        presented_minor = abs(major(amount, code, "customer_facing_amount"))
        return -presented_minor if cells[self._gross].startswith("-") else presented_minor, code


class _ReconciliationRows(_BalanceRows):
    """The movements of the balance that payouts are made of."""

    def __init__(self, columns: Columns) -> None:
        columns.need("automatic_payout_id")
        super().__init__(columns)


class _PayoutRows(_Rows):
    """Payouts, and payouts that came back."""

    def __init__(self, columns: Columns) -> None:
        super().__init__(columns, "effective_at")
        (self._payout,) = columns.need("payout_id")
        self._trace = columns.may("trace_id")

    def take(self, number: int, cells: list[str]) -> ReportLine:
        """The line of a row. `trace_id` is what the bank writes."""
        kind = self.kind_of(cells)
        if kind not in _PAYOUT_KINDS:
            raise CellFault(f"{cells[self._category]!r} is no category of a payout", "reporting_category")
        if cells[self._fee].strip("0.,"):
            raise CellFault("what a fee of a payout takes is not known here for certain", "fee")
        payout = needed(cells[self._payout], "payout_id")
        names = _Names(payout_reference=payout, operation_reference=name(cells[self._trace]))
        return self.line(number, cells, kind, names, sign=-1)


def read_payout_reconciliation(pieces: Iterable[bytes]) -> Iterator[ReportLine | BadLine]:
    """The lines of `payout_reconciliation.itemized` of any version."""
    return read_rows(pieces, _ReconciliationRows)


def read_balance_change(pieces: Iterable[bytes]) -> Iterator[ReportLine | BadLine]:
    """The lines of `balance_change_from_activity.itemized` of any version."""
    return read_rows(pieces, _BalanceRows)


def read_payouts(pieces: Iterable[bytes]) -> Iterator[ReportLine | BadLine]:
    """The lines of `payouts.itemized` of any version."""
    return read_rows(pieces, _PayoutRows)


def recognise(start: bytes) -> str | None:
    """Which report this is; one of activity that says the payouts is as good as a reconciliation."""
    header = header_of(start)
    if not {"balance_transaction_id", "reporting_category"} <= header:
        return None
    if "payout_id" in header:
        return PAYOUTS
    return PAYOUT_RECONCILIATION if "automatic_payout_id" in header else BALANCE_CHANGE


REPORTS: Final = Reports(
    formats={
        PAYOUT_RECONCILIATION: read_payout_reconciliation,
        BALANCE_CHANGE: read_balance_change,
        PAYOUTS: read_payouts,
    },
    recognise=recognise,
)
