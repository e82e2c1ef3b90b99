"""What a decision does to a charge: its amounts and its stage. Pure functions over the charge."""

import secrets

from bezant_simulator.behaviours import FAILED, Decision, of_operation
from bezant_simulator.model import ANSWERABLE, Charge, Kind, Operation, OperationStatus, Refusal, Stage


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
            operation.done = now
            if operation.final:
                charge.amount_released += charge.capturable
        case Kind.CANCEL:
            _release(charge, operation)
        case Kind.REFUND:
            charge.amount_refunded += operation.amount
            operation.done = now
    if charge.stage is Stage.OPEN and charge.amount_captured + charge.amount_released == charge.amount_authorized:
        charge.stage = Stage.CLOSED


def reverse(charge: Charge, operation: Operation, now: float) -> None:
    """A refund that has succeeded fails after all: the money comes back."""
    operation.reverses_at, operation.undone = None, now
    operation.status, operation.refusal = OperationStatus.FAILED, FAILED[Kind.REFUND]
    charge.amount_refunded -= operation.amount


def due_at(charge: Charge) -> float | None:
    """When the clock next changes something; None where nothing waits for it."""
    times = [at for o in charge.operations for at in (o.decides_at, o.reverses_at) if at is not None]
    if charge.dispute_at is not None:
        times.append(charge.dispute_at)
    times.extend(dispute.decides_at for dispute in charge.disputes if dispute.decides_at is not None)
    times.extend(dispute.evidence_due for dispute in charge.disputes if dispute.status in ANSWERABLE)
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
