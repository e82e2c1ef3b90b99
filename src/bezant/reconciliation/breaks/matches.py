"""Matches by hand as the API and the commands take and show them."""

from typing import Annotated

import msgspec
from msgspec import Meta

from bezant.base import ids
from bezant.base.money import Money
from bezant.reconciliation.breaks.by_hand.match import ITEMS_MAX, Made
from bezant.reconciliation.breaks.by_hand.unmatch import Undone
from bezant.reconciliation.breaks.views import Reason

Ids = Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(min_length=1, max_length=ITEMS_MAX)]


class MatchByHand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What explains what.

    `ours`: operations of one payment (`jrn_`), or payouts (`pyo_`). `theirs`: the lines that report them (`psl_`), or
    the bank lines that they came as (`bkl_`), or the one payout with which payouts that failed were sent again.
    `write_off`: give up what ours are more, or less, than theirs.
    """

    ours: Ids
    theirs: Ids
    reason: Reason
    write_off: bool = False


class UndoMatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a match is taken back."""

    reason: Reason


class MatchView(msgspec.Struct, frozen=True, kw_only=True):
    """A match that was made. `written_off`: what its lines do not report."""

    match_id: str
    written_off: Money
    journal_id: str | None


class UndoneView(msgspec.Struct, frozen=True, kw_only=True):
    """A match that is no more, and how many things are open again."""

    match_id: str
    reopened: int


def made_view(made: Made) -> MatchView:
    """A match as people see it."""
    return MatchView(
        match_id=ids.show(ids.MATCH, made.match_id),
        written_off=Money(made.written_off_minor, made.currency),
        journal_id=None if made.journal_id is None else ids.show(ids.JOURNAL, made.journal_id),
    )


def undone_view(undone: Undone) -> UndoneView:
    """What was taken back as people see it."""
    return UndoneView(match_id=ids.show(ids.MATCH, undone.match_id), reopened=len(undone.items))
