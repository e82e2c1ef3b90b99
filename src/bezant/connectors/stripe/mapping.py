"""Stripe's words: the shapes that are read from its answers, and tables from its words to Bezant's.

Sources: Stripe's OpenAPI file and SDK enums (API 2026-06-24.dahlia), https://docs.stripe.com/declines/codes,
https://docs.stripe.com/currencies, https://docs.stripe.com/error-handling.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from bezant.psp.contract import Verdict
from bezant.psp.notices import DisputeStage, DisputeStatus


class ApiError(msgspec.Struct, frozen=True):
    """`error` of a refused request, and `last_payment_error` of a PaymentIntent: the same shape."""

    type: str | None = None
    code: str | None = None
    decline_code: str | None = None
    advice_code: str | None = None
    message: str | None = None
    param: str | None = None
    payment_intent: "PaymentIntent | None" = None


class Refused(msgspec.Struct, frozen=True):
    """The body of every answer that is not a success."""

    error: ApiError


class Refund(msgspec.Struct, frozen=True):
    """A refund object."""

    id: str
    amount: int
    currency: str
    status: str | None = None
    payment_intent: str | None = None
    failure_reason: str | None = None
    metadata: Mapping[str, str] | None = None


class RefundList(msgspec.Struct, frozen=True):
    """One page of refunds, newest first."""

    data: tuple[Refund, ...] = ()
    has_more: bool = False


class Charge(msgspec.Struct, frozen=True):
    """A charge, where an answer or an event brings it. The fields are those that say what was captured."""

    id: str
    amount: int
    captured: bool = False
    amount_captured: int | None = None
    currency: str | None = None
    status: str | None = None
    payment_intent: str | None = None
    refunds: RefundList | None = None
    metadata: Mapping[str, str] | None = None


class ChargeList(msgspec.Struct, frozen=True):
    """The charges of a PaymentIntent, newest first, as it showed them before API 2022-11-15."""

    data: tuple[Charge, ...] = ()


class PaymentIntent(msgspec.Struct, frozen=True):
    """A PaymentIntent, which is one payment at Stripe."""

    id: str
    status: str
    amount: int
    currency: str
    amount_capturable: int | None = None
    amount_received: int | None = None
    capture_method: str | None = None
    latest_charge: str | Charge | None = None
    charges: ChargeList | None = None
    last_payment_error: ApiError | None = None
    next_action: Mapping[str, object] | None = None
    metadata: Mapping[str, str] | None = None


class EvidenceDetails(msgspec.Struct, frozen=True):
    """Until when evidence can be brought, in seconds since 1970."""

    due_by: int | None = None


class BalanceTransaction(msgspec.Struct, frozen=True):
    """What moved on the balance: below zero where money was withdrawn, with its fee. In the balance's currency."""

    amount: int
    fee: int
    currency: str


class Dispute(msgspec.Struct, frozen=True):
    """A dispute object."""

    amount: int
    currency: str
    status: str
    id: str | None = None
    charge: str | None = None
    payment_intent: str | None = None
    reason: str | None = None
    evidence_details: EvidenceDetails | None = None
    evidence_due_by: int | None = None
    balance_transactions: tuple[BalanceTransaction, ...] = ()


class PaymentIntentSearch(msgspec.Struct, frozen=True):
    """The result of a search over PaymentIntents."""

    data: tuple[PaymentIntent, ...]


# A PaymentIntent's status as the answer to "what became of the ...?". A status that is not listed reads as pending.
AUTHORIZATION: Final[Mapping[str, Verdict]] = {
    "requires_capture": Verdict.APPROVED,
    "succeeded": Verdict.APPROVED,
    "requires_payment_method": Verdict.DECLINED,
    "canceled": Verdict.DECLINED,
    "requires_confirmation": Verdict.PENDING,
    "requires_action": Verdict.PENDING,
    "processing": Verdict.PENDING,
}
CAPTURE: Final[Mapping[str, Verdict]] = {
    "succeeded": Verdict.APPROVED,
    "canceled": Verdict.DECLINED,
    "processing": Verdict.PENDING,
    "requires_capture": Verdict.NOT_FOUND,
    "requires_payment_method": Verdict.NOT_FOUND,
    "requires_confirmation": Verdict.NOT_FOUND,
    "requires_action": Verdict.NOT_FOUND,
}
CANCEL: Final[Mapping[str, Verdict]] = {
    "canceled": Verdict.APPROVED,
    "succeeded": Verdict.DECLINED,
    "processing": Verdict.NOT_FOUND,
    "requires_capture": Verdict.NOT_FOUND,
    "requires_payment_method": Verdict.NOT_FOUND,
    "requires_confirmation": Verdict.NOT_FOUND,
    "requires_action": Verdict.NOT_FOUND,
}
REFUND: Final[Mapping[str, Verdict]] = {
    "succeeded": Verdict.APPROVED,
    "failed": Verdict.DECLINED,
    "canceled": Verdict.DECLINED,
    "pending": Verdict.PENDING,
    "requires_action": Verdict.PENDING,
}

