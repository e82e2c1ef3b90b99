"""What becomes of a kept event: pure decisions over what its handlers said."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from bezant.inbox.contract import Applied, Aside, Effect, Reread, Waits
from bezant.psp.contract import Outcome, Verdict
from bezant.psp.notices import DisputeNotice, Notice

BACK_OFF_S: Final = (1.0, 5.0, 30.0, 120.0, 600.0, 3600.0) + (21_600.0,) * 12
"""How long an event waits after each try; after the last, three days after the first, it stands aside."""

REASON_MAX: Final = 500
BEING_ASKED: Final = "the PSP is being asked"
_NO_HANDLER: Final = "no_handler:"
_DECIDED: Final = frozenset({Verdict.APPROVED, Verdict.DECLINED, Verdict.PENDING})

NoticeClass = type[Notice] | type[DisputeNotice]


class Status(StrEnum):
    """Where a kept event stands; the migration says what each means."""

    RECEIVED = "received"
    WAITING = "waiting"
    ASIDE = "aside"
    APPLIED = "applied"
    UNKNOWN = "unknown"


class Kept(msgspec.Struct, frozen=True):
    """An event as it is kept, locked by whoever works on it."""

    id: UUID
    psp: str
    psp_account_id: UUID | None
    merchant_id: UUID | None
    event_id: str
    type: str
    body: bytes
    occurred_at: datetime
    tries: int
    next_try_at: datetime

    @property
    def account(self) -> str:
        """The account at the PSP from which it came, as one text."""
        return f"{self.psp}/{self.psp_account_id or ''}"


class Busy(msgspec.Struct, frozen=True):
    """Whose events are left where they are, because as many of them as may be are being asked about."""

    psps: list[str]
    accounts: list[str]


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What is written to an event. `asks`: what its PSP is asked next, by the place of the notice in the event."""

    status: Status
    tries: int
    reason: str | None = None
    payment: tuple[UUID, UUID] | None = None
    wait_s: float | None = None
    asks: Mapping[int, Reread] = {}

    @property
    def is_plain(self) -> bool:
        """Whether it refers to nothing that a handler named."""
        return self.payment is None and not self.asks


def unknown(kept: Kept) -> Fate:
    """Of a type that nobody reads."""
    return Fate(status=Status.UNKNOWN, tries=kept.tries + 1)


def aside(kept: Kept, reason: str, payment: tuple[UUID, UUID] | None = None) -> Fate:
    """Given up; a person may have it tried again."""
    return Fate(status=Status.ASIDE, tries=kept.tries + 1, reason=_fitting(reason), payment=payment)


def waits(kept: Kept, reason: str, payment: tuple[UUID, UUID] | None = None) -> Fate:
    """Tried again after the next back-off, or set aside when there is none left."""
    if kept.tries >= len(BACK_OFF_S):
        return aside(kept, reason, payment)
    return Fate(
        status=Status.WAITING,
        tries=kept.tries + 1,
        reason=_fitting(reason),
        payment=payment,
        wait_s=BACK_OFF_S[kept.tries],
    )


def no_handler(notice_class: NoticeClass) -> str:
    """The reason of what stands aside until somebody handles notices of this class."""
    return f"{_NO_HANDLER}{notice_class.__name__}"


def fate_of(kept: Kept, effects: Sequence[Effect], lease_s: float, *, was_asked: bool) -> Fate:
    """What becomes of an event whose notices had these effects: it is applied as a whole or not at all.

    `lease_s`: for how long nobody else takes it up while its PSP is asked. `was_asked`: it has been asked already.
    """
    if stranger := _foreign(kept, effects):
        return aside(kept, stranger)
    payment = _payment_of(effects)
    for effect in effects:
        if isinstance(effect, Aside):
            return aside(kept, effect.reason, payment)
    for effect in effects:
        if isinstance(effect, Waits):
            return waits(kept, effect.reason, payment)
    asks = {place: effect for place, effect in enumerate(effects) if isinstance(effect, Reread)}
    if not asks:
        return Fate(status=Status.APPLIED, tries=kept.tries + 1, payment=payment)
    if was_asked:
        return waits(kept, "what the PSP answered contradicts what stands", payment)
    return Fate(status=Status.WAITING, tries=kept.tries, reason=BEING_ASKED, payment=payment, wait_s=lease_s, asks=asks)


def is_torn(effects: Sequence[Effect], fate: Fate) -> bool:
    """Whether something was written for an event that is not applied as a whole, so that it must be rolled back."""
    return fate.status is not Status.APPLIED and any(isinstance(effect, Applied) for effect in effects)


def unanswered(answers: Mapping[int, Outcome]) -> str | None:
    """Why an event cannot go on with what its PSP answered; None if it can."""
    for answer in answers.values():
        if answer.verdict not in _DECIDED:
            said = answer.contradiction or answer.detail
            return f"the PSP was asked: {answer.verdict}" + (f", {said}" if said else "")
    return None


def _foreign(kept: Kept, effects: Sequence[Effect]) -> str | None:
    """An account of one merchant speaks for that merchant's payments alone."""
    if kept.psp_account_id is None:
        return None
    named = {effect.payment[1] for effect in effects if isinstance(effect, Applied | Reread) and effect.payment}
    return "it names a payment of another merchant than its account's" if named - {kept.merchant_id} else None


def _payment_of(effects: Sequence[Effect]) -> tuple[UUID, UUID] | None:
    """The payment that all of it concerns, if it is one."""
    found = {effect.payment for effect in effects if isinstance(effect, Applied | Reread)} - {None}
    return found.pop() if len(found) == 1 else None


def _fitting(reason: str) -> str:
    return reason.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:REASON_MAX] or "no reason was given"
