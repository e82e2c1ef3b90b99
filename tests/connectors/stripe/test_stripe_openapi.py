"""Each request against Stripe's OpenAPI file, and Stripe's published objects and enums against the mapping."""

import re
from collections.abc import Mapping
from typing import Any, cast

import jsonschema_rs
import msgspec
import pytest

from bezant.connectors.stripe import CONNECTOR, mapping
from bezant.psp.contract import Ask, Credentials, Customer, Operation, PspRequest, Verdict
from tests.connectors.stripe.stripe_support import REFERENCE, Json, Script, ask, error, intent, published, resource

UNPUBLISHED = {"invalid_charge_amount_no_decimal_compatible"}
"""Named by Stripe's support pages, not by its SDK."""
FORM = "application/x-www-form-urlencoded"
CUSTOMER = Customer(id="cus_NffrFeUfNV2Hib", email="jenny@example.com", name="Jenny Rosen")


def _nested(flat: Mapping[str, str]) -> Json:
    """`a[b]=1` and `a[0]=1` as the object that Stripe reads."""
    tree: Json = {}
    for name, value in flat.items():
        node = tree
        *parents, last = re.findall(r"[^\[\]]+", name)
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def _typed(value: Any, schema: Json) -> Any:
    """A form knows only text: give each value the type that the schema names, where the text can be read so."""
    if isinstance(value, dict):
        fields = cast(Json, value)
        if schema.get("type") == "array":
            return [_typed(item, schema["items"]) for item in fields.values()]
        known: Json = schema.get("properties", {})
        return {name: _typed(item, known.get(name, {})) for name, item in fields.items()}
    if schema.get("type") == "integer" and re.fullmatch(r"-?\d+", value):
        return int(value)
    if schema.get("type") == "boolean" and value in {"true", "false"}:
        return value == "true"
    for choice in schema.get("anyOf", ()):
        read = _typed(value, choice)
        if jsonschema_rs.is_valid(choice, read):
            return read
    return value


def check(request: PspRequest) -> str:
    """Fail unless Stripe's file allows the request; the template of its path."""
    paths = published("openapi.payments-subset.json")["paths"]
    fitting = [path for path in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.path)]
    path = min(fitting, key=lambda template: template.count("{"))
    operation = paths[path][request.method.lower()]
    query = {p["name"]: p for p in operation.get("parameters", ()) if p["in"] == "query"}
    allowed: Json = {name: p["schema"] for name, p in query.items()}
    required = [name for name, p in query.items() if p.get("required")]
    schema: Json = {"properties": allowed, "required": required, "additionalProperties": False}
    jsonschema_rs.validate(schema, _typed(_nested(request.query), schema))
    if request.method == "POST":
        assert request.form is not None
        schema = operation["requestBody"]["content"][FORM]["schema"]
        jsonschema_rs.validate(schema, _typed(_nested(request.form), schema))
        assert request.headers == {"Idempotency-Key": REFERENCE}
    else:
        assert request.form is None
    assert request.json is None
    return path


WISHES: list[Ask] = [
    ask(Operation.AUTHORIZE),
    ask(Operation.AUTHORIZE, capture=True, currency="JPY"),
    ask(Operation.AUTHORIZE, return_url="https://shop.example/back?cart=1&step=2"),
    ask(Operation.AUTHORIZE, customer=CUSTOMER, description="2 x tea & cake", statement_descriptor="TEA HOUSE"),
    ask(Operation.AUTHORIZE, customer=Customer(id="ours-17", email="jenny@example.com")),
    ask(Operation.CAPTURE, amount_minor=3000),
    ask(Operation.CANCEL),
    ask(Operation.REFUND, amount_minor=1),
]


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: f"{wish.operation}-{WISHES.index(wish)}")
async def test_every_request_is_one_that_stripe_documents(wish: Ask) -> None:
    body = resource("refund") if wish.operation is Operation.REFUND else intent("canceled")
    send = Script((200, body))
    await CONNECTOR.of(wish.operation)(wish, send)
    expected = {
        Operation.AUTHORIZE: "/v1/payment_intents",
        Operation.CAPTURE: "/v1/payment_intents/{intent}/capture",
        Operation.CANCEL: "/v1/payment_intents/{intent}/cancel",
        Operation.REFUND: "/v1/refunds",
    }
    assert [check(request) for request in send.requests] == [expected[wish.operation]]


async def test_only_a_customer_of_stripe_is_named_to_stripe() -> None:
    for known_as, sent in (("cus_NffrFeUfNV2Hib", "cus_NffrFeUfNV2Hib"), ("ours-17", None), (None, None)):
        send = Script((200, intent("canceled")))
        await CONNECTOR.authorize(ask(Operation.AUTHORIZE, customer=Customer(id=known_as)), send)
        assert (send.requests[0].form or {}).get("customer") == sent


