"""Confirm a payment: the first try of one that was created without, another try after a decline in the browser.

After the customer's action there is nothing to send: the PSP is asked what became of it.
"""

import msgspec

from bezant.base.errors import Forbidden, InvalidRequest, Unprocessable
from bezant.payments.changes import start
from bezant.payments.command import Scene, invalid_state, required_payment, take_lease
from bezant.payments.create import PaymentMethod
from bezant.payments.states import TRIES_MAX, Attempt, AttemptStatus, Origin, Status
from bezant.psp.contract import Operation


class ConfirmPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /payments/{id}/confirm`. `client_secret` is for browsers, which hold the publishable key."""

    payment_method: PaymentMethod | None = None
    client_secret: str | None = None


def decide(scene: Scene) -> Attempt | None:
    """An attempt to authorize; the open one, to be asked about, where the customer's action is awaited; nothing where
    the PSP told what came of that action before the customer was back.

    Raises NotFound, Conflict (`invalid_state`), Busy (`attempt_in_progress`), Forbidden (`merchant_inactive`),
    Unprocessable (`psp_account_closed`) and InvalidRequest where no payment method is known.
    """
    payment = required_payment(scene)
    body = scene.command.body
    assert isinstance(body, ConfirmPayment)
    was_decided = payment.status in (Status.AUTHORIZED, Status.CAPTURED, Status.FAILED)
    if was_decided and payment.action_at is not None and body.payment_method is None:
        return None
    if payment.status != Status.PENDING or payment.tries >= TRIES_MAX:
        raise invalid_state(payment, "confirmed")
    for attempt in scene.attempts:
        if attempt.status in (AttemptStatus.PENDING, AttemptStatus.UNKNOWN, AttemptStatus.SENDING):
            return attempt
    if any(attempt.status == AttemptStatus.SUPERSEDED for attempt in scene.attempts):
        raise invalid_state(payment, "confirmed")
    if scene.access.merchant_status != "active":
        raise Forbidden("merchant_inactive", f"The merchant is {scene.access.merchant_status}: no new payments.")
    if payment.psp_account_id not in (None, scene.access.psp_accounts.get(payment.psp)):
        raise Unprocessable("psp_account_closed", f"Its account at {payment.psp} is closed: create the payment anew.")
    payment_method = body.payment_method or payment.payment_method
    if payment_method is None:
        raise InvalidRequest("invalid_request", "This payment has no payment_method yet.", param="/payment_method")
    payment.payment_method = payment_method
    payment.tries += 1
    payment.failure = None
    scene.changes.touch(payment)
    attempt = start(
        scene.changes,
        payment,
        Operation.AUTHORIZE,
        payment.amount_minor,
        Origin.CLIENT,
        payment_method,
        attempt_id=scene.command.attempt_id,
        keeps_open=scene.command.from_browser,
    )
    return take_lease(scene, attempt, scene.window)
