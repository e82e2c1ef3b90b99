"""What a PSP did without us: a capture or refund made in its dashboard, an authorization that it gave up. Pure.

It becomes an attempt of origin `psp`, whose id is derived from the PSP's own operation id: booked once, under whichever
event it comes. What it moves beyond our own bounds goes into the excess columns and is a break.
"""

from uuid import UUID

from bezant.base import ids
from bezant.payments.changes import Changes, reserve_refund, start
from bezant.payments.states import Attempt, Origin, Payment, Refund
from bezant.psp.contract import Manifest, Operation, Outcome


def begin(
    changes: Changes, payment: Payment, operation: Operation, outcome: Outcome, manifest: Manifest
) -> tuple[Attempt, Refund | None] | None:
    """An attempt as if we had made it, about to be concluded with `outcome`; None where nothing is left to book."""
    match operation:
        case Operation.CAPTURE if outcome.operation_reference and outcome.amount_minor:
            return _capture(changes, payment, outcome.operation_reference, outcome.amount_minor, manifest), None
        case Operation.CANCEL if payment.capturable_minor:
            return _cancel(changes, payment, outcome), None
        case Operation.REFUND if outcome.operation_reference and outcome.amount_minor:
            return _refund(changes, payment, outcome.operation_reference, outcome.amount_minor)
        case _:
            return None


def _capture(changes: Changes, payment: Payment, name: str, amount_minor: int, manifest: Manifest) -> Attempt:
    attempt = _start(changes, payment, Operation.CAPTURE, name, amount_minor, final=not manifest.multi_capture)
    if amount_minor > payment.capturable_minor:
        detail = f"{amount_minor} captured at the PSP, {payment.capturable_minor} could be"
        changes.raise_break(attempt, "captured_beyond_authorized", detail)
    payment.capturing_minor += amount_minor
    return attempt


def _cancel(changes: Changes, payment: Payment, outcome: Outcome) -> Attempt:
    name = outcome.operation_reference or outcome.psp_reference or payment.gateway_ref or payment.psp
    return _start(changes, payment, Operation.CANCEL, name, payment.capturable_minor)


def _refund(changes: Changes, payment: Payment, name: str, amount_minor: int) -> tuple[Attempt, Refund]:
    above_minor = max(0, amount_minor - payment.refundable_minor)
    method = payment.payment_method or payment.psp
    refund, attempt = reserve_refund(
        changes, payment, amount_minor, Origin.PSP, method, None, attempt_id=_id_of(payment, Operation.REFUND, name)
    )
    attempt.psp_reference = name
    payment.weigh_refunds()
    if above_minor:
        detail = f"{amount_minor} refunded at the PSP, {above_minor} more than was left"
        changes.raise_break(attempt, "refunded_beyond_captured", detail)
    return attempt, refund


def _start(
    changes: Changes, payment: Payment, operation: Operation, name: str, amount_minor: int, *, final: bool = True
) -> Attempt:
    method = payment.payment_method or payment.psp
    attempt_id = _id_of(payment, operation, name)
    attempt = start(changes, payment, operation, amount_minor, Origin.PSP, method, attempt_id=attempt_id, final=final)
    attempt.psp_reference = name
    return attempt


def _id_of(payment: Payment, operation: Operation, name: str) -> UUID:
    return ids.derived(payment.id, payment.merchant_id.hex, payment.psp, operation, name)
