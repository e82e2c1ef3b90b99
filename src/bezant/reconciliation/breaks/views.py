"""Breaks as the API and the commands take and show them."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from bezant.base import ids
from bezant.base.db import Row
from bezant.base.money import AMOUNT_MINOR_MAX, Money
from bezant.reconciliation.breaks.rules import PREFIXES, Resolution
from bezant.web import PageQuery

Reason = Annotated[str, Meta(min_length=3, max_length=500, description="Why; it is kept with who did it.")]
OWNER_MAX: Final = 100
DAYS_MAX: Final = 36_500
Owner = Annotated[str, Meta(min_length=1, max_length=OWNER_MAX)]
Name = Annotated[str, Meta(max_length=40)]
BY_A_PERSON = Literal["written_off", "accepted", "dismissed"]


class BreakFilter(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which breaks are listed, newest first.

    Without `kind`: all that is work, hence not `timing_skew`, which only waits. `older_than_days`: by what they are
    about. `amount_gte`: minor units at risk.
    """

    status: Literal["open", "resolved", "all"] = "open"
    kind: Name | None = None
    psp: Name | None = None
    owner: Owner | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None
    amount_gte: Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)] | None = None
    older_than_days: Annotated[int, Meta(ge=0, le=DAYS_MAX)] | None = None


class AssignBreak(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to look at it; null: nobody."""

    owner: Owner | None


class CommentOnBreak(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody says of it."""

    body: Annotated[str, Meta(min_length=1, max_length=4_000)]


class ResolveBreak(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it ends.

    `written_off`: its money is given up. `accepted`: it is booked as reported, and what that leaves is written off.
    `dismissed`: nothing is to be done, and no money is at risk.
    """

    resolution: BY_A_PERSON
    reason: Reason


class BreakView(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be explained.

    `subject`: what it is about: an operation (`jrn_`), a line of a report (`psl_`), a payout (`pyo_`), a line of a bank
    statement (`bkl_`), an attempt or a dispute. `since`: when that began. `journal_id`: what its resolution has posted.
    """

    break_id: str
    kind: str
    status: Literal["open", "resolved"]
    subject: str | None
    psp: str | None
    merchant_id: str
    payment_id: str | None
    at_risk: Money | None
    detail: str
    owner: str | None
    resolution: Resolution | None
    resolved_by: str | None
    resolved_at: datetime | None
    journal_id: str | None
    since: datetime
    created_at: datetime


class CommentView(msgspec.Struct, frozen=True):
    """What somebody said of it."""

    author: str
    body: str
    created_at: datetime


class ItemView(msgspec.Struct, frozen=True, kw_only=True):
    """One of the things that a break is about, or could be explained by. `is_open`: nothing explains it."""

    id: str
    kind: str
    amount: Money
    at: datetime
    names: list[str]
    is_open: bool


class BreakDetail(BreakView, frozen=True, kw_only=True):
    """A break with all that is known of it. `candidates`: open things of the same amount on the other side."""

    items: list[ItemView]
    candidates: list[ItemView]
    comments: list[CommentView]


def break_fields(row: Row) -> dict[str, Any]:
    """A row of the statement that lists breaks."""
    break_id, merchant_id, payment_id, attempt_id, kind, status, subject, psp, currency, at_risk_minor, detail = row[
        :11
    ]
    owner, resolution, resolved_by, resolved_at, journal_id, since, created_at = row[11:]
    return {
        "break_id": ids.show(ids.BREAK, break_id),
        "kind": kind,
        "status": status,
        "subject": subject or shown(ids.ATTEMPT, attempt_id),
        "psp": psp,
        "merchant_id": ids.show(ids.MERCHANT, merchant_id),
        "payment_id": shown(ids.PAYMENT, payment_id),
        "at_risk": None if at_risk_minor is None or currency is None else Money(at_risk_minor, currency),
        "detail": detail,
        "owner": owner,
        "resolution": resolution,
        "resolved_by": resolved_by,
        "resolved_at": resolved_at,
        "journal_id": shown(ids.JOURNAL, journal_id),
        "since": since,
        "created_at": created_at,
    }


def item_view(row: Row) -> ItemView:
    """A row of the statements that read items: (side, id, kind, currency, amount, time, names, whether it is open)."""
    side, item_id, kind, currency, amount_minor, at, names, is_open = row
    return ItemView(
        id=ids.show(PREFIXES[side], item_id),
        kind=kind,
        amount=Money(amount_minor, currency),
        at=at,
        names=[name for name in names if name],
        is_open=is_open,
    )


def shown(prefix: str, value: UUID | None) -> str | None:
    """An id as the outside sees it."""
    return None if value is None else ids.show(prefix, value)
