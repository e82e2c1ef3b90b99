"""Idempotency keys, as real PSPs keep them."""

import asyncio

import pytest

from tests.support.simulator import Client, charge_body, new_reference


@pytest.mark.parametrize(("method", "status"), [("pm_card_visa", 201), ("pm_card_declined", 402)])
async def test_the_first_answer_is_given_again(psp: Client, method: str, status: int) -> None:
    body = charge_body(method)
    first = await psp.call("POST", "/v1/charges", body, body["reference"])
    again = await psp.call("POST", "/v1/charges", dict(reversed(body.items())), body["reference"])
    assert (first.status, first.replayed) == (status, False)
    assert (again.status, again.replayed, again.body) == (status, True, first.body)
    assert len(await psp.facts(body["reference"])) == 1


async def test_a_business_refusal_is_kept_under_its_key(psp: Client) -> None:
    charge_id = (await psp.create()).body["id"]
    asked = {"reference": new_reference(), "amount": 1001}
    first = await psp.modify(charge_id, "capture", **asked)
    again = await psp.modify(charge_id, "capture", **asked)
    assert (first.status, again.status, again.replayed) == (422, 422, True)


async def test_other_body_under_the_same_key_is_refused(psp: Client) -> None:
    body = charge_body()
    await psp.call("POST", "/v1/charges", body, body["reference"])
    other = await psp.call("POST", "/v1/charges", body | {"amount": 999}, body["reference"])
    assert (other.status, other.error["code"]) == (400, "key_reused")
    (fact,) = await psp.facts(body["reference"])
    assert fact["amount_authorized"] == 1000


async def test_the_same_key_on_another_charge_is_refused(psp: Client) -> None:
    first, second = (await psp.create()).body, (await psp.create()).body
    reference = new_reference()
    assert (await psp.modify(first["id"], "capture", reference=reference)).status == 201
    assert (await psp.modify(second["id"], "capture", reference=reference)).error["code"] == "key_reused"


async def test_a_request_that_was_not_understood_leaves_no_key(psp: Client) -> None:
    body = charge_body()
    assert (await psp.call("POST", "/v1/charges", body | {"amount": -1}, body["reference"])).status == 400
    assert (await psp.call("POST", "/v1/charges", body, body["reference"])).status == 201


async def test_many_at_once_under_one_key_make_one_charge(psp: Client) -> None:
    body = charge_body(capture=True)
    answers = await asyncio.gather(*(psp.call("POST", "/v1/charges", body, body["reference"]) for _ in range(50)))
    assert {answer.status for answer in answers} == {201}
    assert sum(not answer.replayed for answer in answers) == 1
    assert len(await psp.facts(body["reference"])) == 1


async def test_no_key_no_memory(psp: Client) -> None:
    body = charge_body()
    await psp.call("POST", "/v1/charges", body)
    await psp.call("POST", "/v1/charges", body)
    assert len(await psp.facts(body["reference"])) == 2


async def test_a_key_of_another_kind_is_refused(psp: Client) -> None:
    answer = await psp.call("POST", "/v1/charges", charge_body(), "k" * 256)
    assert answer.error["code"] == "invalid_idempotency_key"