DISPUTE: Final[Mapping[str, tuple[DisputeStage, DisputeStatus]]] = {
    "warning_needs_response": ("inquiry", "inquiry"),
    "warning_under_review": ("inquiry", "under_review"),
    "warning_closed": ("inquiry", "closed"),
    "needs_response": ("chargeback", "needs_response"),
    "under_review": ("chargeback", "under_review"),
    "appeal_needs_response": ("chargeback", "needs_response"),
    "appeal_under_review": ("chargeback", "under_review"),
    "won": ("chargeback", "won"),
    "lost": ("chargeback", "lost"),
    "prevented": ("inquiry", "closed"),
}
"""A dispute's status. Warnings are inquiries; `prevented` ended before any money was taken. An appeal takes no money a
second time: what came of it is said by `won` or `lost`."""

NEXT_ACTION_URL: Final[Mapping[str, str]] = {
    "redirect_to_url": "url",
    "alipay_handle_redirect": "url",
    "boleto_display_details": "hosted_voucher_url",
    "cashapp_handle_redirect_or_display_qr_code": "hosted_instructions_url",
    "display_bank_transfer_instructions": "hosted_instructions_url",
    "konbini_display_details": "hosted_voucher_url",
    "multibanco_display_details": "hosted_voucher_url",
    "oxxo_display_details": "hosted_voucher_url",
    "paynow_display_qr_code": "hosted_instructions_url",
    "pix_display_qr_code": "hosted_instructions_url",
    "promptpay_display_qr_code": "hosted_instructions_url",
    "swish_handle_redirect_or_display_qr_code": "hosted_instructions_url",
    "verify_with_microdeposits": "hosted_verification_url",
    "wechat_pay_display_qr_code": "hosted_instructions_url",
}
"""Field of each kind of `next_action` that holds a page for the customer. `use_stripe_sdk` (Stripe.js) has none."""

