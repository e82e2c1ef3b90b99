"""The endpoints of Stripe's API that the double knows, each with the parameters that it knows."""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tests.support.stripe_wire.book import Account
from tests.support.stripe_wire.forms import check, required
from tests.support.stripe_wire.objects import new_id
from tests.support.stripe_wire.refusals import Json, Refusal, invalid, missing

Endpoint = Callable[["World", Account, str, Json], Json]

CREATE: Final = {
    "amount": "integer",
    "capture_method": "string",
    "confirm": "boolean",
    "currency": "string",
    "customer": "string",
    "description": "string",
    "metadata": "object",
    "payment_method": "string",
    "payment_method_types": "list",
    "return_url": "string",
    "statement_descriptor_suffix": "string",
}
FILE_FIELDS: Final = frozenset(
    {
        *("cancellation_policy", "customer_communication", "customer_signature", "duplicate_charge_documentation"),
        *("receipt", "refund_policy", "service_documentation", "shipping_documentation", "uncategorized_file"),
    }
)
PAGE: Final = {"limit": "integer", "starting_after": "string"}


class World:
    """What endpoints need beside their account."""

    def __init__(self, search_lag_s: float) -> None:
        self.search_lag_s = search_lag_s


def create_intent(world: World, account: Account, name: str, form: Json) -> Json:
    """POST /v1/payment_intents."""
    check(form, CREATE)
    amount, currency = int(required(form, "amount")), required(form, "currency")
    if not re.fullmatch(r"[a-z]{3}", currency):
        raise invalid(f"Invalid currency: {currency}", None, "currency")
    if form.get("capture_method", "automatic") not in ("automatic", "automatic_async", "manual"):
        raise invalid("Invalid capture_method", None, "capture_method")
    confirm = form.get("confirm") == "true"
    return_url = form.get("return_url")
    if return_url is not None and not confirm:
        raise invalid("return_url can only be used with confirm=true.", None, "return_url")
    if confirm and return_url is None and "payment_method_types" not in form:
        raise invalid("Payment methods of the Dashboard may redirect: you must provide a `return_url`.", None, None)
    fields = {n: v for n, v in form.items() if n not in ("amount", "currency", "confirm", "return_url")}
    if "payment_method_types" not in form:
        fields["automatic_payment_methods"] = {"allow_redirects": "always", "enabled": True}
    return account.create(amount, currency, fields, return_url, confirm=confirm)


def confirm_intent(world: World, account: Account, name: str, form: Json) -> Json:
    """POST /v1/payment_intents/{intent}/confirm."""
    check(form, {"return_url": "string"})
    return account.confirm(name, form.get("return_url"))


def capture_intent(world: World, account: Account, name: str, form: Json) -> Json:
    """POST /v1/payment_intents/{intent}/capture."""
    check(form, {"amount_to_capture": "integer", "metadata": "object"})
    return account.capture(name, _integer(form, "amount_to_capture"))


def cancel_intent(world: World, account: Account, name: str, form: Json) -> Json:
    """POST /v1/payment_intents/{intent}/cancel."""
    check(form, {"cancellation_reason": "string"})
    reason = form.get("cancellation_reason")
    if reason not in (None, "duplicate", "fraudulent", "requested_by_customer", "abandoned"):
        raise invalid("Invalid cancellation_reason", None, "cancellation_reason")
    return account.cancel(name, reason)


def update_intent(world: World, account: Account, name: str, form: Json) -> Json:
    """POST /v1/payment_intents/{intent}."""
    check(form, {"metadata": "object", "description": "string"})
    intent = account.intent(name)
    intent["metadata"] = {**intent["metadata"], **form.get("metadata", {})}
    intent["description"] = form.get("description", intent["description"])
    return intent


def read_intent(world: World, account: Account, name: str, form: Json) -> Json:
    """GET /v1/payment_intents/{intent}."""
    check(form, {})
    return account.intent(name)


def list_intents(world: World, account: Account, name: str, form: Json) -> Json:
    """GET /v1/payment_intents."""
    check(form, PAGE)
    return _page("/v1/payment_intents", account.intents.values(), form)


def search_intents(world: World, account: Account, name: str, form: Json) -> Json:
    """GET /v1/payment_intents/search: by metadata, once the index has caught up."""
    check(form, {"query": "string", "limit": "integer"})
    query = re.fullmatch(r"metadata\['(\w+)'\]:'([^']*)'", required(form, "query"))
    if query is None:
        raise invalid("We were unable to parse your search query.", None, "query")
    until = time.time() - world.search_lag_s
    seen = [intent for name, intent in account.intents.items() if account.made_at[name] <= until]
    found = [intent for intent in seen if intent["metadata"].get(query[1]) == query[2]]
    return {"object": "search_result", "url": "/v1/payment_intents/search", "has_more": False, "data": found}


def create_refund(world: World, account: Account, name: str, form: Json) -> Json:
    """POST /v1/refunds."""
    known = {"amount": "integer", "metadata": "object", "payment_intent": "string", "reason": "string"}
    check(form, known)
    if form.get("reason") not in (None, "duplicate", "fraudulent", "requested_by_customer"):
        raise invalid("Invalid reason", None, "reason")
    fields = {n: form[n] for n in ("metadata", "reason") if n in form}
    return account.refund(required(form, "payment_intent"), _integer(form, "amount"), fields)


def read_refund(world: World, account: Account, name: str, form: Json) -> Json:
    """GET /v1/refunds/{refund}."""
    check(form, {})
    return _one(account.refunds, "refund", name)


