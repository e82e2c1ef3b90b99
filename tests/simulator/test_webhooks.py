"""What the simulator tells unasked: which events, with what in them, signed how."""

import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.support.simulator import WEBHOOK_SECRET, Client, client, new_reference, running_simulator
from tests.support.waiting import wait_until_async
from tests.support.webhook_receiver import Received, Receiver, receiving


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        yield each


@pytest.fixture(scope="module")
def simulator_url(receiver: Receiver) -> Iterator[str]:
    with running_simulator(webhook_url=receiver.url, async_delay_s=0.2) as process:
        yield process.url


@pytest_asyncio.fixture
async def psp(simulator_url: str) -> AsyncIterator[Client]:
    async with client(simulator_url) as each:
        yield each


async def events(psp: Client, charge_id: str) -> list[dict[str, Any]]:
    """All events of a charge so far, told or not."""
    return (await psp.call("GET", f"/_simulator/events?charge={charge_id}")).body["data"]


async def types_told(psp: Client, receiver: Receiver, charge_id: str, *last: str) -> list[str]:
    """The types of a charge's events in the order in which they came, once `last` are among them and none waits."""

    async def all_are_told() -> bool:
        found = await events(psp, charge_id)
        return all(each["told"] for each in found) and {*last} <= {each["type"] for each in found}

    await wait_until_async(all_are_told, 10.0, f"{last} of {charge_id}")
    return [request.json["type"] for request in receiver.of(about=charge_id)]


def is_signed(request: Received, secret: str) -> bool:
    """The scheme, written down a second time."""
    head = request.headers["simulator-signature"]
    time_part, *marks = head.split(",")
    assert abs(int(time_part.removeprefix("t=")) - time.time()) < 60
    signed = time_part.removeprefix("t=").encode() + b"." + request.body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() in marks


async def test_each_change_is_told_once_with_what_the_api_answered(psp: Client, receiver: Receiver) -> None:
    charge = (await psp.create()).body
    capture = (await psp.modify(charge["id"], "capture", amount=700)).body
    refund = (await psp.modify(charge["id"], "refunds", amount=100)).body
    assert sorted(await types_told(psp, receiver, charge["id"])) == [
        "charge.approved",
        "operation.succeeded",
        "operation.succeeded",
    ]
    (approved,) = receiver.of("charge.approved", charge["id"])
    assert approved.json["data"] == charge
    told = [request.json["data"] for request in receiver.of("operation.succeeded", charge["id"])]
    assert sorted(told, key=lambda each: each["kind"]) == [capture, refund]
    assert len({request.json["id"] for request in receiver.of(about=charge["id"])}) == 3
    assert all(request.json["created_at"].endswith("Z") for request in receiver.of(about=charge["id"]))


async def test_webhooks_are_signed_over_time_and_body(psp: Client, receiver: Receiver) -> None:
    charge = (await psp.create()).body
    (request,) = await receiver.wait_for("charge.approved", charge["id"])
    assert is_signed(request, WEBHOOK_SECRET)
    assert not is_signed(request, "another")
    assert request.headers["content-type"] == "application/json"


async def test_while_a_secret_is_replaced_both_sign(psp: Client, receiver: Receiver) -> None:
    try:
        assert (
            await psp.call("POST", "/_simulator/webhook_secrets", {"secrets": ["new", WEBHOOK_SECRET]})
        ).status == 200
        charge = (await psp.create()).body
        (request,) = await receiver.wait_for("charge.approved", charge["id"])
        assert is_signed(request, "new")
        assert is_signed(request, WEBHOOK_SECRET)
        assert request.headers["simulator-signature"].count("v1=") == 2
    finally:
        await psp.call("POST", "/_simulator/webhook_secrets", {"secrets": [WEBHOOK_SECRET]})


@pytest.mark.parametrize(
    ("method", "types"),
    [
        ("pm_card_declined", ["charge.declined"]),
        ("pm_card_visa", ["charge.approved"]),
        ("pm_card_timeout_after", ["charge.approved"]),
        ("pm_card_500_after", ["charge.approved"]),
        ("pm_card_500_before", []),
        ("pm_card_async", ["charge.pending", "charge.approved"]),
        ("pm_card_async_fails", ["charge.pending", "charge.declined"]),
        ("pm_card_3ds", ["charge.action_required"]),
        ("pm_wallet", ["charge.action_required"]),
        ("pm_card_capture_fails", ["charge.approved"]),
    ],
)
@pytest.mark.parametrize("capture", [False, True])
async def test_a_charge_tells_how_it_goes(
    psp: Client, receiver: Receiver, method: str, types: list[str], capture: bool
) -> None:
    reference = new_reference()
    try:
        await psp.create(method, capture=capture, reference=reference, timeout_s=0.5)
    except TimeoutError:
        pass
    found = await psp.facts(reference)
    assert len(found) == bool(types)
    if found:
        assert await types_told(psp, receiver, found[0]["id"], *types) == types, "a capture at once is no event"
        captured = 0 if not capture or types[-1] != "charge.approved" or method.endswith("capture_fails") else 1000
        last = receiver.of(about=found[0]["id"])[-1].json
        assert last["data"]["authorization"]["captured"] == captured
        assert last["data"]["reference"] == reference


