"""Stripe's five calls: build the request, read the answer.

Everything that would make an outcome a guess (a PaymentIntent of another id, an answer that does not say what was
captured, two PaymentIntents for one attempt) raises `PspSilence`: the outcome is then unknown, and is looked up or
shown to a person.
"""

from collections.abc import Mapping
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from bezant.connectors.stripe import mapping, outcomes
from bezant.connectors.stripe.mapping import PaymentIntent, Refund
from bezant.psp.contract import (
    Ask,
    Credentials,
    Failure,
    Operation,
    Outcome,
    PspRequest,
    PspResponse,
    PspSilence,
    Send,
    Verdict,
)

API_VERSION: Final = "2026-06-24.dahlia"
INTENTS: Final = "/v1/payment_intents"
REFUNDS: Final = "/v1/refunds"
PAYMENT: Final = "bezant_payment"
CONNECTED_ACCOUNT: Final = "connected_account"
PAGE_MAX: Final = 100

Body = TypeVar("Body")


def authenticate(credentials: Credentials) -> Mapping[str, str]:
    """The key, and the API version that these calls were written for, whatever the account's default is.

    With a connected account the platform's key acts on that account.
    """
    headers = {"Authorization": f"Bearer {credentials.fields['secret_key']}", "Stripe-Version": API_VERSION}
    connected = credentials.fields.get(CONNECTED_ACCOUNT)
    return {**headers, "Stripe-Account": connected} if connected else headers


async def authorize(ask: Ask, send: Send) -> Outcome:
    """Create and confirm a PaymentIntent in one request."""
    amount = _stripe_amount(ask)
    if amount is None:
        return _amount_not_supported(ask)
    response = await send(_post(ask, INTENTS, _authorization_form(ask, amount)))
    if response.status != 200:
        return _refusal(ask, response)
    return _authorization(ask, _read(response, PaymentIntent))


async def capture(ask: Ask, send: Send) -> Outcome:
    """Capture once; Stripe releases the rest. (`final_capture=false` exists only for accounts with multicapture.)"""
    amount = _stripe_amount(ask)
    if amount is None:
        return _amount_not_supported(ask)
    response = await send(_post(ask, _intent_path(ask, "/capture"), {"amount_to_capture": str(amount)}))
    if response.status != 200:
        return await _refusal_unless_done(ask, send, response)
    return _acknowledged(outcomes.capture(_intent(ask, response)))


async def cancel(ask: Ask, send: Send) -> Outcome:
    """Release the authorization, or give up the customer's action."""
    response = await send(_post(ask, _intent_path(ask, "/cancel"), {}))
    if response.status != 200:
        return await _refusal_unless_done(ask, send, response)
    return _acknowledged(outcomes.cancel(_intent(ask, response)))


async def refund(ask: Ask, send: Send) -> Outcome:
    """Refund a part of the PaymentIntent, or all of it."""
    amount = _stripe_amount(ask)
    if amount is None:
        return _amount_not_supported(ask)
    form = {"payment_intent": _intent_id(ask), "amount": str(amount), **_metadata(ask)}
    response = await send(_post(ask, REFUNDS, form))
    if response.status != 200:
        return await _refusal_unless_done(ask, send, response)
    return _refund(ask, _read(response, Refund))


async def fetch(ask: Ask, send: Send) -> Outcome:
    """What became of an operation, by reading alone."""
    if ask.operation is Operation.REFUND:
        return await _fetch_refund(ask, send)
    if ask.psp_reference is None and ask.operation is Operation.AUTHORIZE:
        return await _search_authorization(ask, send)
    intent = _intent(ask, await send(PspRequest(method="GET", path=_intent_path(ask))))
    if ask.operation is Operation.CAPTURE:
        return outcomes.capture(intent)
    return outcomes.cancel(intent) if ask.operation is Operation.CANCEL else _authorization(ask, intent)


