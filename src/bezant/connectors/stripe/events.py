"""What Stripe's events say.

What is believed of an event:

- A PaymentIntent without our reference was not made here and says nothing to us. Nor does a charge without it: a
  PaymentIntent gives its metadata to each charge that it makes
  (https://support.stripe.com/questions/how-metadata-works-with-related-objects).
- Only a PaymentIntent decides an authorization. A charge is one try of it: a charge that fails may be followed by the
  customer's authentication, and by a charge that succeeds.
- A capture is named by its charge, a refund by its own id, whichever event brings it. Totals (`amount_refunded`) name
  no operation and are left alone.
- The request that caused an event is named by its idempotency key, which is our reference where the request was ours:
  so a capture or a cancel is told apart from one that was made in the dashboard.
- Before API 2025-03-31 what a partial capture or a cancel released looked like a refund
  (https://docs.stripe.com/changelog/basil/2025-03-31/remove-refund-from-partial-capture-and-payment-cancellation-flow).
  An event of such a version about a refund that is not ours is not guessed at: it stands aside and says why.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from bezant.connectors.stripe import outcomes
from bezant.connectors.stripe.mapping import Charge, Dispute, PaymentIntent, Refund
from bezant.psp.contract import Operation, Outcome, Verdict
from bezant.psp.notices import Notice, Notices, RawEvent

REFUNDS_ARE_REFUNDS_SINCE: Final = "2025-03-31"

_OURS = re.compile(r"att_[0-9a-f]{32}")
_DECIDED = (Verdict.APPROVED, Verdict.DECLINED, Verdict.PENDING)


class _Cause(msgspec.Struct, frozen=True):
    idempotency_key: str | None = None


class _Data(msgspec.Struct, frozen=True):
    object: msgspec.Raw


class _Event(msgspec.Struct, frozen=True):
    data: _Data
    api_version: str | None = None
    request: _Cause | str | None = None

    def cause(self, metadata: Mapping[str, str] | None) -> str | None:
        """Our reference of the later operation that caused this, where a request of ours did. Never the
        authorization's, which the object's metadata name.
        """
        key = self.request.idempotency_key if isinstance(self.request, _Cause) else None
        is_ours = key is not None and _OURS.fullmatch(key) is not None and key != outcomes.reference(metadata)
        return key if is_ours else None


def notices(event: RawEvent) -> Notices | None:
    """What an event says; None for a type that is not about payments."""
    if event.type in MEANINGLESS:
        return ()
    read = READERS.get(event.type)
    if read is None:
        return None
    told = read(msgspec.json.decode(event.body, type=_Event))
    for notice in told:
        if isinstance(notice, Notice) and notice.outcome.verdict not in _DECIDED:
            raise outcomes.Unclear(f"{event.type} does not say what became of the {notice.operation}")
    return told


def _of_intent(read: Callable[[_Event, PaymentIntent], Notice]) -> Callable[[_Event], Notices]:
    """For PaymentIntents of ours, which carry our reference from the beginning; others are somebody else's business."""

    def of_ours(event: _Event) -> Notices:
        intent = msgspec.json.decode(event.data.object, type=PaymentIntent)
        return () if outcomes.reference(intent.metadata) is None else (read(event, intent),)

    return of_ours


def _of_charge(read: Callable[[_Event, Charge], Notices]) -> Callable[[_Event], Notices]:
    """For charges of such PaymentIntents."""

    def of_ours(event: _Event) -> Notices:
        charge = msgspec.json.decode(event.data.object, type=Charge)
        is_ours = charge.payment_intent is not None and outcomes.reference(charge.metadata) is not None
        return read(event, charge) if is_ours else ()

    return of_ours


def _authorization(event: _Event, intent: PaymentIntent) -> Notice:
    return Notice(operation=Operation.AUTHORIZE, outcome=outcomes.authorization(intent))


def _succeeded(event: _Event, intent: PaymentIntent) -> Notice:
    """Captured: with the authorization, or by an operation of its own."""
    if intent.capture_method != "manual":
        return _authorization(event, intent)
    return _caused(Operation.CAPTURE, outcomes.capture(intent), event.cause(intent.metadata))


