"""What the matcher is given and what it answers.

Two levels, the same in kind: operations of the ledger against lines of PSP reports, payouts against deposits at the
bank. Amounts are signed minor units, as the balance moves: a charge adds, a refund takes. Ids of one kind of record
are of one type, unique, and can be ordered.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from bezant.psp.reports import LineKind

Id = UUID | str


class Operation(msgspec.Struct, frozen=True, gc=False):
    """A fact of the ledger that a PSP must report.

    `names`: its own (our attempt's, the PSP's name of the operation). `payment_names`: of its payment (ours, the PSP's,
    the order's).
    """

    id: Id
    kind: LineKind
    payment: Id
    currency: str
    amount_minor: int
    booked_at: datetime
    names: tuple[str, ...] = ()
    payment_names: tuple[str, ...] = ()


class Line(msgspec.Struct, frozen=True, gc=False):
    """A movement of the balance at a PSP, in the currency it is settled in.

    `presented_*`: what the customer was charged, with the sign of `gross_minor`; None where it is the same.
    """

    id: Id
    kind: LineKind
    currency: str
    gross_minor: int
    fee_minor: int
    net_minor: int
    occurred_at: datetime
    names: tuple[str, ...] = ()
    payment_names: tuple[str, ...] = ()
    presented_currency: str | None = None
    presented_minor: int | None = None
    payout: Id | None = None


class Payout(msgspec.Struct, frozen=True, gc=False):
    """What a PSP sends to the bank; below zero it is debited there."""

    id: Id
    currency: str
    amount_minor: int
    paid_at: datetime
    names: tuple[str, ...] = ()


class Deposit(msgspec.Struct, frozen=True, gc=False):
    """An entry of a bank statement: above zero came, below zero went. `original_*`: before the bank changed it."""

    id: Id
    currency: str
    amount_minor: int
    booked_on: date
    names: tuple[str, ...] = ()
    text: str = ""
    original_currency: str | None = None
    original_minor: int | None = None


class Fee(msgspec.Struct, frozen=True):
    """The fee agreed for lines of a kind and currency: a share of the gross, rounded half up, and a fixed part."""

    currency: str
    basis_points: int
    fixed_minor: int
    tolerance_minor: int = 1
    kind: LineKind = LineKind.CHARGE


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Within what bounds two records may be of the same money, and how much is searched.

    Windows are days from the operation (payout) to the line (deposit). Names that fit exactly need no window.
    `skew`, `deposit_skew`: how long an operation (payout) waits for its line (deposit) before that is missing.
    `component_max`: how many records that could explain each other are weighed at once. `budget`: steps of search for
    one such set; beyond either the set is reported as ambiguous.
    """

    window_days_before: int = 2
    window_days_after: int = 10
    late_days_after: int = 90
    """The window of a line whose name is that of the operation but for a slip of the pen."""
    nameless_days: int = 1
    """How far a line without a name may be from its operation, before and after."""
    skew: timedelta = timedelta(days=3)
    deposit_days_before: int = 1
    deposit_days_after: int = 7
    deposit_usual_days: int = 2
    """Banking days within which a deposit is booked where nothing is out of the ordinary.

    `deposit_days_before`, `deposit_days_after`: the window of groups.
    """
    deposit_late_days_after: int = 30
    """The window of a deposit whose name is off by a slip, or whose amount chance would hardly make."""
    deposit_skew: timedelta = timedelta(days=7)
    fx_tolerance_minor: int = 2
    fx_tolerance_basis_points: int = 10
    fees: tuple[Fee, ...] = ()
    group_max: int = 8
    component_max: int = 64
    budget: int = 200_000


class BreakKind(StrEnum):
    """Why something is not explained. TIMING_SKEW only waits: it is nothing to work on yet."""

    AMOUNT_MISMATCH = "amount_mismatch"
    FEE_MISMATCH = "fee_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    MISSING_PSP_ROW = "missing_psp_row"
    MISSING_INTERNAL_ROW = "missing_internal_row"
    DUPLICATE_PSP_ROW = "duplicate_psp_row"
    UNMATCHED_DEPOSIT = "unmatched_deposit"
    MISSING_DEPOSIT = "missing_deposit"
    TIMING_SKEW = "timing_skew"
    PAYOUT_MISMATCH = "payout_mismatch"
    AMBIGUOUS = "ambiguous"
    CONTRADICTION = "contradiction"
    EXCESS = "excess"


class Match(msgspec.Struct, frozen=True, gc=False):
    """Operations and the lines that explain them; no lines where operations undo each other before any report."""

    operations: tuple[Operation, ...]
    lines: tuple[Line, ...]
    rule: str
    cost: int = 0


class DepositMatch(msgspec.Struct, frozen=True):
    """Payouts and the deposits that they arrived as."""

    payouts: tuple[Payout, ...]
    deposits: tuple[Deposit, ...]
    rule: str
    cost: int = 0


class Candidate(msgspec.Struct, frozen=True):
    """One of several explanations: ids of operations (payouts) and of lines (deposits)."""

    ours: tuple[Id, ...]
    theirs: tuple[Id, ...]


class Ambiguous(msgspec.Struct, frozen=True):
    """Records that more than one explanation fits equally well; none of them is taken.

    `ours`: ids of operations (payouts); `theirs`: of lines (deposits).
    """

    ours: tuple[Id, ...]
    theirs: tuple[Id, ...]
    candidates: tuple[Candidate, ...]
    reason: str


class Noted(msgspec.Struct, frozen=True):
    """What records say of each other although they do not explain each other: ids of both sides."""

    kind: BreakKind
    ours: tuple[Id, ...]
    theirs: tuple[Id, ...]
    detail: str
    payment: Id | None = None


class Explained(msgspec.Struct, frozen=True):
    """Matches, and all that is left, whether or not something is noted of it."""

    matches: Sequence[Match]
    ambiguous: Sequence[Ambiguous]
    noted: Sequence[Noted]
    operations: Sequence[Operation]
    lines: Sequence[Line]


class ExplainedDeposits(msgspec.Struct, frozen=True):
    """The same of payouts and deposits."""

    matches: Sequence[DepositMatch]
    ambiguous: Sequence[Ambiguous]
    noted: Sequence[Noted]
    payouts: Sequence[Payout]
    deposits: Sequence[Deposit]


class Found(msgspec.Struct, frozen=True):
    """A break. `subjects`: the ids that it is about, the one to open first in front; it is as old as `since`."""

    kind: BreakKind
    subjects: tuple[Id, ...]
    currency: str
    at_risk_minor: int
    since: datetime
    detail: str
    payment: Id | None = None