async def test_every_look_up_is_one_that_stripe_documents() -> None:
    page: Json = {"data": [resource("refund", metadata={})], "has_more": True}
    search: tuple[int, Json] = (200, {"data": []})
    seen: tuple[int, Json] = (200, intent("canceled"))
    looks: list[tuple[Ask, list[tuple[int, Json]], str]] = [
        (ask(Operation.AUTHORIZE), [search], "/v1/payment_intents/search"),
        (ask(Operation.AUTHORIZE, psp_reference=intent("canceled")["id"]), [seen], "/v1/payment_intents/{intent}"),
        (ask(Operation.CAPTURE), [seen], "/v1/payment_intents/{intent}"),
        (ask(Operation.CANCEL), [seen], "/v1/payment_intents/{intent}"),
        (ask(Operation.REFUND), [(200, page), (200, {"data": []})], "/v1/refunds"),
        (ask(Operation.REFUND, operation_reference="re_1"), [(200, resource("refund"))], "/v1/refunds/{refund}"),
    ]
    for wish, answers, path in looks:
        send = Script(*answers)
        await CONNECTOR.fetch(wish, send)
        assert [check(request) for request in send.requests] == [path] * len(answers)


async def test_check_refuses_what_stripe_does_not_know() -> None:
    good = PspRequest(
        method="POST",
        path="/v1/refunds",
        headers={"Idempotency-Key": REFERENCE},
        form={"payment_intent": "pi_1", "amount": "1"},
    )
    assert check(good) == "/v1/refunds"
    for form in ({"surprise": "1"}, {"amount": "1.5"}, {"reason": "boredom"}, {"metadata": "text"}):
        with pytest.raises(jsonschema_rs.ValidationError):
            check(msgspec.structs.replace(good, form=form))
    with pytest.raises(jsonschema_rs.ValidationError):
        check(PspRequest(method="GET", path="/v1/refunds", query={"reference": "1"}))


async def test_key_and_version_go_with_every_request() -> None:
    headers = CONNECTOR.authenticate(Credentials(fields={"secret_key": "sk_test_1"}))
    assert headers == {
        "Authorization": "Bearer sk_test_1",
        "Stripe-Version": published("sdk-enums.json")["api_version"],
    }


async def test_connected_account_is_named_where_there_is_one() -> None:
    for connected in ({}, {"connected_account": ""}):
        assert "Stripe-Account" not in CONNECTOR.authenticate(Credentials(fields={"secret_key": "sk_1", **connected}))
    both = CONNECTOR.authenticate(Credentials(fields={"secret_key": "sk_1", "connected_account": "acct_1Tea"}))
    assert both["Stripe-Account"] == "acct_1Tea"
    assert both["Authorization"] == "Bearer sk_1"


@pytest.mark.parametrize(
    ("name", "shape"),
    [("payment_intent", mapping.PaymentIntent), ("charge", mapping.Charge), ("refund", mapping.Refund)],
)
async def test_published_object_can_be_read(name: str, shape: type) -> None:
    fixture = published("fixtures3.json")["resources"][name]
    assert msgspec.convert(fixture, shape).id == fixture["id"]


async def test_dispute_statuses_are_all_listed() -> None:
    assert set(mapping.DISPUTE) == set(published("sdk-enums.json")["dispute_status"])


@pytest.mark.parametrize(
    ("event", "verdict", "held", "captured"),
    [
        ("amount_capturable_updated", Verdict.APPROVED, 2000, 0),
        ("succeeded", Verdict.APPROVED, 2000, 2000),
        ("requires_action", Verdict.PENDING, None, 0),
        ("payment_failed", Verdict.DECLINED, None, 0),
    ],
)
async def test_payment_as_a_webhook_brought_it_can_be_read(
    event: str, verdict: Verdict, held: int | None, captured: int
) -> None:
    seen = published(f"webhook-events/payment_intent.{event}.json")["data"]["object"]
    wish = ask(Operation.AUTHORIZE, psp_reference=seen["id"], return_url="https://shop.example/back")
    outcome = await CONNECTOR.fetch(wish, Script((200, seen)))
    assert (outcome.verdict, outcome.amount_minor, outcome.captured_minor) == (verdict, held, captured)
    assert (outcome.failure is not None) is (verdict is Verdict.DECLINED)


async def test_every_status_of_a_payment_is_listed() -> None:
    schemas = published("openapi.payments-subset.json")["components"]["schemas"]
    listed = {*published("sdk-enums.json")["payment_intent_status"], *_statuses(schemas["payment_intent"])}
    for table in (mapping.AUTHORIZATION, mapping.CAPTURE, mapping.CANCEL):
        assert set(table) == listed


def _statuses(schema: Json) -> list[str]:
    return schema["properties"]["status"]["enum"]


async def test_every_page_for_the_customer_is_where_the_table_says() -> None:
    schemas = published("openapi.payments-subset.json")["components"]["schemas"]
    for kind, field in schemas["payment_intent_next_action"]["properties"].items():
        shape: Json = schemas[field["$ref"].rsplit("/", 1)[1]]["properties"] if "$ref" in field else {}
        pages = [name for name in shape if name == "url" or name.startswith("hosted_")]
        assert mapping.NEXT_ACTION_URL.get(kind) == (pages[0] if pages else None)


async def test_every_error_code_of_a_refusal_is_a_decline_with_a_word_of_ours() -> None:
    codes: list[str] = published("sdk-enums.json")["error_codes"]
    assert {*mapping.REFUSALS, *mapping.PERHAPS_DONE} - set(codes) <= UNPUBLISHED
    for code in codes:
        for status in (400, 402):
            send = Script((status, error("invalid_request_error", code)))
            outcome = await CONNECTOR.authorize(ask(Operation.AUTHORIZE), send)
            assert outcome.verdict is Verdict.DECLINED
            assert outcome.failure is not None
            assert outcome.failure.decline_code == code