def _canceled(event: _Event, intent: PaymentIntent) -> Notice:
    """What was held is released. Where nothing was held yet, the authorization is what ended, unless we ended it."""
    cause = event.cause(intent.metadata)
    if cause is not None or _was_held(intent):
        return _caused(Operation.CANCEL, outcomes.cancel(intent), cause)
    return _authorization(event, intent)


def _was_held(intent: PaymentIntent) -> bool:
    """Whether a canceled PaymentIntent was authorized before: by hand, with a charge that did not fail."""
    if intent.capture_method not in ("manual", None) or intent.last_payment_error is not None:
        return False
    charge = intent.latest_charge
    if charge is None and intent.charges is not None and intent.charges.data:
        charge = intent.charges.data[0]
    return charge is not None and not (isinstance(charge, Charge) and charge.status == "failed")


def _captured(event: _Event, charge: Charge) -> Notices:
    if not charge.captured or not charge.amount_captured or charge.currency is None:
        raise outcomes.Unclear(f"{charge.id} does not say what was captured")
    outcome = Outcome(
        verdict=Verdict.APPROVED,
        psp_reference=charge.payment_intent,
        operation_reference=charge.id,
        amount_minor=outcomes.minor(charge.amount_captured, charge.currency),
        currency=charge.currency.upper(),
    )
    return (_caused(Operation.CAPTURE, outcome, event.cause(charge.metadata)),)


def _expired(_event: _Event, charge: Charge) -> Notices:
    """Stripe gave the authorization up. What was captured before stays."""
    if charge.currency is None or charge.amount_captured:
        return ()
    outcome = Outcome(verdict=Verdict.APPROVED, psp_reference=charge.payment_intent, currency=charge.currency.upper())
    return (Notice(operation=Operation.CANCEL, outcome=outcome),)


def _charge_refunded(event: _Event, charge: Charge) -> Notices:
    """The refunds that are shown in it, which newer versions of the API leave to `refund.*`."""
    if not charge.captured or charge.refunds is None:
        return ()
    return tuple(_refund_notice(event, refund, charge.payment_intent) for refund in charge.refunds.data)


def _refund(event: _Event) -> Notices:
    refund = msgspec.json.decode(event.data.object, type=Refund)
    return () if refund.payment_intent is None else (_refund_notice(event, refund, None),)


def _refund_notice(event: _Event, refund: Refund, psp_reference: str | None) -> Notice:
    outcome = outcomes.refund(refund, psp_reference)
    if outcome.reference is None and (event.api_version or "") < REFUNDS_ARE_REFUNDS_SINCE:
        raise outcomes.Unclear(
            f"{refund.id} may be a release and not a refund: the webhook endpoint at Stripe has API version "
            f"{event.api_version}, and needs {REFUNDS_ARE_REFUNDS_SINCE} or newer"
        )
    return Notice(operation=Operation.REFUND, outcome=outcome)


def _dispute(event: _Event) -> Notices:
    return (outcomes.dispute(msgspec.json.decode(event.data.object, type=Dispute)),)


def _caused(operation: Operation, outcome: Outcome, cause: str | None) -> Notice:
    return Notice(operation=operation, outcome=msgspec.structs.replace(outcome, reference=cause))


READERS: Final[Mapping[str, Callable[[_Event], Notices]]] = {
    "payment_intent.requires_action": _of_intent(_authorization),
    "payment_intent.processing": _of_intent(_authorization),
    "payment_intent.amount_capturable_updated": _of_intent(_authorization),
    "payment_intent.payment_failed": _of_intent(_authorization),
    "payment_intent.succeeded": _of_intent(_succeeded),
    "payment_intent.canceled": _of_intent(_canceled),
    "charge.captured": _of_charge(_captured),
    "charge.expired": _of_charge(_expired),
    "charge.refunded": _of_charge(_charge_refunded),
    "charge.refund.updated": _refund,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.closed": _dispute,
    "charge.dispute.funds_withdrawn": _dispute,
    "charge.dispute.funds_reinstated": _dispute,
}
"""Who reads an event that may say something about money."""

MEANINGLESS: Final = frozenset(
    {
        "payment_intent.created",
        "payment_intent.partially_funded",
        "charge.succeeded",
        "charge.failed",
        "charge.pending",
        "charge.updated",
    }
)
"""Events about payments whose PaymentIntent says it better, or that change nothing."""
