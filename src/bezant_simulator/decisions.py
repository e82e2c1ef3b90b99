"""What a decision does to a charge: its amounts, its stage, its disputes. Pure functions over the charge."""

import secrets

from bezant_simulator.behaviours import FAILED, Decision, of_operation
from bezant_simulator.model import Charge, Dispute, DisputeStatus, Kind, Operation, OperationStatus, Refusal, Stage

EVIDENCE_S = 7 * 24 * 3600.0


def new_id(prefix: str) -> str:
    """A new id that cannot be guessed."""
    return f"{prefix}_{secrets.token_hex(12)}"


def refused(code: str, message: str) -> Refusal:
    """What a business rule forbids."""
    return Refusal("refused", code, message)


def settle(charge: Charge, operation: Operation, now: float) -> None:
    """Makes a pending operation final: its refusal, or its effect on the charge's amounts and stage."""
    operation.decides_at = None
    if operation.refusal is not None:
        operation.status = OperationStatus.FAILED
        if operation.kind is Kind.AUTHORIZE:
            charge.stage = Stage.REFUSED
        return
    operation.status = OperationStatus.SUCCEEDED
    match operation.kind:
        case Kind.AUTHORIZE:
            charge.stage, charge.amount_authorized = Stage.OPEN, operation.amount
            if charge.capture:
                _capture_at_once(charge, operation, now)
        case Kind.CAPTURE:
            charge.amount_captured += operation.amount
            if operation.final:
                charge.amount_released += charge.capturable
        case Kind.CANCEL:
            _release(charge, operation)
        case Kind.REFUND:
            charge.amount_refunded += operation.amount
    if charge.stage is Stage.OPEN and charge.amount_captured + charge.amount_released == charge.amount_authorized:
        charge.stage = Stage.CLOSED


def reverse(charge: Charge, operation: Operation) -> None:
    """A refund that has succeeded fails after all: the money comes back."""
    operation.reverses_at = None
    operation.status, operation.refusal = OperationStatus.FAILED, FAILED[Kind.REFUND]
    charge.amount_refunded -= operation.amount


def open_dispute(
    charge: Charge, amount: int, reason: str, fate: DisputeStatus, now: float, decides_at: float | None
) -> Dispute:
    """The customer's bank takes `amount` back for now."""
    dispute = Dispute(
        id=new_id("dp"),
        amount=amount,
        reason=reason,
        status=DisputeStatus.OPEN,
        opened=now,
        evidence_due=now + EVIDENCE_S,
        decides_at=decides_at,
        fate=fate,
    )
    charge.disputes.append(dispute)
    return dispute


def due_at(charge: Charge) -> float | None:
    """When the clock next changes something; None where nothing waits for it."""
    times = [at for o in charge.operations for at in (o.decides_at, o.reverses_at) if at is not None]
    if charge.dispute_at is not None:
        times.append(charge.dispute_at)
    times.extend(dispute.decides_at for dispute in charge.disputes if dispute.decides_at is not None)
    return min(times) if times else None


def _capture_at_once(charge: Charge, authorization: Operation, now: float) -> None:
    """The capture that goes with an authorization is a part of it, and carries its reference."""
    capture = Operation(
        id=new_id("op"),
        kind=Kind.CAPTURE,
        amount=authorization.amount,
        reference=authorization.reference,
        idempotency_key=authorization.idempotency_key,
        status=OperationStatus.PENDING,
        at=now,
    )
    if of_operation(Kind.CAPTURE, charge.payment_method, charge.metadata).decision is Decision.DECLINE:
        capture.refusal = FAILED[Kind.CAPTURE]
    charge.operations.append(capture)
    settle(charge, capture, now)


def _release(charge: Charge, operation: Operation) -> None:
    if charge.stage in (Stage.CUSTOMER_ACTION, Stage.PROCESSING):
        authorization = charge.operations[0]
        authorization.status, authorization.decides_at = OperationStatus.FAILED, None
        authorization.refusal = refused("canceled", "The charge was canceled before it was decided.")
        charge.stage = Stage.CLOSED
    elif charge.stage is Stage.OPEN:
        operation.amount = operation.amount or charge.capturable
        charge.amount_released += operation.amount