def list_refunds(world: World, account: Account, name: str, form: Json) -> Json:
    """GET /v1/refunds."""
    check(form, {**PAGE, "payment_intent": "string"})
    of = form.get("payment_intent")
    if of is not None:
        account.intent(of, param="payment_intent")
    refunds = [refund for refund in account.refunds.values() if of in (None, refund["payment_intent"])]
    return _page("/v1/refunds", refunds, form)


def read_charge(world: World, account: Account, name: str, form: Json) -> Json:
    """GET /v1/charges/{charge}."""
    check(form, {})
    return _one(account.charges, "charge", name)


def read_dispute(world: World, account: Account, name: str, form: Json) -> Json:
    """GET /v1/disputes/{dispute}."""
    check(form, {})
    return _one(account.disputes, "dispute", name)


def update_dispute(world: World, account: Account, name: str, form: Json) -> Json:
    """POST /v1/disputes/{dispute}: in test mode the text of the evidence decides."""
    check(form, {"evidence": "object", "submit": "boolean", "metadata": "object"})
    dispute = _one(account.disputes, "dispute", name)
    if dispute["status"] not in ("needs_response", "warning_needs_response"):
        raise Refusal(400, {"type": "invalid_request_error", "message": "This dispute is already closed."})
    evidence = form.get("evidence", {})
    for field in FILE_FIELDS & evidence.keys():
        _one(account.files, "file", evidence[field])
    dispute["evidence"].update(evidence)
    if form.get("submit") == "false":
        return dispute
    dispute["evidence_details"].update(has_evidence=bool(evidence), submission_count=1)
    text = evidence.get("uncategorized_text")
    if text in ("winning_evidence", "losing_evidence"):
        return account.close_dispute(name, "won" if text == "winning_evidence" else "lost")
    return account.review_dispute(name)


def create_file(world: World, account: Account, name: str, form: Json) -> Json:
    """POST /v1/files, which takes several parts. Nothing is kept but what it looks like."""
    check(form, {"purpose": "string", "file": "object"})
    file = {"id": new_id("file"), "object": "file", "purpose": form["purpose"], **form["file"]}
    account.files[file["id"]] = file
    return file


def close_dispute(world: World, account: Account, name: str, form: Json) -> Json:
    """POST /v1/disputes/{dispute}/close: accepted, so lost."""
    check(form, {})
    dispute = _one(account.disputes, "dispute", name)
    if dispute["status"] not in ("needs_response", "warning_needs_response"):
        raise Refusal(400, {"type": "invalid_request_error", "message": "This dispute is already closed."})
    return account.close_dispute(name, "lost")


def list_events(world: World, account: Account, name: str, form: Json) -> Json:
    """GET /v1/events."""
    check(form, {**PAGE, "type": "string"})
    events = [event for event in account.events.values() if form.get("type") in (None, event["type"])]
    return _page("/v1/events", events, form)


ROUTES: Final[list[tuple[str, re.Pattern[str], Endpoint]]] = [
    (method, re.compile(path), endpoint)
    for method, path, endpoint in (
        ("POST", r"/v1/payment_intents", create_intent),
        ("GET", r"/v1/payment_intents", list_intents),
        ("GET", r"/v1/payment_intents/search", search_intents),
        ("GET", r"/v1/payment_intents/([^/]+)", read_intent),
        ("POST", r"/v1/payment_intents/([^/]+)", update_intent),
        ("POST", r"/v1/payment_intents/([^/]+)/confirm", confirm_intent),
        ("POST", r"/v1/payment_intents/([^/]+)/capture", capture_intent),
        ("POST", r"/v1/payment_intents/([^/]+)/cancel", cancel_intent),
        ("POST", r"/v1/refunds", create_refund),
        ("GET", r"/v1/refunds", list_refunds),
        ("GET", r"/v1/refunds/([^/]+)", read_refund),
        ("GET", r"/v1/charges/([^/]+)", read_charge),
        ("GET", r"/v1/disputes/([^/]+)", read_dispute),
        ("POST", r"/v1/disputes/([^/]+)", update_dispute),
        ("POST", r"/v1/disputes/([^/]+)/close", close_dispute),
        ("POST", r"/v1/files", create_file),
        ("GET", r"/v1/events", list_events),
    )
]


def find(method: str, path: str) -> tuple[Endpoint, str]:
    """The endpoint of a request, and the id in its path."""
    for known, pattern, endpoint in ROUTES:
        match = pattern.fullmatch(path)
        if known == method and match is not None:
            return endpoint, match[1] if match.groups() else ""
    message = f"Unrecognized request URL ({method}: {path})."
    raise Refusal(404, {"type": "invalid_request_error", "message": message}, is_kept=False)


def _integer(form: Json, name: str) -> int | None:
    return int(form[name]) if name in form else None


def _one(things: Mapping[str, Json], kind: str, name: str) -> Json:
    if name not in things:
        raise missing(kind, name, param="id")
    return things[name]


def _page(url: str, things: Iterable[Json], form: Json) -> Json:
    """Newest first, behind the one named in `starting_after`."""
    limit, after = int(form.get("limit", 10)), form.get("starting_after")
    if not 1 <= limit <= 100:
        raise invalid("limit must be between 1 and 100", "parameter_invalid_integer", "limit")
    newest = list(things)[::-1]
    names = [thing["id"] for thing in newest]
    if after is not None and after not in names:
        raise missing("object", after, param="starting_after")
    begin = 0 if after is None else names.index(after) + 1
    shown = newest[begin : begin + limit]
    return {"object": "list", "url": url, "has_more": begin + limit < len(newest), "data": shown}
