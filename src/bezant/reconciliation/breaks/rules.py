"""What becomes of a break from one run to the next. Pure."""

from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.reconciliation.matching.model import BreakKind


class Resolution(StrEnum):
    """How a break ended: the first two by themselves, the others by a person."""

    EXPLAINED = "explained"
    SUPERSEDED = "superseded"
    WRITTEN_OFF = "written_off"
    ACCEPTED = "accepted"
    DISMISSED = "dismissed"
    MATCHED = "matched"


AUTOMATIC: Final = frozenset({Resolution.EXPLAINED, Resolution.SUPERSEDED})
"""What a run may take back when it finds the break again."""

PREFIXES: Final = {
    "line": ids.PSP_LINE,
    "operation": ids.JOURNAL,
    "payout": ids.PAYOUT_AT_PSP,
    "bank_line": ids.BANK_LINE,
}
"""What a break is about, and how its id is shown."""

# They stand whatever else is found of the same thing: a PSP that was asked said so, or it is about another matter.
_NOT_SUPERSEDED: Final = frozenset({BreakKind.CONTRADICTION, BreakKind.FEE_MISMATCH, BreakKind.PAYOUT_MISMATCH})


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """An open break, in the order of the statement that reads it."""

    id: UUID
    merchant_id: UUID
    kind: str
    item_id: UUID
    is_over: bool
    """What was wrong is so no more, by what the rows say: mostly, what it is about is explained."""


def break_id(kind: str, item_id: UUID, payment_id: UUID | None) -> UUID:
    """The one break of this kind for a thing, in the family of the payment that it is known to concern."""
    return ids.derived(payment_id or item_id, "break", kind, item_id.hex)


def end_of(standing: Standing, *, is_found: bool, is_found_otherwise: bool) -> Resolution | None:
    """How a break ends by itself after a run; None where it stands.

    `is_found_otherwise`: another break is about the same thing, in front or behind.
    """
    if is_found:
        return None
    if is_found_otherwise and standing.kind not in _NOT_SUPERSEDED:
        return Resolution.SUPERSEDED
    return Resolution.EXPLAINED if standing.is_over else None
