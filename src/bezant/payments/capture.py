"""Capture an authorization, in whole or in part."""

import msgspec

from bezant.base.errors import Unprocessable
from bezant.payments.changes import start
from bezant.payments.command import (
    Scene,
    amount_within,
    invalid_state,
    refuse_when_closed,
    refuse_while_unresolved,
    required_payment,
    take_lease,
)
from bezant.payments.create import AmountInput
from bezant.payments.states import Attempt, Origin
from bezant.psp.contract import Operation


class CapturePayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /payments/{id}/capture`. `final`: false keeps the rest for further captures."""

    amount: AmountInput | None = None
    final: bool = True


def decide(scene: Scene) -> Attempt | None:
    """Reserve the amount and make the attempt.

    Raises NotFound, Forbidden (`merchant_inactive` when closed), Busy (`attempt_in_progress`), Conflict
    (`invalid_state`), Unprocessable (`amount_too_large`, `currency_mismatch`, `multi_capture_unsupported`).
    """
    payment = required_payment(scene)
    body = scene.command.body
    assert isinstance(body, CapturePayment)
    refuse_when_closed(scene)
    refuse_while_unresolved(scene)
    if payment.capturable_minor == 0:
        raise invalid_state(payment, "captured")
    if not body.final and not scene.manifests[payment.psp].multi_capture:
        raise Unprocessable(
            "multi_capture_unsupported", f"{payment.psp} takes one capture; leave final out.", param="/final"
        )
    amount_minor = amount_within(body.amount, payment, payment.capturable_minor, "captured")
    payment.capturing_minor += amount_minor
    scene.changes.touch(payment)
    attempt = start(
        scene.changes,
        payment,
        Operation.CAPTURE,
        amount_minor,
        Origin.CLIENT,
        payment.payment_method or "",
        attempt_id=scene.command.attempt_id,
        final=body.final,
    )
    return take_lease(scene, attempt)