async def _search_authorization(ask: Ask, send: Send) -> Outcome:
    query = {"query": f"metadata['{outcomes.REFERENCE}']:'{ask.reference}'", "limit": str(PAGE_MAX)}
    response = await send(PspRequest(method="GET", path=f"{INTENTS}/search", query=query))
    results = _read(response, mapping.PaymentIntentSearch).data
    ours = [intent for intent in results if outcomes.reference(intent.metadata) == ask.reference]
    if len(ours) > 1:
        raise PspSilence(f"{len(ours)} PaymentIntents carry one reference: {', '.join(intent.id for intent in ours)}")
    return _authorization(ask, ours[0]) if ours else Outcome(verdict=Verdict.NOT_FOUND)


async def _fetch_refund(ask: Ask, send: Send) -> Outcome:
    if ask.operation_reference is not None:
        path = f"{REFUNDS}/{quote(ask.operation_reference, safe='')}"
        return _refund(ask, _read(await send(PspRequest(method="GET", path=path)), Refund))
    query = {"payment_intent": _intent_id(ask), "limit": str(PAGE_MAX)}
    while True:
        page = _read(await send(PspRequest(method="GET", path=REFUNDS, query=query)), mapping.RefundList)
        for found in page.data:
            if outcomes.reference(found.metadata) == ask.reference:
                return _refund(ask, found)
        if not page.has_more or not page.data:
            return Outcome(verdict=Verdict.NOT_FOUND, psp_reference=ask.psp_reference)
        query = {**query, "starting_after": page.data[-1].id}


def _authorization_form(ask: Ask, amount: int) -> dict[str, str]:
    form = {
        "amount": str(amount),
        "currency": ask.currency.lower(),
        "payment_method": ask.payment_method,
        "confirm": "true",
        "capture_method": "automatic" if ask.capture else "manual",
        **_metadata(ask),
    }
    if ask.return_url is None:
        # Without a page to come back to, Stripe refuses methods that may redirect. Cards need none.
        form["payment_method_types[0]"] = "card"
    else:
        form["return_url"] = ask.return_url
    if ask.customer is not None and ask.customer.id is not None and ask.customer.id.startswith("cus_"):
        form["customer"] = ask.customer.id  # a payment method that is saved for a Stripe customer works only with this
    if ask.description is not None:
        form["description"] = ask.description
    if ask.statement_descriptor is not None:
        form["statement_descriptor_suffix"] = ask.statement_descriptor  # the whole descriptor is refused for cards
    return form


def _metadata(ask: Ask) -> dict[str, str]:
    return {f"metadata[{outcomes.REFERENCE}]": ask.reference, f"metadata[{PAYMENT}]": ask.payment_reference}


def _post(ask: Ask, path: str, form: Mapping[str, str]) -> PspRequest:
    return PspRequest(method="POST", path=path, headers={"Idempotency-Key": ask.reference}, form=form)


def _intent_id(ask: Ask) -> str:
    if ask.psp_reference is None:
        raise PspSilence(f"a {ask.operation} needs the PaymentIntent's id")
    return ask.psp_reference


def _intent_path(ask: Ask, action: str = "") -> str:
    return f"{INTENTS}/{quote(_intent_id(ask), safe='')}{action}"


def _read(response: PspResponse, shape: type[Body]) -> Body:
    if response.status != 200:
        raise PspSilence(f"HTTP {response.status} where {shape.__name__} was expected")
    return msgspec.convert(response.body, shape)


def _intent(ask: Ask, response: PspResponse) -> PaymentIntent:
    intent = _read(response, PaymentIntent)
    if intent.id != ask.psp_reference:
        raise PspSilence(f"asked about {ask.psp_reference}, answered about {intent.id}")
    return intent


def _authorization(ask: Ask, intent: PaymentIntent) -> Outcome:
    outcome = outcomes.sale(intent) if ask.capture else outcomes.authorization(intent)
    return outcome if ask.return_url else outcomes.declined_for_want_of_a_page(intent, outcome)


