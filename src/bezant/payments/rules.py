"""What an outcome does to a payment: amounts, journal, event. Pure; runs under the payment's row lock.

Effects are keyed by the attempt: the first conclusive outcome stands, the same one again changes nothing, a
contradiction is a break, and evidence that money moved wins over our belief that it did not.
"""

from datetime import datetime, timedelta

import msgspec

from bezant.ledger.rules import capture_lines, platform_fee_minor, refund_failed_lines, refund_lines
from bezant.payments.changes import Changes, reserve_refund, start
from bezant.payments.states import (
    TRIES_MAX,
    Attempt,
    AttemptStatus,
    Origin,
    Payment,
    Refund,
    decode_failure,
    encode_json,
)
from bezant.psp.contract import Failure, Operation, Outcome, Verdict

CHECK_AFTER_S = (1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600)
"""When an unresolved attempt is looked at again: seconds, then minutes, hours, days.

Its age counts, not how often it was looked at: a client who asks every second must not put the next check off.
"""

STUCK_AFTER_S = 3600
STUCK_AFTER_CHECKS = 5
"""After an hour and some checks without an answer a person is told; the checks go on."""

NOT_PROCESSED = Failure(
    code="not_processed", message="The payment provider never received the request; no money moved.", retryable=True
)

_DECIDED = (Verdict.APPROVED, Verdict.DECLINED)


class HeldLease(msgspec.Struct, frozen=True):
    """The lease under which an outcome was learned, until when it lasts.

    `nothing_sent_since`: where the PSP was only asked and sent nothing that moves money, when the lease before ended.
    What may have been sent then has had time to show since that moment, not since this one.
    """

    until: datetime
    nothing_sent_since: datetime | None = None


def conclude(
    changes: Changes,
    payment: Payment,
    attempt: Attempt,
    refund: Refund | None,
    outcome: Outcome,
    lease: HeldLease | None = None,
) -> None:
    """Apply what is known now of `attempt`, learned under `lease` by whoever called or asked the PSP.

    Without the lease any more (a process that was stopped and woken) only what the PSP itself has decided still counts:
    that nothing is known, or that nothing arrived, may be untrue since somebody else took the attempt up.
    """
    is_held = lease is None or attempt.lease_until == lease.until
    if not is_held and (outcome.verdict not in _DECIDED or outcome.failure == NOT_PROCESSED):
        return
    if attempt.is_conclusive:
        _again(changes, payment, attempt, refund, outcome)
    elif outcome.verdict is Verdict.APPROVED:
        _approve(changes, payment, attempt, refund, outcome)
    elif outcome.verdict is Verdict.DECLINED:
        _decline(changes, payment, attempt, refund, outcome.failure or NOT_PROCESSED)
    else:
        _leave_open(changes, payment, attempt, outcome, lease)


def conclude_superseded(changes: Changes, attempt: Attempt, cancel: Attempt) -> None:
    """An authorization that was set aside for a cancel: ended with it, or waiting again if the cancel was declined."""
    if cancel.status == AttemptStatus.APPROVED:
        attempt.status = AttemptStatus.DECLINED
        attempt.failure = encode_json(Failure(code="canceled", message="Canceled before the customer had acted."))
        attempt.stuck_at = None
    else:
        attempt.status = AttemptStatus.UNKNOWN
        attempt.next_check_at = changes.now
    changes.touch_attempt(attempt)


def _again(changes: Changes, payment: Payment, attempt: Attempt, refund: Refund | None, outcome: Outcome) -> None:
    approved_before = attempt.status == AttemptStatus.APPROVED
    if outcome.verdict is Verdict.APPROVED and not approved_before:
        changes.raise_break(attempt, "contradiction", "held for declined, but the PSP did it")
        if attempt.operation in (Operation.CAPTURE, Operation.REFUND):
            _reserve_again(payment, attempt, refund)
        _approve(changes, payment, attempt, refund, outcome)
    elif outcome.verdict is Verdict.DECLINED and approved_before:
        if refund is not None and refund.status == "succeeded":
            _reverse_refund(changes, payment, attempt, refund, outcome.failure or NOT_PROCESSED)
        elif refund is None:
            changes.raise_break(attempt, "contradiction", "approved before, but now said to be declined")