@pytest.mark.parametrize(("decision", "told"), [("approve", "charge.approved"), ("refuse", "charge.declined")])
@pytest.mark.parametrize("method", ["pm_card_3ds", "pm_wallet"])
async def test_the_customers_decision_is_told(
    psp: Client, receiver: Receiver, method: str, decision: str, told: str
) -> None:
    charge = (await psp.create(method)).body
    (asked,) = await receiver.wait_for("charge.action_required", charge["id"])
    assert asked.json["data"]["redirect_url"] == charge["redirect_url"]
    await psp.decide(charge, decision)
    assert await types_told(psp, receiver, charge["id"], told) == ["charge.action_required", told]


@pytest.mark.parametrize("operation", ["capture", "cancel", "refund"])
@pytest.mark.parametrize(
    ("word", "types"),
    [
        ("approve", ["operation.succeeded"]),
        ("reset_after", ["operation.succeeded"]),
        ("fails", ["operation.failed"]),
        ("async", ["operation.pending", "operation.succeeded"]),
        ("async_fails", ["operation.pending", "operation.failed"]),
    ],
)
async def test_a_later_operation_tells_how_it_goes(
    psp: Client, receiver: Receiver, operation: str, word: str, types: list[str]
) -> None:
    charge = (await psp.create(capture=operation == "refund")).body
    await receiver.wait_for("charge.approved", charge["id"])
    reference = new_reference()
    await psp.attempt(charge["id"], operation, reference=reference, metadata={"simulate": f"{operation}:{word}"})
    assert await types_told(psp, receiver, charge["id"], types[-1]) == ["charge.approved", *types]
    assert {request.json["data"]["reference"] for request in receiver.of(about=charge["id"])[1:]} == {reference}


async def test_a_charge_given_up_undecided_is_declined(psp: Client, receiver: Receiver) -> None:
    charge = (await psp.create("pm_card_3ds")).body
    await psp.modify(charge["id"], "cancel")
    told = await types_told(psp, receiver, charge["id"], "operation.succeeded")
    assert sorted(told) == ["charge.action_required", "charge.declined", "operation.succeeded"]
    (declined,) = receiver.of("charge.declined", charge["id"])
    assert declined.json["data"]["failure"]["code"] == "canceled"


async def test_a_refund_can_fail_after_it_succeeded(psp: Client, receiver: Receiver) -> None:
    charge = (await psp.create(capture=True)).body
    refund = await psp.modify(charge["id"], "refunds", amount=300, metadata={"simulate": "refund:fails_later"})
    assert refund.body["status"] == "succeeded"
    told = await types_told(psp, receiver, charge["id"], "operation.failed")
    assert told == ["charge.approved", "operation.succeeded", "operation.failed"]
    (failed,) = receiver.of("operation.failed", charge["id"])
    assert (failed.json["data"]["id"], failed.json["data"]["failure"]["code"]) == (refund.body["id"], "refund_failed")
    (fact,) = await psp.facts(charge["reference"])
    assert (fact["amount_refunded"], fact["operations"][-1]["status"]) == (0, "failed")


@pytest.mark.parametrize(("word", "kept"), [("dispute_won", 1000), ("dispute_lost", 0)])
@pytest.mark.parametrize("how", ["method", "metadata"])
async def test_a_dispute_follows_the_capture_and_moves_money(
    psp: Client, receiver: Receiver, word: str, kept: int, how: str
) -> None:
    if how == "method":
        charge = (await psp.create(f"pm_card_{word}", capture=True)).body
    else:
        charge = (await psp.create(currency="CHF")).body
        await psp.modify(charge["id"], "capture", metadata={"simulate": f"capture:{word}"})
    (opened,) = await receiver.wait_for("dispute.opened", charge["id"])
    data = opened.json["data"]
    assert (data["charge"], data["amount"], data["currency"]) == (charge["id"], 1000, charge["currency"])
    assert (data["object"], data["status"], data["reason"]) == ("dispute", "needs_response", "fraudulent")
    decided = f"dispute.{word.removeprefix('dispute_')}"
    told = await types_told(psp, receiver, charge["id"], decided)
    assert told[-2:] == ["dispute.opened", decided]
    after = (await psp.call("GET", f"/v1/disputes/{data['id']}")).body
    assert after == receiver.of(decided, charge["id"])[0].json["data"]
    (fact,) = await psp.facts(charge["reference"])
    assert (fact["amount_captured"] - fact["amount_disputed"] - fact["amount_lost"]) == kept


