"""A world with its truth: what the ledger, the PSPs and the bank hold, and which of it is the same money."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from bezant.reconciliation.matching.model import Deposit, Fee, Id, Line, Operation, Payout


class Trouble(StrEnum):
    """What is out of the ordinary about records; the words are those of the published table."""

    NONE = "none"
    REFUND = "refund of an earlier capture"
    PARTIAL_CAPTURE = "captured in parts, each reported"
    WHOLE_AND_REST = "captured in part, whole and rest"
    JOINED_CAPTURES = "captured in parts, one line"
    SPLIT_LINES = "one operation in two or three lines"
    FAILED_REFUND = "failed refund, both reported"
    SILENT_REFUND = "failed refund, neither reported"
    DISPUTE = "dispute"
    REVERSED = "dispute that was won"
    FX = "settled in another currency"
    FX_HIDDEN = "other currency, original not shown"
    FEE_DRIFT = "fee not as agreed"
    LATE = "reported weeks late"
    TYPO = "slip in the reference"
    REFORMATTED = "reference in other letters"
    NAMELESS = "no reference at all"
    SWAPPED = "references of two rows swapped"
    SAME_AMOUNTS = "same amounts on a day, some nameless"
    TWO_AT_ONCE = "two of these at once"
    DUPLICATE = "row reported twice"
    NOT_REPORTED = "operation that is not reported"
    NOT_OURS = "row that is not in the ledger"
    AMOUNT_OFF = "amount not as in the ledger"
    NOT_YET = "too young to be reported"

    MERGED_DEPOSIT = "several payouts in one entry"
    SPLIT_DEPOSIT = "one payout in several entries"
    NEGATIVE_PAYOUT = "payout below zero"
    DEPOSIT_TYPO = "slip in the payout's reference"
    DEPOSIT_NAMELESS = "bank that drops references"
    DEPOSIT_LATE = "entry one to three weeks late"
    DEPOSIT_FX = "entry in the account's currency"
    DEPOSIT_CHARGED = "bank's charge taken off"
    DEPOSIT_TWICE = "payout that came twice"
    DEPOSIT_MISSING = "payout that never came"
    DEPOSIT_NOT_OURS = "entry that is no payout"
    DEPOSIT_NOT_YET = "payout still on its way"


class Truth(msgspec.Struct, frozen=True):
    """Records that are the same money: ids of operations (payouts) and of the lines (deposits) that report them."""

    trouble: Trouble
    ours: frozenset[Id]
    theirs: frozenset[Id]


class Book(msgspec.Struct, frozen=True):
    """What the ledger and one PSP account hold. `fees`: as agreed with the PSP, if anything is."""

    name: str
    operations: Sequence[Operation]
    lines: Sequence[Line]
    fees: tuple[Fee, ...]


class Labels(msgspec.Struct, frozen=True):
    """What is known of one level. `nothing`: records that nothing explains, with the reason.

    `copies`: rows that differ from another row by their id alone, with that row's id: nobody can tell which of the two
    was there first, so either may explain, but not both.
    """

    truths: Sequence[Truth]
    nothing: Mapping[Id, Trouble]
    copies: Mapping[Id, Id]


class World(msgspec.Struct, frozen=True):
    """All of it, as seen at `now`. `troubled`: share of the operations that are in some trouble."""

    seed: int
    now: datetime
    books: Sequence[Book]
    payouts: Sequence[Payout]
    deposits: Sequence[Deposit]
    labels: Labels
    deposit_labels: Labels
    troubled: float


class Shares(msgspec.Struct, frozen=True):
    """What happens how often, as shares of the orders (of payouts). Ordinary refunds are no trouble and come on top."""

    orders: Mapping[Trouble, float]
    payouts: Mapping[Trouble, float]
    refunds: float = 0.05
    two_at_once: float = 0.04
    """Of the rows that are troubled: how many have a second trouble."""
    nameless_of_same: float = 0.25
    """Of the rows of many same amounts on a day: how many have no reference."""

    @staticmethod
    def usual(total: float = 0.08, of_payouts: float = 0.12) -> "Shares":
        """The usual mixture, with this share of orders and of payouts in some trouble."""
        return Shares(_scaled(_USUAL, total), _scaled(_USUAL_PAYOUTS, of_payouts))


def _scaled(weights: Mapping[Trouble, float], total: float) -> dict[Trouble, float]:
    unit = total / sum(weights.values())
    return {trouble: weight * unit for trouble, weight in weights.items()}


_USUAL: Mapping[Trouble, float] = {
    Trouble.PARTIAL_CAPTURE: 9,
    Trouble.WHOLE_AND_REST: 3,
    Trouble.JOINED_CAPTURES: 3,
    Trouble.SPLIT_LINES: 6,
    Trouble.FAILED_REFUND: 3,
    Trouble.SILENT_REFUND: 2,
    Trouble.DISPUTE: 4,
    Trouble.REVERSED: 2,
    Trouble.FX: 15,
    Trouble.FX_HIDDEN: 0.5,
    Trouble.FEE_DRIFT: 9,
    Trouble.LATE: 6,
    Trouble.TYPO: 8,
    Trouble.REFORMATTED: 3,
    Trouble.NAMELESS: 2,
    Trouble.SWAPPED: 3,
    Trouble.SAME_AMOUNTS: 8,
    Trouble.DUPLICATE: 5,
    Trouble.NOT_REPORTED: 4,
    Trouble.NOT_OURS: 4,
    Trouble.AMOUNT_OFF: 4,
}
_USUAL_PAYOUTS: Mapping[Trouble, float] = {
    Trouble.MERGED_DEPOSIT: 30,
    Trouble.SPLIT_DEPOSIT: 15,
    Trouble.DEPOSIT_TYPO: 15,
    Trouble.DEPOSIT_LATE: 8,
    Trouble.DEPOSIT_FX: 10,
    Trouble.DEPOSIT_CHARGED: 8,
    Trouble.DEPOSIT_TWICE: 4,
    Trouble.DEPOSIT_MISSING: 5,
    Trouble.DEPOSIT_NOT_OURS: 20,
}