def _reserve_again(payment: Payment, attempt: Attempt, refund: Refund | None) -> None:
    """What was given up is in flight again, beyond our own bounds where others have taken its place.

    What was believed to be released was not, if it turns out to be captured.
    """
    if attempt.operation == Operation.CAPTURE:
        missing_minor = max(0, attempt.amount_minor - payment.capturable_minor)
        from_released_minor = min(missing_minor, payment.released_minor)
        payment.released_minor -= from_released_minor
        payment.excess_captured_minor += missing_minor - from_released_minor
        payment.capturing_minor += attempt.amount_minor
    elif refund is not None:
        payment.refunding_minor += attempt.amount_minor
        payment.weigh_refunds()


def _approve(changes: Changes, payment: Payment, attempt: Attempt, refund: Refund | None, outcome: Outcome) -> None:
    is_late = _was_doubted(attempt) and changes.now > attempt.execute_until
    attempt.status = AttemptStatus.APPROVED
    attempt.moved_minor = attempt.amount_minor if outcome.amount_minor is None else outcome.amount_minor
    attempt.captured_minor = outcome.captured_minor if attempt.operation == Operation.AUTHORIZE else 0
    attempt.psp_reference = _reference(attempt, outcome)
    attempt.next_check_at = attempt.stuck_at = attempt.failure = None
    attempt.detail = outcome.detail
    match attempt.operation:
        case Operation.AUTHORIZE:
            _authorized(changes, payment, attempt)
            if is_late and payment.gateway_ref == attempt.psp_reference:
                _undo(changes, payment, attempt)
        case Operation.CAPTURE:
            _captured(changes, payment, attempt)
        case Operation.CANCEL:
            _canceled(changes, payment)
        case _:
            _refunded(changes, payment, attempt, refund)
    changes.touch_attempt(attempt)


def _reference(attempt: Attempt, outcome: Outcome) -> str | None:
    """The PSP's name of what was tried, by which it can be asked about: of an authorization the payment's, else only
    the operation's own. Asked about an operation under the payment's name, a PSP would say that there is none.
    """
    is_authorization = attempt.operation == Operation.AUTHORIZE
    return (outcome.psp_reference if is_authorization else outcome.operation_reference) or attempt.psp_reference


def _was_doubted(attempt: Attempt) -> bool:
    """Whether nobody could tell the customer that it was done: unanswered, or taken for never arrived."""
    failure = decode_failure(attempt.failure)
    is_open = attempt.status in (AttemptStatus.SENDING, AttemptStatus.UNKNOWN)
    return is_open or (failure is not None and failure.code == NOT_PROCESSED.code)


def _authorized(changes: Changes, payment: Payment, attempt: Attempt) -> None:
    moved_minor = attempt.moved_minor or 0
    if payment.authorized_minor:
        changes.raise_break(attempt, "second_authorization", "the payment was authorized by another attempt before")
        payment.excess_captured_minor += attempt.captured_minor
    else:
        payment.authorized_minor = moved_minor
        payment.gateway_ref = attempt.psp_reference
    payment.failure = payment.next_action = payment.failed_at = payment.canceled_at = None
    payment.deadline_at = changes.now + timedelta(seconds=changes.ages.authorization_s)
    if attempt.captured_minor:
        _take(changes, payment, attempt, attempt.captured_minor)
        if payment.excess_captured_minor == 0:
            payment.released_minor = payment.authorized_minor - payment.captured_minor
    else:
        changes.touch(payment)
        changes.emit(payment, "payment.authorized")


def _captured(changes: Changes, payment: Payment, attempt: Attempt) -> None:
    payment.capturing_minor -= attempt.amount_minor
    payment.failure = None
    if attempt.final:
        payment.released_minor = max(
            0,
            payment.authorized_minor
            - payment.captured_minor
            - (attempt.moved_minor or 0)
            + payment.excess_captured_minor,
        )
    _take(changes, payment, attempt, attempt.moved_minor or 0)


