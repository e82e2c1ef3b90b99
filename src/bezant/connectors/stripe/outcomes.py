"""What Stripe's objects say, as outcomes: the same reading for an answer, a look-up and a webhook.

Pure. Whatever would make an outcome a guess raises `Unclear`: a call's outcome is then unknown, an event stands aside.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from bezant.base.money import EXPONENTS
from bezant.connectors.stripe import mapping
from bezant.connectors.stripe.mapping import ApiError, Charge, Dispute, PaymentIntent, Refund
from bezant.psp.contract import Failure, NextAction, Outcome, PspSilence, Verdict
from bezant.psp.notices import DisputeNotice

REFERENCE: Final = "bezant_reference"
"""The metadata field of PaymentIntents and refunds that holds our attempt's reference."""

_CANCELED = Failure(code="canceled", message="The payment was canceled.")
_EXPIRED = Failure(code="authorization_expired", message="The authorization is not there any more.")
_TAKEN = Failure(code="invalid_state", message="The payment was captured and can only be refunded.")
_NO_WAY_BACK = Failure(
    code="authentication_required",
    message="The bank wants the customer to authenticate, which needs a return_url to send the customer through.",
    decline_code="authentication_required",
    retryable=True,
)


class Unclear(PspSilence, ValueError):
    """An object that does not say what happened."""


def authorization(intent: PaymentIntent) -> Outcome:
    """What became of the authorization.

    Of a PaymentIntent that is captured by hand, what was captured since is left out: that is an operation of its own.
    """
    by_hand = intent.capture_method == "manual"
    outcome = sale(intent)
    return msgspec.structs.replace(outcome, captured_minor=0, operation_reference=None) if by_hand else outcome


def sale(intent: PaymentIntent) -> Outcome:
    """What became of the authorization, with all that was captured of it until now."""
    verdict = mapping.AUTHORIZATION.get(intent.status, Verdict.PENDING)
    failure = None
    if intent.status == "canceled":
        failure = _CANCELED
    elif verdict is Verdict.DECLINED and intent.last_payment_error is not None:
        failure = decline(intent.last_payment_error)
    elif verdict is Verdict.DECLINED:
        verdict = Verdict.PENDING  # nothing was tried yet: the confirmation is still under way
    taken = captured(intent)
    held = intent.amount
    if intent.status == "requires_capture" and intent.amount_capturable is not None:
        held = intent.amount_capturable + taken
    return Outcome(
        verdict=verdict,
        psp_reference=intent.id,
        operation_reference=charge_id(intent) if taken else None,
        reference=reference(intent.metadata),
        amount_minor=minor(held, intent.currency) if verdict is Verdict.APPROVED else None,
        currency=intent.currency.upper(),
        captured_minor=minor(taken, intent.currency),
        failure=failure,
        next_action=_next_action(intent) if verdict is Verdict.PENDING else None,
    )


def declined_for_want_of_a_page(intent: PaymentIntent, outcome: Outcome) -> Outcome:
    """The authorization of a customer who cannot be sent anywhere: an action without a page ends it.

    Only the holder of the PaymentIntent's client secret could complete it, and nobody is given that.
    """
    if intent.status != "requires_action" or outcome.next_action is not None:
        return outcome
    return msgspec.structs.replace(outcome, verdict=Verdict.DECLINED, failure=_NO_WAY_BACK)


def capture(intent: PaymentIntent) -> Outcome:
    """What became of the capture. NOT_FOUND: not captured, and still can be."""
    taken = captured(intent)
    verdict = Verdict.APPROVED if taken else mapping.CAPTURE.get(intent.status, Verdict.PENDING)
    if verdict is Verdict.APPROVED and not taken:
        raise Unclear(f"{intent.id} has succeeded without an amount")
    return Outcome(
        verdict=verdict,
        psp_reference=intent.id,
        operation_reference=charge_id(intent) if taken else None,
        amount_minor=minor(taken, intent.currency) if taken else None,
        currency=intent.currency.upper(),
        failure=_EXPIRED if verdict is Verdict.DECLINED else None,
    )


def cancel(intent: PaymentIntent) -> Outcome:
    """What became of the cancel. How much was released is not said: a canceled PaymentIntent shows nothing held."""
    verdict = mapping.CANCEL.get(intent.status, Verdict.PENDING)
    return Outcome(
        verdict=verdict,
        psp_reference=intent.id,
        currency=intent.currency.upper(),
        failure=_TAKEN if verdict is Verdict.DECLINED else None,
    )


