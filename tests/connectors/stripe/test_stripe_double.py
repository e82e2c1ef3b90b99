"""Our double of Stripe's wire, held to what was not written here: the official SDK uses it, Stripe's file checks it."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import jsonschema_rs
import pytest
import stripe
from stripe import StripeClient

from bezant.connectors.stripe.calls import API_VERSION
from tests.connectors.stripe.stripe_support import Json, published
from tests.support.receiver import receiving
from tests.support.stripe_wire.client import KEY, Wire
from tests.support.stripe_wire.faults import Fault


def using(url: str, key: str = KEY) -> StripeClient:
    return StripeClient(key, base_addresses={"api": url}, stripe_version=API_VERSION, max_network_retries=0)


@pytest.fixture
def client(stripe_wire_url: str) -> StripeClient:
    return using(stripe_wire_url)


def hold(client: StripeClient, key: str | None = None, **changes: Any) -> stripe.PaymentIntent:
    wanted = {"amount": 5000, "currency": "usd", "confirm": True, "payment_method_types": ["card"]}
    more = {"capture_method": "manual", "payment_method": "pm_card_visa", "metadata": {"order": "17"}}
    options: Any = {} if key is None else {"idempotency_key": key}
    return client.v1.payment_intents.create(cast(Any, {**wanted, **more, **changes}), options)


def test_sdk_pays_takes_a_part_and_gives_back(client: StripeClient) -> None:
    held = hold(client)
    assert (held.status, held.amount_capturable) == ("requires_capture", 5000)
    assert held.metadata["order"] == "17"
    taken = client.v1.payment_intents.capture(held.id, {"amount_to_capture": 3000})
    assert (taken.status, taken.amount_received, taken.amount_capturable) == ("succeeded", 3000, 0)
    charge = client.v1.charges.retrieve(str(taken.latest_charge))
    assert (charge.amount, charge.amount_captured, charge.amount_refunded) == (5000, 3000, 0)
    back = client.v1.refunds.create({"payment_intent": held.id, "amount": 1000, "metadata": {"why": "late"}})
    assert (back.status, back.payment_intent) == ("succeeded", held.id)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        client.v1.refunds.create({"payment_intent": held.id, "amount": 2001})
    client.v1.refunds.create({"payment_intent": held.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": held.id})
    assert refused.value.code == "charge_already_refunded"
    listed = client.v1.refunds.list({"payment_intent": held.id, "limit": 1})
    assert [refund.amount for refund in listed.auto_paging_iter()] == [2000, 1000]


def test_sdk_sees_declines_as_card_errors(client: StripeClient) -> None:
    with pytest.raises(stripe.CardError) as declined:
        hold(client, payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")
    assert (declined.value.http_status, declined.value.code) == (402, "card_declined")
    assert declined.value.error is not None
    assert declined.value.error.decline_code == "insufficient_funds"
    shown = declined.value.error.payment_intent
    assert shown is not None
    assert client.v1.payment_intents.retrieve(shown.id).status == "requires_payment_method"


def test_sdk_sees_the_rules_of_keys(client: StripeClient) -> None:
    first, second = hold(client, "key-1"), hold(client, "key-1")
    assert first.id == second.id
    assert second.last_response is not None
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        hold(client, "key-1", amount=5001)
    with pytest.raises(stripe.InvalidRequestError):
        hold(client, "key-2", currency="US")
    assert hold(client, "key-2").status == "requires_capture"  # validation keeps nothing
    for _ in range(2):  # a decline is kept
        with pytest.raises(stripe.CardError):
            hold(client, "key-3", payment_method="pm_card_visa_chargeDeclined")


async def test_kept_500_is_replayed_byte_for_byte(client: StripeClient, dashboard: Wire) -> None:
    await dashboard.fault(Fault.BROKEN, "POST /v1/payment_intents$")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as broken:
            await asyncio.to_thread(hold, client, "key-4")
        assert broken.value.http_status == 500
    assert (await dashboard.call("GET", "payment_intents?limit=1"))["data"][0]["status"] == "requires_capture"


def test_sdk_is_refused_what_stripe_refuses(client: StripeClient, stripe_wire_url: str) -> None:
    refusals: list[tuple[Json, str]] = [
        ({"amount": 10}, "amount_too_small"),
        ({"payment_method": "pm_nobody"}, "resource_missing"),
        ({"surprise": "1"}, "parameter_unknown"),
    ]
    for changes, code in refusals:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            hold(client, **changes)
        assert refused.value.code == code
    with pytest.raises(stripe.AuthenticationError):
        hold(using(stripe_wire_url, "rubbish"))
    held = hold(client)
    client.v1.payment_intents.cancel(held.id)
    with pytest.raises(stripe.InvalidRequestError) as moved:
        client.v1.payment_intents.capture(held.id)
    assert moved.value.code == "payment_intent_unexpected_state"


async def test_sdk_believes_its_webhooks(client: StripeClient, dashboard: Wire) -> None:
    async with receiving() as receiver:
        form: Any = {"url": receiver.url, "enabled_events": ["payment_intent.amount_capturable_updated"]}
        endpoint = await asyncio.to_thread(client.v1.webhook_endpoints.create, form)
        held = await asyncio.to_thread(hold, client)
        (request,) = await receiver.get(lambda request: True)
        await asyncio.to_thread(client.v1.webhook_endpoints.delete, endpoint.id)
        header = request.headers["stripe-signature"]
        event = client.construct_event(request.body, header, str(endpoint.secret))
        assert event.type == "payment_intent.amount_capturable_updated"
        assert cast(Any, event.data.object).id == held.id
        with pytest.raises(stripe.SignatureVerificationError):
            client.construct_event(request.body, header, "whsec_other")


async def test_every_object_is_one_that_stripe_documents(client: StripeClient, dashboard: Wire) -> None:
    held = await asyncio.to_thread(hold, client)
    disputed = await asyncio.to_thread(hold, client, capture_method="automatic", payment_method="pm_card_createDispute")
    await asyncio.to_thread(client.v1.payment_intents.capture, held.id)
    back = await dashboard.call("POST", "refunds", {"payment_intent": held.id})
    events = (await dashboard.call("GET", "events?limit=100"))["data"]
    opened = next(e for e in events if e["type"] == "charge.dispute.created")["data"]["object"]
    assert opened["payment_intent"] == disputed.id
    things = {
        "payment_intent": await dashboard.call("GET", f"payment_intents/{held.id}"),
        "charge": await dashboard.call("GET", f"charges/{back['charge']}"),
        "refund": await dashboard.call("GET", f"refunds/{back['id']}"),
        "dispute": await dashboard.call("GET", f"disputes/{opened['id']}"),
        "event": events[0],
    }
    for kind, thing in things.items():
        assert list(problems(kind, thing)) == [], kind


def problems(kind: str, thing: Json) -> Iterator[str]:
    """What Stripe's file has against an object: required fields that are missing, values of the wrong type.

    The file is older than the API version that is spoken, so newer fields are not held against it.
    """
    schema = published("openapi.payments-subset.json")["components"]["schemas"][kind]
    yield from (f"{name} is missing" for name in schema["required"] if name not in thing)
    for name, value in thing.items():
        known: Json = schema["properties"].get(name, {})
        simple = {k: v for k, v in known.items() if k in ("type", "enum")}
        fits = not simple or (value is None and known.get("nullable")) or jsonschema_rs.is_valid(simple, value)
        if not fits:
            yield f"{name} is {value!r}, and should be {simple}"
