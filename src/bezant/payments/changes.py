"""What one transaction will write, collected while it decides; and how attempts and refunds begin. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.ledger.rules import Journal, Line
from bezant.payments.render import event_data
from bezant.payments.states import Attempt, AttemptStatus, Origin, Payment, Refund, status_of
from bezant.psp.contract import Failure, Operation


class Ages(msgspec.Struct, frozen=True):
    """How long things may last: an authorization until it is given back, a customer's action until it is overdue."""

    authorization_s: int
    action_s: int


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """A mismatch between belief and observation that somebody must look at."""

    merchant_id: UUID
    payment_id: UUID
    attempt_id: UUID
    kind: str
    detail: str


class Changes:
    """What one transaction will write, collected while it decides: one statement per table at its end."""

    def __init__(self, now: datetime, xid: int, ages: Ages) -> None:
        self.now = now
        self.xid = xid
        self.ages = ages
        self.payments_new: dict[UUID, Payment] = {}
        self.payments_changed: dict[UUID, Payment] = {}
        self.refunds_new: dict[UUID, Refund] = {}
        self.refunds_changed: dict[UUID, Refund] = {}
        self.attempts_new: dict[UUID, Attempt] = {}
        self.attempts_changed: dict[UUID, Attempt] = {}
        self.journals: list[Journal] = []
        self.events: list[tuple[Payment, str, int, int, bytes]] = []
        self.breaks: list[Break] = []

    def touch(self, payment: Payment) -> None:
        """Derive the payment's status anew and write the row."""
        payment.status = status_of(payment)
        payment.updated_at = self.now
        if payment.id not in self.payments_new:
            self.payments_changed[payment.id] = payment

    def touch_attempt(self, attempt: Attempt) -> None:
        """Write the attempt."""
        attempt.updated_at = self.now
        if attempt.id not in self.attempts_new:
            self.attempts_changed[attempt.id] = attempt

    def touch_refund(self, refund: Refund) -> None:
        """Write the refund."""
        refund.updated_at = self.now
        if refund.id not in self.refunds_new:
            self.refunds_changed[refund.id] = refund

    def emit(
        self,
        payment: Payment,
        kind: str,
        refund: Refund | None = None,
        failure: Failure | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        """Say what happened, after every earlier event of the payment, even of a transaction that started later.

        `more`: what the event is about besides the payment.
        """
        position = len(self.events)
        if payment.event_tx >= self.xid:
            position = max(position, payment.event_position + 1)
        else:
            payment.event_tx = self.xid
        payment.event_position = position
        self.events.append((payment, kind, payment.event_tx, position, event_data(payment, refund, failure, more)))

    def post(self, payment: Payment, attempt: Attempt, kind: str, lines: tuple[Line, ...]) -> None:
        """Post a fact about the payment, correlated with the attempt that made it."""
        self.journals.append(
            Journal(
                merchant_id=payment.merchant_id,
                payment_id=payment.id,
                kind=kind,
                correlation_id=ids.show(ids.ATTEMPT, attempt.id),
                currency=payment.currency,
                effective_at=self.now,
                lines=lines,
            )
        )

    def raise_break(self, attempt: Attempt, kind: str, detail: str) -> None:
        """Put a mismatch in front of a person."""
        self.breaks.append(
            Break(
                merchant_id=attempt.merchant_id,
                payment_id=attempt.payment_id,
                attempt_id=attempt.id,
                kind=kind,
                detail=detail,
            )
        )


def reserve_refund(
    changes: Changes,
    payment: Payment,
    amount_minor: int,
    origin: Origin,
    payment_method: str,
    reason: str | None,
    attempt_id: UUID | None = None,
) -> tuple[Refund, Attempt]:
    """Reserve the amount and make the refund with its attempt."""
    refund = Refund(
        id=ids.child_of(payment.id),
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
        amount_minor=amount_minor,
        currency=payment.currency,
        status="pending",
        origin=origin.value,
        reason=reason,
        psp_reference=None,
        failure=None,
        created_at=changes.now,
        updated_at=changes.now,
    )
    changes.refunds_new[refund.id] = refund
    payment.refunding_minor += amount_minor
    changes.touch(payment)
    changes.emit(payment, "refund.created", refund)
    attempt = start(
        changes,
        payment,
        Operation.REFUND,
        amount_minor,
        origin,
        payment_method,
        attempt_id=attempt_id,
        refund_id=refund.id,
    )
    return refund, attempt


def start(
    changes: Changes,
    payment: Payment,
    operation: Operation,
    amount_minor: int,
    origin: Origin,
    payment_method: str,
    *,
    attempt_id: UUID | None = None,
    refund_id: UUID | None = None,
    final: bool = True,
    keeps_open: bool = False,
) -> Attempt:
    """A new attempt that nobody calls yet: due at once, so that sync performs it unless a caller takes its lease."""
    attempt = Attempt(
        id=attempt_id or ids.child_of(payment.id),
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
        refund_id=refund_id,
        operation=operation.value,
        origin=origin.value,
        amount_minor=amount_minor,
        currency=payment.currency,
        payment_method=payment_method,
        captures=operation is Operation.AUTHORIZE and payment.capture_strategy == "automatic",
        final=final,
        keeps_open=keeps_open,
        psp=payment.psp,
        psp_reference=None,
        status=AttemptStatus.UNKNOWN,
        captured_minor=0,
        moved_minor=None,
        failure=None,
        detail=None,
        lease_until=changes.now,
        execute_until=changes.now + timedelta(days=30),
        next_check_at=changes.now,
        checks=0,
        stuck_at=None,
        told_by=None,
        created_at=changes.now,
        updated_at=changes.now,
    )
    changes.attempts_new[attempt.id] = attempt
    return attempt