DECLINE_DEFAULT: Final = ("card_declined", False)
DECLINES: Final[Mapping[str, tuple[str, bool]]] = {
    "approve_with_id": ("card_declined", True),
    "authentication_not_handled": ("authentication_required", True),
    "authentication_required": ("authentication_required", True),
    "authentication_failure": ("authentication_failed", True),
    "payment_intent_authentication_failure": ("authentication_failed", True),
    "payment_intent_payment_attempt_failed": ("card_declined", True),
    "payment_intent_payment_attempt_expired": ("expired", True),
    "call_issuer": ("card_declined", False),
    "card_decline_rate_limit_exceeded": ("card_velocity_exceeded", False),
    "card_declined": ("card_declined", False),
    "card_not_supported": ("card_not_supported", False),
    "card_velocity_exceeded": ("card_velocity_exceeded", False),
    "currency_not_supported": ("currency_not_supported", False),
    "debit_not_authorized": ("debit_not_authorized", False),
    "do_not_honor": ("card_declined", False),
    "do_not_try_again": ("card_declined", False),
    "duplicate_transaction": ("duplicate_transaction", False),
    "expired_card": ("expired_card", False),
    "fraudulent": ("fraudulent", False),
    "generic_decline": ("card_declined", False),
    "highest_risk_level": ("fraudulent", False),
    "incorrect_address": ("incorrect_address", True),
    "incorrect_cvc": ("incorrect_cvc", True),
    "incorrect_number": ("incorrect_number", True),
    "incorrect_pin": ("incorrect_pin", True),
    "incorrect_zip": ("incorrect_address", True),
    "insufficient_funds": ("insufficient_funds", True),
    "invalid_account": ("invalid_account", False),
    "invalid_amount": ("invalid_amount", False),
    "invalid_cvc": ("incorrect_cvc", True),
    "invalid_expiry_month": ("expired_card", True),
    "invalid_expiry_year": ("expired_card", True),
    "invalid_number": ("incorrect_number", True),
    "invalid_pin": ("incorrect_pin", True),
    "issuer_not_available": ("processing_error", True),
    "lost_card": ("lost_card", False),
    "merchant_blacklist": ("fraudulent", False),
    "new_account_information_available": ("card_declined", False),
    "no_action_taken": ("card_declined", False),
    "not_permitted": ("card_not_supported", False),
    "offline_pin_required": ("incorrect_pin", True),
    "online_or_offline_pin_required": ("incorrect_pin", True),
    "payment_method_customer_decline": ("customer_refused", True),
    "payment_method_provider_decline": ("card_declined", False),
    "payment_method_provider_timeout": ("processing_error", True),
    "pickup_card": ("stolen_card", False),
    "pin_try_exceeded": ("incorrect_pin", False),
    "previously_declined_do_not_retry": ("card_declined", False),
    "processing_error": ("processing_error", True),
    "reenter_transaction": ("processing_error", True),
    "restricted_card": ("stolen_card", False),
    "revocation_of_all_authorizations": ("card_declined", False),
    "revocation_of_authorization": ("card_declined", False),
    "security_violation": ("card_declined", False),
    "service_not_allowed": ("card_not_supported", False),
    "stolen_card": ("stolen_card", False),
    "stop_payment_order": ("card_declined", False),
    "testmode_decline": ("card_declined", False),
    "transaction_not_allowed": ("card_not_supported", False),
    "try_again_later": ("processing_error", True),
    "withdrawal_count_limit_exceeded": ("insufficient_funds", True),
}
"""Decline code, else error code, of a refused payment: our code, and whether another try may succeed."""

ADVICE_RETRYABLE: Final[Mapping[str, bool]] = {
    "confirm_card_data": True,
    "do_not_try_again": False,
    "try_again_later": True,
}
"""Stripe's own advice in the answer, which goes before the table above."""

REFUSAL_DEFAULT: Final = "psp_refused"
REFUSALS: Final[Mapping[str, str]] = {
    "amount_too_large": "amount_too_large",
    "amount_too_small": "amount_too_small",
    "balance_insufficient": "insufficient_psp_balance",
    "capture_charge_authorization_expired": "authorization_expired",
    "capture_unauthorized_payment": "invalid_state",
    "charge_already_captured": "invalid_state",
    "charge_already_refunded": "already_refunded",
    "charge_disputed": "disputed",
    "charge_exceeds_source_limit": "amount_too_large",
    "charge_exceeds_transaction_limit": "amount_too_large",
    "charge_expired_for_capture": "authorization_expired",
    "charge_not_refundable": "not_refundable",
    "invalid_charge_amount": "amount_not_supported",
    "invalid_charge_amount_no_decimal_compatible": "amount_not_supported",
    "payment_intent_incompatible_payment_method": "payment_method_invalid",
    "payment_intent_unexpected_state": "invalid_state",
    "payment_method_currency_mismatch": "currency_not_supported",
    "payment_method_invalid_parameter": "payment_method_invalid",
    "payment_method_not_available": "payment_method_unavailable",
    "payment_method_unactivated": "payment_method_unavailable",
    "payment_method_unexpected_state": "payment_method_invalid",
    "refund_disputed_payment": "disputed",
    "resource_missing": "payment_method_invalid",
}
"""Code of a request that Stripe refused without touching the payment (400): our code."""

PERHAPS_DONE: Final = frozenset(
    {
        "charge_already_captured",
        "charge_already_refunded",
        "payment_intent_unexpected_state",
    }
)
"""Refusals that a second copy of an operation meets after the first was done: believed only after a look."""

REFUND_FAILURE_RETRYABLE: Final = frozenset({"insufficient_funds"})
"""Refunds that fail for want of money in the Stripe balance may be repeated; the others fail again."""

EXPONENTS: Final[Mapping[str, int]] = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Where Stripe counts in another minor unit than ISO 4217 (ISK and UGX have none there, MGA has two digits).
HUF and TWD are whole in payouts only, which these calls do not make."""

WHOLE_TENS: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Currencies of three decimals, whose last digit Stripe wants to be 0."""
