"""What the outside sees of a dispute. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from bezant.base import ids
from bezant.base.money import Money
from bezant.disputes.states import Action, Dispute, Evidence, Round, Stage, Status
from bezant.psp.contract import Failure


class RoundView(msgspec.Struct, frozen=True):
    """Money that was taken once. `absorbed`: borne by the platform. `fee_charged`: to the merchant."""

    round: int
    outcome: str
    amount: Money
    absorbed: int
    fee: Money | None
    fee_charged: int
    opened_at: datetime
    decided_at: datetime | None


class EvidenceFileView(msgspec.Struct, frozen=True):
    """A document as it was brought; what it holds is not shown again."""

    field: str
    name: str
    content_type: str
    size: int
    sha256: str


class EvidenceView(msgspec.Struct, frozen=True):
    """What is brought against the dispute in this round. `submitted`: it went to the PSP."""

    texts: dict[str, str]
    files: list[EvidenceFileView]
    submitted: bool


class ActionView(msgspec.Struct, frozen=True):
    """What we do at the PSP: `submit` or `accept`. `status`: `processing`, `unknown`, `approved` or `declined`."""

    action: str
    status: str
    since: datetime
    failure: Failure | None


class DisputeData(msgspec.Struct, frozen=True):
    """A dispute in brief, as events carry it."""

    dispute_id: str
    psp_reference: str
    stage: Stage
    status: Status
    round: int
    amount: Money
    reason: str | None
    evidence_due_at: datetime | None


class DisputeView(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute. `rounds`: each time that money was taken, oldest first; an inquiry has none."""

    dispute_id: str
    payment_id: str
    psp: str
    psp_reference: str
    stage: Stage
    status: Status
    round: int
    amount: Money
    reason: str | None
    evidence_due_at: datetime | None
    evidence: EvidenceView
    action: ActionView | None
    rounds: list[RoundView]
    created_at: datetime
    updated_at: datetime


def dispute_data(dispute: Dispute) -> DisputeData:
    """The dispute in brief."""
    d = dispute
    return DisputeData(
        dispute_id=ids.show(ids.DISPUTE, d.id),
        psp_reference=d.psp_reference,
        stage=Stage(d.stage),
        status=Status(d.status),
        round=d.round,
        amount=Money(d.amount_minor, d.currency),
        reason=d.reason,
        evidence_due_at=d.evidence_due_at,
    )


def dispute_view(
    dispute: Dispute, rounds: Iterable[Round], actions: Iterable[Action], evidence: Iterable[Evidence], now: datetime
) -> DisputeView:
    """The dispute with all that belongs to it; evidence and action are of its current round."""
    d = dispute
    own = [each for each in evidence if each.round == d.round]
    latest = max((a for a in actions if a.round == d.round), key=lambda a: a.created_at, default=None)
    return DisputeView(
        dispute_id=ids.show(ids.DISPUTE, d.id),
        payment_id=ids.show(ids.PAYMENT, d.payment_id),
        psp=d.psp,
        psp_reference=d.psp_reference,
        stage=Stage(d.stage),
        status=Status(d.status),
        round=d.round,
        amount=Money(d.amount_minor, d.currency),
        reason=d.reason,
        evidence_due_at=d.evidence_due_at,
        evidence=_evidence_view(own),
        action=None if latest is None else _action_view(latest, now),
        rounds=[_round_view(each) for each in rounds],
        created_at=d.created_at,
        updated_at=d.updated_at,
    )


def _evidence_view(evidence: Sequence[Evidence]) -> EvidenceView:
    return EvidenceView(
        texts={each.field: each.words for each in evidence if each.words is not None},
        files=[
            EvidenceFileView(e.field, e.file_name, e.content_type or "", e.size or 0, (e.sha256 or b"").hex())
            for e in evidence
            if e.file_name is not None
        ],
        submitted=any(each.submitted_by is not None for each in evidence),
    )


def _action_view(action: Action, now: datetime) -> ActionView:
    is_unknown = action.status == "unknown" or (action.status == "sending" and action.lease_until < now)
    status = action.status if not action.is_unresolved else "unknown" if is_unknown else "processing"
    failure = None if action.failure is None else msgspec.json.decode(action.failure, type=Failure)
    return ActionView(action.action, status, action.created_at, failure)


def _round_view(each: Round) -> RoundView:
    return RoundView(
        round=each.round,
        outcome=each.outcome,
        amount=Money(each.amount_minor, each.currency),
        absorbed=each.absorbed_minor,
        fee=None if each.fee_minor is None else Money(each.fee_minor, each.fee_currency or each.currency),
        fee_charged=each.fee_charged_minor,
        opened_at=each.opened_at,
        decided_at=each.decided_at,
    )
