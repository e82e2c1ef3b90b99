"""Refund what was captured, in whole or in part, as often as it lasts."""

from typing import Annotated

import msgspec
from msgspec import Meta

from bezant.base.errors import Unprocessable
from bezant.payments.changes import reserve_refund
from bezant.payments.command import (
    Scene,
    amount_within,
    invalid_state,
    refuse_when_closed,
    required_payment,
    take_lease,
)
from bezant.payments.create import AmountInput
from bezant.payments.states import Attempt, Origin


class CreateRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /payments/{id}/refunds`."""

    amount: AmountInput | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


def decide(scene: Scene) -> Attempt | None:
    """Reserve the amount and make the refund with its attempt.

    Raises NotFound, Conflict (`invalid_state`), Forbidden (`merchant_inactive` when closed), Unprocessable
    (`amount_too_large`, `currency_mismatch`).
    """
    payment = required_payment(scene)
    body = scene.command.body
    assert isinstance(body, CreateRefund)
    refuse_when_closed(scene)
    if payment.captured_minor == 0:
        raise invalid_state(payment, "refunded")
    if payment.refundable_minor == 0:
        if body.amount is None:
            raise invalid_state(payment, "refunded further")
        raise Unprocessable("amount_too_large", "Nothing is left to refund.", param="/amount/value")
    amount_minor = amount_within(body.amount, payment, payment.refundable_minor, "refunded")
    _, attempt = reserve_refund(
        scene.changes,
        payment,
        amount_minor,
        Origin.CLIENT,
        payment.payment_method or "",
        body.reason,
        scene.command.attempt_id,
    )
    return take_lease(scene, attempt)
