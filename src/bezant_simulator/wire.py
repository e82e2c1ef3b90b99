"""The simulator's own words on the wire: request bodies, answers, errors."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

import msgspec

from bezant_simulator.model import (
    Charge,
    Dispute,
    DisputeStage,
    DisputeStatus,
    EvidenceFile,
    Kind,
    Operation,
    OperationStatus,
    Refusal,
    Stage,
)

Amount = Annotated[int, msgspec.Meta(ge=1, le=999_999_999_999)]
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]


class CreateCharge(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/charges."""

    amount: Amount
    currency: Currency
    payment_method: str
    reference: Reference
    payment_reference: Reference
    capture: bool = False
    metadata: dict[str, str] = {}
    return_url: str | None = None
    description: str | None = None
    statement_descriptor: str | None = None


class Modify(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/charges/{id}/capture, /cancel and /refunds; without `amount`: all that is left."""

    reference: Reference
    amount: Amount | None = None
    currency: Currency | None = None
    final: bool = True
    metadata: dict[str, str] = {}


class AuthorizationView(msgspec.Struct):
    """How the authorization of a charge went; `captured`: what was taken with it."""

    id: str
    status: OperationStatus
    amount: int
    captured: int


class ChargeView(msgspec.Struct, omit_defaults=True, tag_field="object", tag="charge"):
    """A charge as the wire shows it."""

    id: str
    status: str
    reference: str
    payment_reference: str
    amount: int
    amount_authorized: int
    amount_captured: int
    amount_released: int
    amount_refunded: int
    currency: str
    payment_method: str
    authorization: AuthorizationView
    created: float
    amount_disputed: int = 0
    amount_lost: int = 0
    redirect_url: str | None = None
    failure: Refusal | None = None


class OperationView(msgspec.Struct, omit_defaults=True, tag_field="object", tag="operation"):
    """An operation as the wire shows it; without a `reference` it was made in the dashboard."""

    id: str
    kind: Kind
    charge: str
    status: OperationStatus
    amount: int
    currency: str
    created: float
    reference: str | None = None
    failure: Refusal | None = None


class EvidenceView(msgspec.Struct):
    """What the merchant has answered; `submitted`: when it went to the bank."""

    texts: dict[str, str]
    files: list[EvidenceFile]
    submitted: float | None


class DisputeView(msgspec.Struct, tag_field="object", tag="dispute"):
    """A dispute as the wire shows it. `evidence_due` counts while it waits for an answer. `round`: how often money was
    taken for it; `fee`: what the PSP takes each time.
    """

    id: str
    charge: str
    status: DisputeStatus
    stage: DisputeStage
    amount: int
    currency: str
    reason: str
    created: float
    evidence_due: float
    round: int
    fee: int
    evidence: EvidenceView


class Page(msgspec.Struct):
    """A list of things found."""

    data: list[ChargeView] | list[OperationView]


class Reply(msgspec.Struct, frozen=True):
    """One HTTP answer."""

    status: int
    body: bytes
    replayed: bool = False
    content_type: str = "application/json"
    location: str | None = None


encode: Final = msgspec.json.Encoder().encode


def rfc3339(at: float) -> str:
    """A moment as the outside reads it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def status_word(charge: Charge) -> str:
    """Where a charge stands, in one word."""
    if charge.stage not in (Stage.OPEN, Stage.CLOSED):
        return charge.stage.value
    if charge.amount_captured:
        return "collected" if charge.stage is Stage.CLOSED else "partly_collected"
    return "reserved" if charge.stage is Stage.OPEN else "voided"


def charge_view(charge: Charge, base_url: str) -> ChargeView:
    """The charge for the wire; a page for the customer is shown while one is awaited."""
    first = charge.operations[0]
    with_it = [o for o in charge.operations[1:] if o.reference == first.reference and o.kind is Kind.CAPTURE]
    captured = sum(o.amount for o in with_it if o.status is OperationStatus.SUCCEEDED)
    waits = charge.stage is Stage.CUSTOMER_ACTION
    return ChargeView(
        id=charge.id,
        status=status_word(charge),
        reference=charge.reference,
        payment_reference=charge.payment_reference,
        amount=charge.amount,
        amount_authorized=charge.amount_authorized,
        amount_captured=charge.amount_captured,
        amount_released=charge.amount_released,
        amount_refunded=charge.amount_refunded,
        currency=charge.currency,
        payment_method=charge.payment_method,
        authorization=AuthorizationView(first.id, first.status, charge.amount_authorized, captured),
        created=charge.created,
        amount_disputed=charge.amount_disputed,
        amount_lost=charge.amount_lost,
        redirect_url=f"{base_url}/{charge.page}/{charge.id}" if waits else None,
        failure=first.refusal if first.status is OperationStatus.FAILED else None,
    )


def operation_view(charge: Charge, operation: Operation) -> OperationView:
    """The operation for the wire."""
    return OperationView(
        id=operation.id,
        kind=operation.kind,
        charge=charge.id,
        status=operation.status,
        amount=operation.amount,
        currency=charge.currency,
        created=operation.at,
        reference=operation.reference,
        failure=operation.refusal if operation.status is OperationStatus.FAILED else None,
    )


def dispute_view(charge: Charge, dispute: Dispute) -> DisputeView:
    """The dispute for the wire."""
    return DisputeView(
        id=dispute.id,
        charge=charge.id,
        status=dispute.status,
        stage=dispute.stage,
        amount=dispute.amount,
        currency=dispute.currency or charge.currency,
        reason=dispute.reason,
        created=dispute.opened,
        evidence_due=dispute.evidence_due,
        round=dispute.rounds,
        fee=dispute.fee,
        evidence=EvidenceView(dispute.texts, dispute.files, dispute.submitted),
    )


def refused(refusal: Refusal, charge: Charge, operation: Operation) -> Reply:
    """An operation that was tried and refused: 402 where the card or its bank says no, 422 for a business rule."""
    status = HTTPStatus.PAYMENT_REQUIRED if refusal.type == "card_error" else HTTPStatus.UNPROCESSABLE_ENTITY
    error = {
        "type": refusal.type,
        "code": refusal.code,
        "decline_code": refusal.decline_code,
        "message": refusal.message,
        "charge": charge.id,
        "operation": operation.id,
    }
    return Reply(status, encode({"error": error}))


def error_reply(status: int, error_type: str, code: str, message: str) -> Reply:
    """A request that was not executed."""
    return Reply(status, encode({"error": {"type": error_type, "code": code, "message": message}}))
