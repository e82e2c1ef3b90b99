"""Stripe's test payment methods, as https://docs.stripe.com/testing lists them: what each of them does."""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Card:
    """How a payment method behaves. `decline`: the error's code and decline code."""

    decline: tuple[str, str | None] | None = None
    authenticates: bool = False
    refunds: Literal["at once", "late", "fail later"] = "at once"
    dispute: Literal["fraudulent", "product_not_received"] | None = None
    inquiry: bool = False
    is_slow: bool = False


CARDS: Final = {
    "pm_card_visa": Card(),
    "pm_card_mastercard": Card(),
    "pm_card_visa_chargeDeclined": Card(("card_declined", "generic_decline")),
    "pm_card_visa_chargeDeclinedInsufficientFunds": Card(("card_declined", "insufficient_funds")),
    "pm_card_visa_chargeDeclinedLostCard": Card(("card_declined", "lost_card")),
    "pm_card_visa_chargeDeclinedStolenCard": Card(("card_declined", "stolen_card")),
    "pm_card_visa_chargeDeclinedFraudulent": Card(("card_declined", "fraudulent")),
    "pm_card_chargeDeclinedExpiredCard": Card(("expired_card", None)),
    "pm_card_chargeDeclinedIncorrectCvc": Card(("incorrect_cvc", None)),
    "pm_card_chargeDeclinedProcessingError": Card(("processing_error", None)),
    "pm_card_threeDSecure2Required": Card(authenticates=True),
    "pm_card_authenticationRequired": Card(authenticates=True),
    "pm_card_pendingRefund": Card(refunds="late"),
    "pm_card_refundFail": Card(refunds="fail later"),
    "pm_card_createDispute": Card(dispute="fraudulent"),
    "pm_card_createDisputeProductNotReceived": Card(dispute="product_not_received"),
    "pm_card_createDisputeInquiry": Card(dispute="fraudulent", inquiry=True),
    "pm_usBankAccount": Card(is_slow=True),
}

MESSAGES: Final = {
    "card_declined": "Your card was declined.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
}