def _take(changes: Changes, payment: Payment, attempt: Attempt, amount_minor: int) -> None:
    """Money was captured: amounts, the fee on all of it less what was taken before, journal, event."""
    payment.captured_minor += amount_minor
    payment.weigh_refunds()
    p = payment
    above_minor = p.captured_minor - p.excess_captured_minor + p.capturing_minor + p.released_minor - p.authorized_minor
    if above_minor > 0:
        from_released_minor = min(above_minor, p.released_minor)
        p.released_minor -= from_released_minor
        p.excess_captured_minor += above_minor - from_released_minor
    fee_minor = platform_fee_minor(p.captured_minor, p.fee_basis_points, p.fee_fixed_minor)
    changes.post(p, attempt, "capture", capture_lines(amount_minor, fee_minor - p.platform_fee_minor))
    p.platform_fee_minor = fee_minor
    if p.capturable_minor == 0:
        p.deadline_at = None
    changes.touch(p)
    changes.emit(p, "payment.captured")


def _canceled(changes: Changes, payment: Payment) -> None:
    p = payment  # what a capture in flight may still take is not released, whatever was said of it before
    p.released_minor = max(0, p.authorized_minor - p.captured_minor - p.capturing_minor + p.excess_captured_minor)
    payment.deadline_at = payment.next_action = payment.failure = None
    if payment.captured_minor == 0:
        payment.canceled_at = changes.now
    changes.touch(payment)
    changes.emit(payment, "payment.released" if payment.captured_minor else "payment.canceled")


def cancel_unconfirmed(changes: Changes, payment: Payment) -> None:
    """Cancel a payment of which no PSP has heard."""
    _canceled(changes, payment)


def _refunded(changes: Changes, payment: Payment, attempt: Attempt, refund: Refund | None) -> None:
    refund = _required(refund)
    payment.refunding_minor -= attempt.amount_minor
    payment.refunded_minor += attempt.amount_minor
    refund.status = "succeeded"
    refund.psp_reference = attempt.psp_reference
    refund.failure = None
    changes.post(payment, attempt, "refund", refund_lines(attempt.amount_minor))
    changes.touch(payment)
    changes.touch_refund(refund)
    changes.emit(payment, "refund.succeeded", refund)


def _reverse_refund(changes: Changes, payment: Payment, attempt: Attempt, refund: Refund, failure: Failure) -> None:
    """A refund that had succeeded came back (the customer's account is closed).

    The merchant is owed the money again.
    """
    payment.refunded_minor -= refund.amount_minor
    payment.weigh_refunds()
    refund.status = "failed"
    refund.failure = encode_json(failure)
    changes.post(payment, attempt, "refund_failed", refund_failed_lines(refund.amount_minor))
    changes.touch(payment)
    changes.touch_refund(refund)
    changes.emit(payment, "refund.failed", refund, failure)


def _decline(changes: Changes, payment: Payment, attempt: Attempt, refund: Refund | None, failure: Failure) -> None:
    attempt.status = AttemptStatus.DECLINED
    attempt.failure = encode_json(failure)
    attempt.next_check_at = attempt.stuck_at = None
    changes.touch_attempt(attempt)
    match attempt.operation:
        case Operation.AUTHORIZE:
            _authorization_declined(changes, payment, attempt, failure)
        case Operation.CAPTURE:
            payment.capturing_minor -= attempt.amount_minor
            payment.failure = attempt.failure
            changes.touch(payment)
            changes.emit(payment, "payment.capture_failed", failure=failure)
        case Operation.CANCEL:
            payment.failure = attempt.failure
            if payment.deadline_at is not None:
                payment.deadline_at = changes.now + timedelta(days=1)
            changes.touch(payment)
            changes.emit(payment, "payment.cancel_failed", failure=failure)
        case _:
            refund = _required(refund)
            payment.refunding_minor -= attempt.amount_minor
            payment.weigh_refunds()
            refund.status = "failed"
            refund.failure = attempt.failure
            changes.touch(payment)
            changes.touch_refund(refund)
            changes.emit(payment, "refund.failed", refund, failure)


