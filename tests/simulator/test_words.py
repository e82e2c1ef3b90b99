"""Each magic word: what the caller sees, and what the PSP holds afterwards."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from tests.support.simulator import Answered, Client, charge_body, new_reference

PATIENCE_S = 0.4
DEADLINE_S = 5.0
SILENT = (aiohttp.ClientError, TimeoutError, ConnectionError)
VERBS = {"capture": "capture", "cancel": "cancel", "refund": "refunds"}


async def until(read: Callable[[], Awaitable[Answered]], wanted: Callable[[Answered], bool]) -> Answered:
    deadline = time.monotonic() + DEADLINE_S
    while not wanted(answer := await read()):
        assert time.monotonic() < deadline, answer.body
        await asyncio.sleep(0.02)
    return answer


@pytest.mark.parametrize(
    ("word", "code", "decline_code"),
    [
        ("declined", "card_declined", "generic_decline"),
        ("insufficient_funds", "card_declined", "insufficient_funds"),
        ("expired", "expired_card", "expired_card"),
        ("stolen", "card_declined", "stolen_card"),
    ],
)
async def test_declines(psp: Client, word: str, code: str, decline_code: str) -> None:
    answer = await psp.create(f"pm_card_{word}", reference=(reference := new_reference()))
    assert (answer.status, answer.error["code"], answer.error["decline_code"]) == (402, code, decline_code)
    (fact,) = await psp.facts(reference)
    assert (fact["amount_authorized"], fact["status"], len(fact["operations"])) == (0, "refused", 1)
    (found,) = (await psp.call("GET", f"/v1/charges?reference={reference}")).body["data"]
    assert found["failure"]["decline_code"] == decline_code


@pytest.mark.parametrize(
    "word",
    ["visa", "mastercard", "webhook_first", "webhook_twice", "webhook_shuffled", "dispute_lost", "dispute_won"],
)
async def test_words_that_approve(psp: Client, word: str) -> None:
    assert (await psp.create(f"pm_card_{word}")).body["status"] == "reserved"


@pytest.mark.parametrize("word", ["timeout_after", "500_after", "reset_after"])
async def test_create_is_done_but_the_answer_is_lost(psp: Client, word: str) -> None:
    body = charge_body(f"pm_card_{word}", capture=True)
    assert await _status(psp.call("POST", "/v1/charges", body, body["reference"], PATIENCE_S)) in (None, 500)
    (fact,) = await psp.facts(body["reference"])
    assert fact["amount_captured"] == 1000
    again = await psp.call("POST", "/v1/charges", body, body["reference"])
    assert (again.status, again.replayed, again.body["id"]) == (201, True, fact["id"])


@pytest.mark.parametrize("word", ["timeout_before", "500_before", "reset_before", "rate_limited"])
async def test_create_never_arrives_and_its_repeat_does(psp: Client, word: str) -> None:
    body = charge_body(f"pm_card_{word}", capture=True)
    assert await _status(psp.call("POST", "/v1/charges", body, body["reference"], PATIENCE_S)) in (None, 500, 429)
    assert await psp.facts(body["reference"]) == []
    assert (await psp.call("GET", f"/v1/operations?reference={body['reference']}")).body["data"] == []
    again = await psp.call("POST", "/v1/charges", body, body["reference"])
    assert (again.status, again.replayed) == (201, False)
    assert len(await psp.facts(body["reference"])) == 1


@pytest.mark.parametrize("operation", ["capture", "cancel", "refund"])
@pytest.mark.parametrize("word", ["timeout_after", "500_after", "reset_after"])
async def test_later_operation_is_done_but_the_answer_is_lost(psp: Client, operation: str, word: str) -> None:
    charge = (await psp.create(capture=operation == "refund")).body
    asked = {"reference": new_reference(), "metadata": {"simulate": f"other:visa {operation}:{word}"}}
    assert await _status(psp.modify(charge["id"], VERBS[operation], **asked, timeout_s=PATIENCE_S)) in (None, 500)
    (fact,) = await psp.facts(charge["reference"])
    assert [o["kind"] for o in fact["operations"]][-1] == operation
    again = await psp.modify(charge["id"], VERBS[operation], **asked)
    assert (again.status, again.replayed, again.body["status"]) == (201, True, "succeeded")
    assert len((await psp.facts(charge["reference"]))[0]["operations"]) == len(fact["operations"])


@pytest.mark.parametrize("operation", ["capture", "cancel", "refund"])
@pytest.mark.parametrize("word", ["timeout_before", "500_before", "reset_before"])
async def test_later_operation_never_arrives_and_its_repeat_does(psp: Client, operation: str, word: str) -> None:
    charge = (await psp.create(capture=operation == "refund", metadata={"simulate": f"{operation}:{word}"})).body
    before = (await psp.facts(charge["reference"]))[0]["operations"]
    asked = {"reference": new_reference()}
    assert await _status(psp.modify(charge["id"], VERBS[operation], **asked, timeout_s=PATIENCE_S)) in (None, 500)
    assert (await psp.facts(charge["reference"]))[0]["operations"] == before
    assert (await psp.modify(charge["id"], VERBS[operation], **asked)).body["status"] == "succeeded"


@pytest.mark.parametrize("operation", ["capture", "cancel", "refund"])
async def test_later_operation_fails(psp: Client, operation: str) -> None:
    charge = (await psp.create(capture=operation == "refund")).body
    answer = await psp.modify(charge["id"], VERBS[operation], metadata={"simulate": f"{operation}:fails"})
    assert (answer.status, answer.error["code"]) == (402, f"{operation}_failed")
    (fact,) = await psp.facts(charge["reference"])
    assert (fact["operations"][-1]["status"], fact["amount_refunded"], fact["amount_released"]) == ("failed", 0, 0)


@pytest.mark.parametrize("operation", ["capture", "cancel", "refund"])
@pytest.mark.parametrize(("word", "end"), [("async", "succeeded"), ("async_fails", "failed")])
async def test_later_operation_is_decided_later(psp: Client, operation: str, word: str, end: str) -> None:
    charge = (await psp.create(capture=operation == "refund")).body
    done = await psp.modify(charge["id"], VERBS[operation], metadata={"simulate": f"{operation}:{word}"})
    assert (done.status, done.body["status"]) == (201, "pending")
    held = await psp.modify(charge["id"], VERBS[operation])
    assert held.status == 422, "what is pending cannot be used twice"
    path = f"/v1/operations/{done.body['id']}"
    await until(lambda: psp.call("GET", path), lambda answer: answer.body["status"] == end)


async def test_payment_methods_that_fail_later(psp: Client) -> None:
    no_capture = (await psp.create("pm_card_capture_fails")).body
    assert (await psp.modify(no_capture["id"], "capture")).error["code"] == "capture_failed"
    no_refund = (await psp.create("pm_card_refund_fails", capture=True)).body
    assert (await psp.modify(no_refund["id"], "refunds")).error["code"] == "refund_failed"
    slow_refund = (await psp.create("pm_card_refund_async", capture=True)).body
    assert (await psp.modify(slow_refund["id"], "refunds")).body["status"] == "pending"


async def test_automatic_capture_that_fails_leaves_the_authorization(psp: Client) -> None:
    answer = await psp.create("pm_card_capture_fails", capture=True)
    assert (answer.status, answer.body["status"], answer.body["authorization"]["captured"]) == (201, "reserved", 0)


@pytest.mark.parametrize("capture", [False, True])
async def test_async_is_approved_by_itself(psp: Client, capture: bool) -> None:
    created = await psp.create("pm_card_async", capture=capture)
    assert (created.body["status"], created.body["amount_authorized"]) == ("processing", 0)
    path = f"/v1/charges/{created.body['id']}"
    answer = await until(lambda: psp.call("GET", path), lambda answer: answer.body["status"] != "processing")
    assert answer.body["amount_captured"] == (1000 if capture else 0)
    assert answer.body["amount_authorized"] == 1000


async def test_partial_authorizes_half(psp: Client) -> None:
    body = (await psp.create("pm_card_partial", amount=999, capture=True)).body
    assert (body["amount"], body["amount_authorized"], body["amount_captured"]) == (999, 499, 499)


async def test_slow_answers_after_two_seconds_and_holds_its_key_meanwhile(psp: Client) -> None:
    body = charge_body("pm_card_slow_2s")
    start = time.monotonic()
    calls = [psp.call("POST", "/v1/charges", body, body["reference"]) for _ in range(2)]
    busy, done = sorted(await asyncio.gather(*calls), key=lambda answer: -answer.status)
    assert time.monotonic() - start >= 2
    assert (busy.status, busy.error["code"], done.status, done.replayed) == (409, "key_in_flight", 201, False)
    assert (await psp.call("POST", "/v1/charges", body, body["reference"])).replayed


async def test_slow_is_done_even_if_the_caller_leaves(psp: Client) -> None:
    body = charge_body("pm_card_slow_2s")
    assert await _status(psp.call("POST", "/v1/charges", body, body["reference"], PATIENCE_S)) is None
    found = f"/v1/charges?reference={body['reference']}"
    await until(lambda: psp.call("GET", found), lambda answer: len(answer.body["data"]) == 1)


async def _status(call: Awaitable[Answered]) -> int | None:
    """The status of an answer; None if none came."""
    try:
        return (await call).status
    except SILENT:
        return None
