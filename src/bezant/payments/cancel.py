"""Cancel: give back what was authorized and not captured, or end the wait for the customer."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from bezant.payments.changes import Changes, start
from bezant.payments.command import (
    Scene,
    invalid_state,
    refuse_when_closed,
    refuse_while_unresolved,
    required_payment,
    take_lease,
)
from bezant.payments.rules import cancel_unconfirmed
from bezant.payments.states import Attempt, AttemptStatus, Origin, Payment, Status
from bezant.psp.contract import Operation


class CancelPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /payments/{id}/cancel`: empty."""


def decide(scene: Scene) -> Attempt | None:
    """An attempt to cancel; none where no PSP has heard of the payment, which is then canceled at once.

    Raises NotFound, Forbidden (`merchant_inactive` when closed), Busy (`attempt_in_progress`), Conflict
    (`invalid_state`).
    """
    payment = required_payment(scene)
    refuse_when_closed(scene)
    if payment.status == Status.PENDING:
        awaited = supersede(scene.changes, payment, scene.attempts)
        refuse_while_unresolved(scene)
        if any(a.status == AttemptStatus.SUPERSEDED for a in scene.attempts) and awaited is None:
            raise invalid_state(payment, "canceled")
        if awaited is None:
            cancel_unconfirmed(scene.changes, payment)
            return None
        return take_lease(scene, _attempt(scene.changes, payment, Origin.CLIENT, scene.command.attempt_id))
    refuse_while_unresolved(scene)
    if payment.capturable_minor == 0:
        raise invalid_state(payment, "canceled")
    return take_lease(scene, _attempt(scene.changes, payment, Origin.CLIENT, scene.command.attempt_id))


def overdue(changes: Changes, payment: Payment, attempts: Sequence[Attempt]) -> None:
    """Start to cancel a payment whose authorization has reached its age or whose customer never came.

    Does nothing while something of it is unresolved: the deadline stays and is looked at again.
    """
    awaited = supersede(changes, payment, attempts) if payment.status == Status.PENDING else None
    if any(a.is_unresolved and a.operation != Operation.REFUND for a in attempts):
        return
    if payment.capturable_minor or awaited is not None:
        _attempt(changes, payment, Origin.OVERDUE, None)
    payment.deadline_at = None
    changes.touch(payment)


def supersede(changes: Changes, payment: Payment, attempts: Sequence[Attempt]) -> Attempt | None:
    """Set the authorization that awaits the customer aside, so that a cancel can decide.

    It, or None where none waits.
    """
    for attempt in attempts:
        awaits = attempt.operation == Operation.AUTHORIZE and attempt.status == AttemptStatus.PENDING
        if awaits and payment.next_action is not None:
            attempt.status = AttemptStatus.SUPERSEDED
            attempt.next_check_at = None
            changes.touch_attempt(attempt)
            return attempt
    return None


def _attempt(changes: Changes, payment: Payment, origin: Origin, attempt_id: UUID | None) -> Attempt:
    amount_minor = payment.capturable_minor or payment.amount_minor
    payment_method = payment.payment_method or ""
    return start(changes, payment, Operation.CANCEL, amount_minor, origin, payment_method, attempt_id=attempt_id)
