"""One account: what it holds, and what happens to it."""

import copy
import time
from collections.abc import Callable
from typing import Final, Literal

from tests.support.stripe_wire.cards import CARDS, MESSAGES, Card
from tests.support.stripe_wire.objects import API_VERSION, new_charge, new_dispute, new_id, new_intent, new_refund, now
from tests.support.stripe_wire.refusals import Json, conflict, declined, invalid, missing

AMOUNT_MIN: Final = 50
AMOUNT_MAX: Final = 99_999_999
CANCELABLE: Final = frozenset(
    {"requires_payment_method", "requires_capture", "requires_confirmation", "requires_action", "processing"}
)


class Cause:
    """The request that an event comes of; without a key, and without an id where nobody asked."""

    def __init__(self, request: str | None = None, key: str | None = None) -> None:
        self.shown = {"id": request, "idempotency_key": key}


class Account:
    """PaymentIntents, charges, refunds and disputes of one account. `tell` is given each event as it happens."""

    def __init__(self, name: str, page: Callable[[str], str], tell: Callable[[str, Json], None]) -> None:
        self.name = name
        self.intents: dict[str, Json] = {}
        self.charges: dict[str, Json] = {}
        self.refunds: dict[str, Json] = {}
        self.disputes: dict[str, Json] = {}
        self.files: dict[str, Json] = {}
        self.events: dict[str, Json] = {}
        self.return_urls: dict[str, str] = {}
        self.made_at: dict[str, float] = {}
        self._page = page
        self._tell = tell
        self._cause = Cause()

    def because_of(self, cause: Cause) -> "Account":
        """The same account; what happens next comes of this."""
        self._cause = cause
        return self

    def intent(self, name: str, *, param: str = "id") -> Json:
        """A PaymentIntent of this account."""
        if name not in self.intents:
            raise missing("payment_intent", name, param=param)
        return self.intents[name]

    def create(self, amount: int, currency: str, fields: Json, return_url: str | None, *, confirm: bool) -> Json:
        """A new PaymentIntent, confirmed if wanted."""
        if amount < 1:
            raise invalid("Invalid positive integer", "parameter_invalid_integer", "amount")
        if amount < AMOUNT_MIN:
            raise conflict("Amount must be at least 50.", "amount_too_small", param="amount")
        if amount > AMOUNT_MAX:
            raise conflict("Amount must be no more than 999,999.99.", "amount_too_large", param="amount")
        method = fields.get("payment_method")
        if method is not None and method not in CARDS:
            raise missing("PaymentMethod", str(method), param="payment_method")
        intent = new_intent(amount, currency, fields)
        intent["status"] = "requires_payment_method" if method is None else "requires_confirmation"
        self.intents[intent["id"]] = intent
        self.made_at[intent["id"]] = time.time()
        self._happened("payment_intent.created", intent)
        return self.confirm(intent["id"], return_url) if confirm else intent

    def confirm(self, name: str, return_url: str | None) -> Json:
        """Try to authorize it."""
        intent = self.intent(name)
        if intent["status"] != "requires_confirmation":
            raise self._unexpected(intent, "confirmed")
        card = CARDS[intent["payment_method"]]
        if card.authenticates:
            intent["status"] = "requires_action"
            intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
            if return_url is not None:
                self.return_urls[name] = return_url
                redirect = {"url": self._page(name), "return_url": return_url}
                intent["next_action"] = {"type": "redirect_to_url", "redirect_to_url": redirect}
            self._happened("payment_intent.requires_action", intent)
            return intent
        if card.is_slow:
            intent["status"] = "processing"
            self._happened("payment_intent.processing", intent)
            return intent
        return self._charge(intent, card)

    def authenticate(self, name: str, *, approved: bool) -> Json:
        """The customer has answered the bank."""
        intent = self.intent(name)
        if intent["status"] != "requires_action":
            raise self._unexpected(intent, "authenticated")
        intent["next_action"] = None
        if approved:
            return self._charge(intent, CARDS[intent["payment_method"]])
        message = "We are unable to authenticate your payment method. Choose another one and try again."
        return self._failed(intent, "payment_intent_authentication_failure", None, message, "invalid_request_error")

    def settle(self, name: str, *, approved: bool) -> Json:
        """A slow method has decided."""
        intent = self.intent(name)
        if intent["status"] != "processing":
            raise self._unexpected(intent, "settled")
        if approved:
            return self._charge(intent, CARDS[intent["payment_method"]])
        return self._failed(intent, "payment_intent_payment_attempt_failed", None, "The payment failed.", "card_error")

    def capture(self, name: str, amount: int | None) -> Json:
        """Take what is held, once; the rest is released."""
        intent = self.intent(name)
        if intent["status"] != "requires_capture":
            raise self._unexpected(intent, "captured")
        wanted = intent["amount_capturable"] if amount is None else amount
        if wanted < 1:
            raise invalid("Invalid positive integer", "parameter_invalid_integer", "amount_to_capture")
        if wanted > intent["amount_capturable"]:
            raise conflict("The amount is greater than what can be captured.", "amount_too_large")
        charge = self.charges[intent["latest_charge"]]
        self._take(intent, charge, wanted)
        self._happened("charge.captured", charge)
        self._happened("payment_intent.succeeded", intent)
        self._disputed(charge)
        return intent

    def cancel(self, name: str, reason: str | None) -> Json:
        """Give it up, and what it holds."""
        intent = self.intent(name)
        if intent["status"] not in CANCELABLE:
            raise self._unexpected(intent, "canceled")
        intent.update(status="canceled", canceled_at=now(), cancellation_reason=reason, amount_capturable=0)
        intent["next_action"] = None
        self._happened("payment_intent.canceled", intent)
        return intent

    def expire(self, name: str) -> Json:
        """The authorization is too old: Stripe gives it up by itself."""
        intent = self.intent(name)
        self._happened("charge.expired", self.charges[intent["latest_charge"]])
        return self.cancel(name, "expired")

    def refund(self, intent_name: str, amount: int | None, fields: Json) -> Json:
        """Give back a part, or all that is left."""
        intent = self.intent(intent_name, param="payment_intent")
        charge = self.charges.get(intent["latest_charge"] or "")
        if charge is None or not charge["captured"]:
            raise conflict("This PaymentIntent does not have a successful charge to refund.", "charge_not_refundable")
        if charge["disputed"]:
            raise conflict("This charge has been charged back.", "charge_disputed")
        left = charge["amount_captured"] - charge["amount_refunded"]
        if left == 0:
            raise conflict(f"Charge {charge['id']} has already been refunded.", "charge_already_refunded")
        wanted = left if amount is None else amount
        if wanted < 1:
            raise invalid("Invalid positive integer", "parameter_invalid_integer", "amount")
        if wanted > left:
            raise conflict("Refund amount is greater than unrefunded amount on charge.", None, param="amount")
        is_late = CARDS[charge["payment_method"]].refunds == "late"
        refund = new_refund(charge, wanted, "pending" if is_late else "succeeded", fields)
        self.refunds[refund["id"]] = refund
        self._count_refunds(charge)
        self._happened("refund.created", refund)
        self._happened("charge.refunded", charge)
        return refund

    def settle_refund(self, name: str, status: Literal["succeeded", "failed"]) -> Json:
        """A refund has arrived, or came back."""
        if name not in self.refunds:
            raise missing("refund", name, param="id")
        refund, before = self.refunds[name], self.refunds[name]["status"]
        refund["status"] = status
        if status == "failed":
            refund.update(failure_reason="expired_or_canceled_card", failure_balance_transaction=new_id("txn"))
        self._count_refunds(self.charges[refund["charge"]])
        previous: Json = {"status": before}
        if status == "failed":
            self._happened("refund.failed", refund)
        self._happened("refund.updated", refund, previous)
        self._happened("charge.refund.updated", refund, previous)
        return refund

    def dispute(self, intent_name: str, reason: str, *, inquiry: bool) -> Json:
        """The customer's bank wants the money back, or asks first."""
        charge = self.charges[self.intent(intent_name)["latest_charge"]]
        dispute = new_dispute(charge, reason, "warning_needs_response" if inquiry else "needs_response")
        self.disputes[dispute["id"]] = dispute
        charge["disputed"] = True
        self._happened("charge.dispute.created", dispute)
        if not inquiry:
            self._happened("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def review_dispute(self, name: str) -> Json:
        """Evidence was submitted, for good."""
        dispute = self.disputes[name]
        is_inquiry = dispute["status"].startswith("warning")
        dispute["status"] = "warning_under_review" if is_inquiry else "under_review"
        self._happened("charge.dispute.updated", dispute)
        return dispute

    def close_dispute(self, name: str, status: Literal["won", "lost", "warning_closed"]) -> Json:
        """It is decided."""
        if name not in self.disputes:
            raise missing("dispute", name, param="id")
        dispute = self.disputes[name]
        dispute["status"] = status
        if status == "won":
            self._happened("charge.dispute.funds_reinstated", dispute)
        self._happened("charge.dispute.closed", dispute)
        return dispute

    def _charge(self, intent: Json, card: Card) -> Json:
        if card.decline is not None:
            code, decline_code = card.decline
            message = MESSAGES[code]
            failed = self._failed(intent, code, decline_code, message, "card_error")
            raise declined(message, code, decline_code, copy.deepcopy(failed))
        charge = new_charge(intent, "succeeded")
        self.charges[charge["id"]] = charge
        intent.update(latest_charge=charge["id"], last_payment_error=None)
        if intent["capture_method"] == "manual":
            intent.update(status="requires_capture", amount_capturable=intent["amount"])
            self._happened("charge.succeeded", charge)
            self._happened("payment_intent.amount_capturable_updated", intent)
            return intent
        self._take(intent, charge, intent["amount"])
        self._happened("charge.succeeded", charge)
        self._happened("payment_intent.succeeded", intent)
        self._disputed(charge)
        return intent

    def _failed(self, intent: Json, code: str, decline_code: str | None, message: str, kind: str) -> Json:
        charge = new_charge(intent, "failed")
        charge.update(failure_code=code, failure_message=message)
        self.charges[charge["id"]] = charge
        error: Json = {"type": kind, "code": code, "message": message, "charge": charge["id"]}
        intent.update(
            status="requires_payment_method",
            payment_method=None,
            latest_charge=charge["id"],
            last_payment_error=error if decline_code is None else {**error, "decline_code": decline_code},
        )
        self._happened("charge.failed", charge)
        self._happened("payment_intent.payment_failed", intent)
        return intent

    def _take(self, intent: Json, charge: Json, amount: int) -> None:
        charge.update(captured=True, amount_captured=amount, balance_transaction=new_id("txn"))
        intent.update(status="succeeded", amount_capturable=0, amount_received=amount)

    def _disputed(self, charge: Json) -> None:
        card = CARDS[charge["payment_method"]]
        if card.dispute is not None:
            self.dispute(charge["payment_intent"], card.dispute, inquiry=card.inquiry)

    def _count_refunds(self, charge: Json) -> None:
        counted = ("pending", "succeeded")
        refunds = [r for r in self.refunds.values() if r["charge"] == charge["id"] and r["status"] in counted]
        charge["amount_refunded"] = sum(refund["amount"] for refund in refunds)
        charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]

    def _unexpected(self, intent: Json, verb: str) -> Exception:
        message = f"This PaymentIntent could not be {verb} because it has a status of {intent['status']}."
        shown = copy.deepcopy(intent)
        return conflict(message, "payment_intent_unexpected_state", payment_intent=shown)

    def _happened(self, kind: str, thing: Json, previous: Json | None = None) -> None:
        data: Json = {"object": copy.deepcopy(thing)}
        event: Json = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": now(),
            "data": data if previous is None else {**data, "previous_attributes": previous},
            "livemode": False,
            "pending_webhooks": 0,
            "request": self._cause.shown,
            "type": kind,
        }
        self.events[event["id"]] = event
        self._tell(self.name, event)