async def test_what_is_disputed_cannot_be_refunded_until_it_is_won(psp: Client, receiver: Receiver) -> None:
    charge = (await psp.create(capture=True, currency="SEK")).body
    dispute = (await psp.call("POST", f"/_simulator/charges/{charge['id']}/dispute", {"amount": 600})).body
    assert (await balance(psp, "SEK"))["balance"] == 400
    assert (await psp.modify(charge["id"], "refunds", amount=401)).error["code"] == "over_refund"
    assert (await psp.call("POST", f"/_simulator/disputes/{dispute['id']}/win")).body["status"] == "won"
    assert (await psp.call("POST", f"/_simulator/disputes/{dispute['id']}/lose")).status == 409
    assert (await psp.modify(charge["id"], "refunds", amount=401)).status == 201
    assert await balance(psp, "SEK") == {
        "currency": "SEK", "captured": 1000, "refunded": 401, "disputed": 0, "lost": 0, "balance": 599,
    }  # fmt: skip
    assert "dispute.won" in await types_told(psp, receiver, charge["id"])


async def test_a_bank_may_dispute_what_was_refunded_but_not_more_than_was_captured(psp: Client) -> None:
    charge = (await psp.create(capture=True, currency="NOK")).body
    await psp.modify(charge["id"], "refunds")
    path = f"/_simulator/charges/{charge['id']}/dispute"
    assert (await psp.call("POST", path, {"amount": 1001})).status == 422
    assert (await psp.call("POST", path)).body["amount"] == 1000
    assert (await psp.call("POST", path, {"amount": 1})).status == 422
    assert (await balance(psp, "NOK"))["balance"] == -1000


@pytest.mark.parametrize(("verb", "kind"), [("refund", "refund"), ("capture", "capture"), ("cancel", "cancel")])
async def test_what_is_done_in_the_dashboard_is_told_without_our_reference(
    psp: Client, receiver: Receiver, verb: str, kind: str
) -> None:
    charge = (await psp.create(capture=verb == "refund")).body
    done = await psp.call(
        "POST", f"/_simulator/charges/{charge['id']}/{verb}", {} if verb == "cancel" else {"amount": 300}
    )
    assert (done.status, done.body["status"], "reference" in done.body) == (201, "succeeded", False)
    (told,) = await receiver.wait_for("operation.succeeded", charge["id"])
    assert told.json["data"] == done.body
    (fact,) = await psp.facts(charge["reference"])
    last = fact["operations"][-1]
    assert (last["kind"], last["reference"], last["idempotency_key"]) == (kind, None, None)
    assert (await psp.call("GET", f"/v1/operations/{done.body['id']}")).body == done.body


async def test_a_dashboard_refund_may_fail_later(psp: Client, receiver: Receiver) -> None:
    charge = (await psp.create(capture=True)).body
    path = f"/_simulator/charges/{charge['id']}/refund"
    assert (await psp.call("POST", path, {"simulate": "refund:async_fails"})).body["status"] == "pending"
    told = await types_told(psp, receiver, charge["id"], "operation.failed")
    assert told == ["charge.approved", "operation.pending", "operation.failed"]


async def test_what_the_dashboard_does_not_allow_leaves_nothing_behind(psp: Client) -> None:
    charge = (await psp.create()).body
    for verb, code in [("refund", "not_refundable"), ("capture", "over_capture")]:
        refused = await psp.call("POST", f"/_simulator/charges/{charge['id']}/{verb}", {"amount": 1001})
        assert (refused.status, refused.error["code"]) == (422, code)
    (fact,) = await psp.facts(charge["reference"])
    assert [each["kind"] for each in fact["operations"]] == ["authorize"]
    assert [each["type"] for each in await events(psp, charge["id"])] == ["charge.approved"]
    assert (await psp.call("POST", "/_simulator/charges/ch_nothing/refund")).status == 404
    assert (await psp.call("POST", f"/_simulator/charges/{charge['id']}/refund", {"amount": -1})).status == 400


async def test_an_event_of_any_type_can_be_sent(psp: Client, receiver: Receiver) -> None:
    sent = await psp.call("POST", "/_simulator/events", {"type": "payout.paid", "data": {"id": "po_1"}})
    (told,) = await receiver.wait_for("payout.paid", "po_1")
    assert told.json == sent.body
    assert is_signed(told, WEBHOOK_SECRET)


async def test_nesting_without_end_is_a_bad_request(psp: Client) -> None:
    body = b'{"type": "some.thing", "data": {"x": ' + b"[" * 60_000
    for path in ("/_simulator/events", "/_simulator/settings"):
        async with aiohttp.request("POST", psp.url + path, data=body) as answer:
            assert answer.status == 400


async def test_an_event_can_be_sent_again_with_the_same_bytes(psp: Client, receiver: Receiver) -> None:
    charge = (await psp.create()).body
    await types_told(psp, receiver, charge["id"], "charge.approved")
    (event,) = await events(psp, charge["id"])
    assert (await psp.call("POST", f"/_simulator/events/{event['id']}/redeliver")).status == 200
    first, second = await receiver.wait_for("charge.approved", charge["id"], times=2)
    assert first.body == second.body
    assert (await psp.call("POST", "/_simulator/events/evt_nothing/redeliver")).status == 404


async def balance(psp: Client, currency: str) -> dict[str, Any]:
    found = (await psp.call("GET", "/_simulator/balances")).body["data"]
    return next(each for each in found if each["currency"] == currency)