def _acknowledged(outcome: Outcome) -> Outcome:
    """A success whose object does not show the effect yet: accepted, not done."""
    if outcome.verdict is Verdict.NOT_FOUND:
        return msgspec.structs.replace(outcome, verdict=Verdict.PENDING)
    return outcome


def _refund(ask: Ask, refund: Refund) -> Outcome:
    if refund.payment_intent is not None and refund.payment_intent != ask.psp_reference:
        raise PspSilence(f"asked about {ask.psp_reference}, answered about {refund.payment_intent}")
    return outcomes.refund(refund, ask.psp_reference)


async def _refusal_unless_done(ask: Ask, send: Send, response: PspResponse) -> Outcome:
    """Believe a refusal, except one that a second copy of an operation meets when the first was done: then look."""
    refusal = _refusal(ask, response)
    if refusal.failure is None or refusal.failure.decline_code not in mapping.PERHAPS_DONE:
        return refusal
    found = await fetch(ask, send)
    return refusal if found.verdict is Verdict.NOT_FOUND else found


def _refusal(ask: Ask, response: PspResponse) -> Outcome:
    """What an answer other than 200 says about this operation.

    402: declined. 401, 403: the operator's key; not executed, and right again once the key is. `lock_timeout`: another
    request held the object; not executed. 400, and 404 for an authorization, whose path always exists: refused in
    validation before anything was executed, so conclusive. Everything else is no answer: 409 (the same key is being
    executed), 424, `idempotency_error` (the key came before with other parameters, so something of ours did arrive),
    and a PaymentIntent that Stripe gave us and does not know now (another account's key).
    """
    error = msgspec.convert(response.body, mapping.Refused).error
    where = ask.psp_reference if error.payment_intent is None else error.payment_intent.id
    if response.status == 402:
        return Outcome(verdict=Verdict.DECLINED, psp_reference=where, failure=outcomes.decline(error))
    if response.status in {401, 403}:
        detail = (
            f"Stripe refuses the key (HTTP {response.status}): check secret_key, its permissions, connected_account."
        )
        return Outcome(verdict=Verdict.NOT_EXECUTED, psp_reference=where, detail=detail)
    if response.status == 409 and error.code == "lock_timeout":
        return Outcome(verdict=Verdict.NOT_EXECUTED, psp_reference=where, detail="Stripe was busy with this payment.")
    first = ask.operation is Operation.AUTHORIZE
    missing = response.status == 404 or error.code == "resource_missing"
    refused = first if missing else response.status == 400
    if not refused or error.type == "idempotency_error":
        detail = f"HTTP {response.status} {error.code or error.type}"
        return Outcome(verdict=Verdict.UNKNOWN, psp_reference=where, detail=detail)
    code = mapping.REFUSALS.get("resource_missing" if missing else error.code or "", mapping.REFUSAL_DEFAULT)
    failure = Failure(code=code, message=error.message or "The request was refused.", decline_code=error.code)
    return Outcome(verdict=Verdict.DECLINED, psp_reference=where, failure=failure)


def _stripe_amount(ask: Ask) -> int | None:
    """The amount in Stripe's unit; None where Stripe cannot carry it."""
    shift = outcomes.shift(ask.currency)
    if shift >= 0:
        too_fine = ask.currency in mapping.WHOLE_TENS and ask.amount_minor % 10 != 0
        return None if too_fine else ask.amount_minor * 10**shift
    whole, rest = divmod(ask.amount_minor, 10**-shift)
    return None if rest else whole


def _amount_not_supported(ask: Ask) -> Outcome:
    message = f"Stripe cannot carry {ask.amount_minor} minor units of {ask.currency}: its last digits must be 0."
    failure = Failure(code="amount_not_supported", message=message)
    return Outcome(verdict=Verdict.DECLINED, psp_reference=ask.psp_reference, failure=failure)