def _authorization_declined(changes: Changes, payment: Payment, attempt: Attempt, failure: Failure) -> None:
    if payment.authorized_minor:  # by another attempt, whose authorization stands
        changes.touch(payment)
        changes.emit(payment, "payment.attempt_failed", failure=failure)
        return
    payment.next_action = payment.deadline_at = None
    payment.failure = attempt.failure
    stays_open = attempt.keeps_open and payment.tries < TRIES_MAX
    if not stays_open and payment.canceled_at is None:
        payment.failed_at = changes.now
    changes.touch(payment)
    changes.emit(payment, "payment.attempt_failed" if stays_open else "payment.failed", failure=failure)


def _leave_open(
    changes: Changes, payment: Payment, attempt: Attempt, outcome: Outcome, lease: HeldLease | None
) -> None:
    is_pending = outcome.verdict is Verdict.PENDING
    is_set_aside = attempt.status == AttemptStatus.SUPERSEDED  # its cancel decides; nobody asks about it meanwhile
    if not is_set_aside:
        attempt.status = AttemptStatus.PENDING if is_pending else AttemptStatus.UNKNOWN
    attempt.psp_reference = _reference(attempt, outcome)
    attempt.detail = outcome.contradiction or outcome.detail
    if lease is not None:
        attempt.lease_until = lease.nothing_sent_since or changes.now
    age_s = (changes.now - attempt.created_at).total_seconds()
    delay_s = next((delay_s for delay_s in CHECK_AFTER_S if age_s < 2 * delay_s), CHECK_AFTER_S[-1])
    attempt.next_check_at = None if is_set_aside else changes.now + timedelta(seconds=delay_s)
    attempt.checks += 1
    is_old = age_s >= STUCK_AFTER_S and attempt.checks >= STUCK_AFTER_CHECKS
    if (outcome.contradiction is not None or (is_old and not is_pending)) and attempt.stuck_at is None:
        attempt.stuck_at = changes.now
    if outcome.contradiction is not None:
        changes.raise_break(attempt, "contradiction", outcome.contradiction)
    changes.touch_attempt(attempt)
    if attempt.operation == Operation.AUTHORIZE and is_pending:
        _awaits(changes, payment, outcome)


def _awaits(changes: Changes, payment: Payment, outcome: Outcome) -> None:
    if payment.authorized_minor:  # by another attempt: this one must not take the payment's name at the PSP
        return
    before = (payment.gateway_ref, payment.next_action)
    payment.gateway_ref = outcome.psp_reference or payment.gateway_ref
    if outcome.next_action is not None and payment.next_action is None:
        payment.next_action = encode_json(outcome.next_action)
        payment.action_at = changes.now
        payment.deadline_at = changes.now + timedelta(seconds=changes.ages.action_s)
        changes.touch(payment)
        changes.emit(payment, "payment.action_required")
    elif before != (payment.gateway_ref, payment.next_action):
        changes.touch(payment)


def _undo(changes: Changes, payment: Payment, attempt: Attempt) -> None:
    """An authorization that appeared after the customer's window: give it back by an attempt of its own."""
    changes.raise_break(
        attempt, "late_authorization", "approved after the customer's window had passed; it is being undone"
    )
    if payment.captured_minor:
        reserve_refund(changes, payment, payment.refundable_minor, Origin.UNDO, attempt.payment_method, "late")
    elif payment.authorized_minor > payment.released_minor:
        start(changes, payment, Operation.CANCEL, payment.capturable_minor, Origin.UNDO, attempt.payment_method)


def _required(refund: Refund | None) -> Refund:
    if refund is None:
        raise AssertionError("a refund attempt belongs to a refund: held by a CHECK and a foreign key")
    return refund