def refund(refund: Refund, psp_reference: str | None) -> Outcome:
    """What became of a refund, of this PaymentIntent where it does not say which."""
    verdict = Verdict.PENDING if refund.status is None else mapping.REFUND.get(refund.status, Verdict.PENDING)
    reason = refund.failure_reason
    failed = Failure(
        code="refund_failed",
        message="The refund did not reach the customer.",
        decline_code=reason,
        retryable=reason in mapping.REFUND_FAILURE_RETRYABLE,
    )
    return Outcome(
        verdict=verdict,
        psp_reference=refund.payment_intent or psp_reference,
        operation_reference=refund.id,
        reference=reference(refund.metadata),
        amount_minor=minor(refund.amount, refund.currency) if verdict is Verdict.APPROVED else None,
        currency=refund.currency.upper(),
        failure=failed if verdict is Verdict.DECLINED else None,
    )


def dispute(dispute: Dispute) -> DisputeNotice:
    """How a dispute stands."""
    name = dispute.id or dispute.charge  # a charge has one dispute, and the oldest events give it no id of its own
    if name is None or dispute.status not in mapping.DISPUTE:
        raise Unclear(f"the dispute {name} has a status that is not known here: {dispute.status}")
    details = dispute.evidence_details
    due_at = dispute.evidence_due_by if details is None else details.due_by
    stage, status = mapping.DISPUTE[dispute.status]
    withdrawn = [moved for moved in dispute.balance_transactions if moved.amount < 0 and moved.fee > 0]
    return DisputeNotice(
        dispute_reference=name,
        psp_reference=dispute.payment_intent or dispute.charge,
        stage=stage,
        status=status,
        amount_minor=minor(dispute.amount, dispute.currency),
        currency=dispute.currency.upper(),
        reason=dispute.reason,
        evidence_due_at=datetime.fromtimestamp(due_at, UTC) if due_at else None,
        fee_minor=minor(withdrawn[0].fee, withdrawn[0].currency) if withdrawn else None,
        fee_currency=withdrawn[0].currency.upper() if withdrawn else None,
    )


def captured(intent: PaymentIntent) -> int:
    """What was taken, in Stripe's unit. Never lowered by refunds, so it can be asked at any later time.

    Stripe always says `amount_received`. localstripe does not: it books what a partial capture leaves as a refund of
    the charge, told apart from refunds that somebody asked for because those name the PaymentIntent.
    """
    if intent.amount_received is not None:
        return intent.amount_received
    charge = intent.latest_charge
    if charge is None:
        return 0
    if not isinstance(charge, Charge):
        raise Unclear(f"{intent.id} does not say what was captured")
    if charge.amount_captured is not None:
        return charge.amount_captured
    if not charge.captured or intent.status != "succeeded":
        return 0
    refunds = () if charge.refunds is None else charge.refunds.data
    return charge.amount - sum(refund.amount for refund in refunds if refund.payment_intent is None)


def charge_id(intent: PaymentIntent) -> str | None:
    """The charge that moved the money: Stripe's name of a capture."""
    charge = intent.latest_charge
    if charge is None and intent.charges is not None and intent.charges.data:
        charge = intent.charges.data[0]  # before API 2022-11-15: a list, newest first
    return charge.id if isinstance(charge, Charge) else charge


def decline(error: ApiError) -> Failure:
    """Why a payment was refused."""
    named = [code for code in (error.decline_code, error.code) if code is not None and code in mapping.DECLINES]
    code, retryable = mapping.DECLINES[named[0]] if named else mapping.DECLINE_DEFAULT
    return Failure(
        code=code,
        message=error.message or "The payment was declined.",
        decline_code=error.decline_code or error.code,
        retryable=mapping.ADVICE_RETRYABLE.get(error.advice_code or "", retryable),
    )


def reference(metadata: Mapping[str, str] | None) -> str | None:
    """Our attempt's reference, as Stripe echoes it."""
    return None if metadata is None else metadata.get(REFERENCE)


def shift(currency: str) -> int:
    """How many digits Stripe's minor unit of a currency has more than ISO 4217's."""
    if currency not in EXPONENTS:
        raise Unclear(f"{currency} is not a currency that is known here")
    return mapping.EXPONENTS.get(currency, EXPONENTS[currency]) - EXPONENTS[currency]


def minor(amount: int, currency: str) -> int:
    """An amount of Stripe's in our unit."""
    digits = shift(currency.upper())
    if digits <= 0:
        return amount * 10**-digits
    whole, rest = divmod(amount, 10**digits)
    if rest:
        raise Unclear(f"{amount} {currency} is no whole amount")
    return whole


def _next_action(intent: PaymentIntent) -> NextAction | None:
    """The page to send the customer to. None for actions that need Stripe.js in the merchant's page."""
    action = intent.next_action or {}
    kind = action.get("type")
    if not isinstance(kind, str) or kind not in mapping.NEXT_ACTION_URL:
        return None
    details = msgspec.convert(action.get(kind), dict[str, object])
    url = details.get(mapping.NEXT_ACTION_URL[kind])
    return NextAction(url=url) if isinstance(url, str) else None
