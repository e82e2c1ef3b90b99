"""The life of a dispute: which step leads where, and when money moves. Pure functions; the caller brings the time.

An inquiry takes nothing: it is closed, or becomes a chargeback. A chargeback takes its amount at once, and gives it
back when it is won. A dispute that was won may be taken up again once: the second stage takes the amount once more.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from bezant_simulator.decisions import new_id
from bezant_simulator.model import (
    ANSWERABLE,
    EVIDENCE_S,
    OPEN,
    Charge,
    Dispute,
    DisputeMove,
    DisputeStage,
    DisputeStatus,
    EvidenceFile,
)

Step = Callable[[Dispute, float], bool]
"""Takes a dispute on at a time; False, and nothing done, where it does not stand where the step begins."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer's bank begins with. `currency`: another one than the charge's."""

    amount: int
    reason: str = "fraudulent"
    fate: DisputeStatus = DisputeStatus.NEEDS_RESPONSE
    currency: str | None = None
    is_inquiry: bool = False
    after_evidence: bool = False
    evidence_s: float = EVIDENCE_S


def begin(charge: Charge, claim: Claim, fee: int, now: float) -> Dispute:
    """A new dispute on the charge; `fee` is taken each time that money is."""
    is_foreign = claim.currency not in (None, charge.currency)
    dispute = Dispute(
        id=new_id("dp"),
        amount=claim.amount,
        reason=claim.reason,
        status=DisputeStatus.INQUIRY if claim.is_inquiry else DisputeStatus.NEEDS_RESPONSE,
        stage=DisputeStage.INQUIRY if claim.is_inquiry else DisputeStage.CHARGEBACK,
        opened=now,
        evidence_due=now + claim.evidence_s,
        fate=claim.fate,
        currency=claim.currency if is_foreign else None,
        held=max(0, charge.refundable) if is_foreign else None,
        after_evidence=claim.after_evidence,
        evidence_s=claim.evidence_s,
        fee=fee,
    )
    if not claim.is_inquiry:
        _move(dispute, now, -dispute.amount)
    charge.disputes.append(dispute)
    return dispute


def escalate(dispute: Dispute, now: float) -> bool:
    """An inquiry becomes a chargeback: the money is taken, and the merchant is asked anew."""
    if dispute.stage is not DisputeStage.INQUIRY or dispute.status not in OPEN:
        return False
    return _ask_again(dispute, DisputeStage.CHARGEBACK, now)


def reopen(dispute: Dispute, now: float) -> bool:
    """The customer's bank does not accept that it lost. How that ends is open."""
    if dispute.stage is not DisputeStage.CHARGEBACK or dispute.status is not DisputeStatus.WON:
        return False
    dispute.fate = DisputeStatus.NEEDS_RESPONSE
    return _ask_again(dispute, DisputeStage.SECOND, now)


def answer(texts: Mapping[str, str], files: Sequence[EvidenceFile], *, submit: bool) -> Step:
    """Evidence is added; `submit` hands all of it to the bank."""

    def step(dispute: Dispute, now: float) -> bool:
        if dispute.status not in ANSWERABLE or now > dispute.evidence_due:
            return False
        dispute.texts = {**dispute.texts, **texts}
        dispute.files = [*dispute.files, *files]
        if submit:
            dispute.submitted = now
        return not submit or _stands(dispute, DisputeStatus.UNDER_REVIEW)

    return step


def accept(dispute: Dispute, _now: float) -> bool:
    """The merchant gives in. An inquiry has taken nothing that could be left to the bank."""
    return dispute.status is DisputeStatus.NEEDS_RESPONSE and _stands(dispute, DisputeStatus.ACCEPTED)


def expire(dispute: Dispute, _now: float) -> bool:
    """Nobody has answered in time."""
    match dispute.status:
        case DisputeStatus.INQUIRY:
            return _stands(dispute, DisputeStatus.CLOSED)
        case DisputeStatus.NEEDS_RESPONSE:
            return _stands(dispute, DisputeStatus.EXPIRED)
        case _:
            return False


def review(dispute: Dispute, _now: float) -> bool:
    """The bank looks into it, whether or not it was answered."""
    return dispute.status in ANSWERABLE and _stands(dispute, DisputeStatus.UNDER_REVIEW)


def win(dispute: Dispute, now: float) -> bool:
    """The bank decides for the merchant."""
    if dispute.status not in OPEN:
        return False
    if dispute.stage is DisputeStage.INQUIRY:
        return _stands(dispute, DisputeStatus.CLOSED)
    _move(dispute, now, dispute.amount)
    return _stands(dispute, DisputeStatus.WON)


def lose(dispute: Dispute, now: float) -> bool:
    """The bank decides for its customer; where it has only asked so far, the money is taken first."""
    if dispute.stage is DisputeStage.INQUIRY:
        return escalate(dispute, now)
    return dispute.status in OPEN and _stands(dispute, DisputeStatus.LOST)


STEPS: Final[Mapping[str, Step]] = {
    "escalate": escalate,
    "review": review,
    "win": win,
    "lose": lose,
    "expire": expire,
    "reopen": reopen,
}
"""What a bank can do, by its name."""

BY_FATE: Final[Mapping[DisputeStatus, Step]] = {DisputeStatus.WON: win, DisputeStatus.LOST: lose}
"""What the clock does."""


def _ask_again(dispute: Dispute, stage: DisputeStage, now: float) -> bool:
    dispute.stage = stage
    dispute.evidence_due = now + dispute.evidence_s
    dispute.texts, dispute.files, dispute.submitted = {}, [], None
    _move(dispute, now, -dispute.amount)
    return _stands(dispute, DisputeStatus.NEEDS_RESPONSE)


def _move(dispute: Dispute, now: float, amount: int) -> None:
    dispute.moves = [*dispute.moves, DisputeMove(now, amount)]


def _stands(dispute: Dispute, status: DisputeStatus) -> bool:
    dispute.status, dispute.decides_at = status, None
    dispute.changes += 1
    return True
