"""What reports, payouts and bank statements are made of. Amounts are in minor units. No behaviour."""

from enum import StrEnum
from typing import NamedTuple

import msgspec


class RowType(StrEnum):
    """What a row of a report is about."""

    CHARGE = "charge"
    REFUND = "refund"
    REFUND_FAILED = "refund_failed"
    DISPUTE = "dispute"
    DISPUTE_REVERSED = "dispute_reversed"
    FEE = "fee"
    ADJUSTMENT = "adjustment"
    PAYOUT = "payout"


class PlantKind(StrEnum):
    """What can be wrong in a report or a statement. What is split, merged, late or mistyped can still be explained."""

    MISSING_PSP_ROW = "missing_psp_row"
    MISSING_INTERNAL_ROW = "missing_internal_row"
    DUPLICATE_PSP_ROW = "duplicate_psp_row"
    AMOUNT_MISMATCH = "amount_mismatch"
    FEE_MISMATCH = "fee_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    TYPO_IN_REFERENCE = "typo_in_reference"
    LATE_ROW = "late_row"
    UNMATCHED_DEPOSIT = "unmatched_deposit"
    MISSING_DEPOSIT = "missing_deposit"
    SPLIT_DEPOSIT = "split_deposit"
    MERGED_DEPOSIT = "merged_deposit"


class Movement(NamedTuple):
    """Money that moved at the PSP. `fee`: what the PSP takes for it, where that is not its share of a charge."""

    line_id: str
    type: RowType
    charge_id: str
    operation_id: str
    reference: str
    currency: str
    amount: int
    at: float
    fee: int = 0


class Row(msgspec.Struct, omit_defaults=True):
    """One row of a report, in the currency it is settled in. `presented_*`: in the customer's, if that is another."""

    type: RowType
    line_id: str
    currency: str
    gross: int
    at: float
    fee: int = 0
    charge_id: str = ""
    operation_id: str = ""
    reference: str = ""
    presented_amount: int | None = None
    presented_currency: str | None = None
    fx_rate: str | None = None
    payout_id: str = ""
    description: str = ""

    @property
    def net(self) -> int:
        """What it leaves on the balance."""
        return self.gross - self.fee


class Payout(msgspec.Struct, frozen=True):
    """What was sent to the bank; below zero it is taken from there."""

    id: str
    currency: str
    amount: int


class Unpaid(msgspec.Struct, frozen=True):
    """A payout that rows name already and that is not sent yet."""

    payout_id: str
    amount: int


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A movement of a bank account. `reference` is the bank's own."""

    reference: str
    amount: int
    text: str
    counterparty: str = ""
    end_to_end: str = ""
    is_fee: bool = False


class Statement(msgspec.Struct, frozen=True):
    """A bank's statement of one account."""

    id: str
    account: str
    currency: str
    sequence: int
    at: float
    opening: int
    closing: int
    entries: list[Entry]


class Label(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that was planted. `reference`: ours where it is about a row, else the payout's or the bank's.

    `written` is what stands there instead, where that is something else.
    """

    kind: PlantKind
    reference: str
    currency: str
    report_id: str = ""
    line_id: str = ""
    charge_id: str = ""
    operation_id: str = ""
    payout_id: str = ""
    statement_id: str = ""
    written: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What is to be planted, how often, and from which seed it is chosen."""

    kinds: dict[PlantKind, int] = {}
    seed: int = 0


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One settlement: the report as it was written (zlib), and what came of it.

    `withheld`: lines that were settled and stand in no report. `late`: rows for the next one. `unpaid`: by currency,
    what rows of reports up to this one are to be paid with. `left`: what could not be planted yet.
    """

    report_id: str
    number: int
    at: float
    rows: int
    report: bytes
    payouts: list[Payout]
    statements: list[Statement]
    withheld: list[str]
    late: list[Row]
    unpaid: dict[str, Unpaid]
    planted: list[Label]
    left: Plan
