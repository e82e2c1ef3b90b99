"""New objects in the shapes of API 2026-06-24.dahlia."""

import itertools
import json
import time
import uuid
from collections.abc import Mapping
from typing import Final

from tests.support.stripe_wire.refusals import Json

API_VERSION: Final = "2026-06-24.dahlia"

_count = itertools.count(1)


def new_id(prefix: str) -> str:
    """An id that nothing else has, and that sorts by age among its kind."""
    return f"{prefix}_3{next(_count):011d}{uuid.uuid4().hex[:12]}"


def encode(thing: object) -> bytes:
    """An object as it travels."""
    return json.dumps(thing, indent=2).encode()


def now() -> int:
    """The time, in Stripe's unit."""
    return int(time.time())


def new_intent(amount: int, currency: str, fields: Mapping[str, object]) -> Json:
    """A PaymentIntent that nobody has confirmed."""
    name = new_id("pi")
    nothing = dict.fromkeys(
        (
            "application application_fee_amount canceled_at cancellation_reason customer description "
            "last_payment_error latest_charge next_action on_behalf_of payment_method processing receipt_email "
            "review setup_future_usage shipping statement_descriptor statement_descriptor_suffix transfer_data "
            "transfer_group"
        ).split()
    )
    return {
        **nothing,
        "id": name,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "automatic_payment_methods": None,
        "capture_method": "automatic",
        "client_secret": f"{name}_secret_{uuid.uuid4().hex}",
        "confirmation_method": "automatic",
        "created": now(),
        "currency": currency,
        "livemode": False,
        "metadata": {},
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
        **fields,
    }


def new_charge(intent: Json, status: str) -> Json:
    """One try of a PaymentIntent. It inherits the metadata that the PaymentIntent has at this moment."""
    nothing = dict.fromkeys(
        (
            "application application_fee application_fee_amount balance_transaction calculated_statement_descriptor "
            "failure_balance_transaction failure_code failure_message on_behalf_of outcome receipt_email "
            "receipt_number receipt_url review shipping source_transfer statement_descriptor transfer_data "
            "transfer_group"
        ).split()
    )
    address = dict.fromkeys("city country line1 line2 postal_code state".split())
    return {
        **nothing,
        "id": new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "billing_details": {"address": address, "email": None, "name": None, "phone": None},
        "captured": False,
        "created": now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "paid": status == "succeeded",
        "payment_intent": intent["id"],
        "payment_method": intent["payment_method"],
        "payment_method_details": None,
        "refunded": False,
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": status,
    }


def new_refund(charge: Json, amount: int, status: str, fields: Mapping[str, object]) -> Json:
    """A refund of a charge."""
    return {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": new_id("txn") if status == "succeeded" else None,
        "charge": charge["id"],
        "created": now(),
        "currency": charge["currency"],
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
        **fields,
    }


def new_dispute(charge: Json, reason: str, status: str) -> Json:
    """The bank asks, or takes the money back."""
    return {
        "id": new_id("dp"),
        "object": "dispute",
        "amount": charge["amount_captured"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {"uncategorized_text": None},
        "evidence_details": {
            "due_by": now() + 7 * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": status.startswith("warning_"),
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "status": status,
    }
