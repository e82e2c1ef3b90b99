"""What a charge goes through when nothing goes wrong, and what the PSP refuses."""

from typing import Any

import pytest

from tests.support.simulator import Client, charge_body, new_reference


async def test_authorize_reserves_and_takes_nothing(psp: Client) -> None:
    answer = await psp.create()
    assert answer.status == 201
    assert answer.body["status"] == "reserved"
    assert (answer.body["amount_authorized"], answer.body["amount_captured"]) == (1000, 0)


async def test_automatic_capture_takes_everything_in_one_call(psp: Client) -> None:
    answer = await psp.create(capture=True)
    assert answer.body["status"] == "collected"
    assert answer.body["authorization"]["captured"] == 1000
    (fact,) = await psp.facts(answer.body["reference"])
    assert [(o["kind"], o["amount"], o["status"]) for o in fact["operations"]] == [
        ("authorize", 1000, "succeeded"),
        ("capture", 1000, "succeeded"),
    ]


async def test_final_capture_releases_the_rest(psp: Client) -> None:
    charge_id = (await psp.create()).body["id"]
    assert (await psp.modify(charge_id, "capture", amount=600)).body["status"] == "succeeded"
    charge = (await psp.call("GET", f"/v1/charges/{charge_id}")).body
    assert (charge["amount_captured"], charge["amount_released"], charge["status"]) == (600, 400, "collected")
    assert (await psp.modify(charge_id, "capture", amount=1)).error["code"] == "not_capturable"


async def test_several_captures_and_the_rest_canceled(psp: Client) -> None:
    charge_id = (await psp.create()).body["id"]
    await psp.modify(charge_id, "capture", amount=300, final=False)
    await psp.modify(charge_id, "capture", amount=200, final=False)
    assert (await psp.modify(charge_id, "capture", amount=501, final=False)).error["code"] == "over_capture"
    canceled = await psp.modify(charge_id, "cancel")
    assert canceled.body["amount"] == 500
    charge = (await psp.call("GET", f"/v1/charges/{charge_id}")).body
    assert (charge["amount_captured"], charge["amount_released"], charge["status"]) == (500, 500, "collected")


async def test_cancel_of_all_voids_the_charge_once(psp: Client) -> None:
    charge_id = (await psp.create()).body["id"]
    assert (await psp.modify(charge_id, "cancel")).body["amount"] == 1000
    assert (await psp.call("GET", f"/v1/charges/{charge_id}")).body["status"] == "voided"
    assert (await psp.modify(charge_id, "cancel")).error["code"] == "not_cancelable"
    assert (await psp.modify(charge_id, "capture", amount=1)).error["code"] == "not_capturable"


async def test_refunds_never_exceed_what_was_captured(psp: Client) -> None:
    charge_id = (await psp.create(capture=True)).body["id"]
    assert (await psp.modify(charge_id, "refunds", amount=600)).status == 201
    refused = await psp.modify(charge_id, "refunds", amount=401)
    assert (refused.status, refused.error["code"]) == (422, "over_refund")
    assert (await psp.modify(charge_id, "refunds")).body["amount"] == 400
    assert (await psp.modify(charge_id, "refunds", amount=1)).error["code"] == "not_refundable"


async def test_refund_before_capture_is_refused(psp: Client) -> None:
    charge_id = (await psp.create()).body["id"]
    assert (await psp.modify(charge_id, "refunds", amount=1)).error["code"] == "not_refundable"


@pytest.mark.parametrize("verb", ["capture", "refunds"])
async def test_other_currency_is_refused(psp: Client, verb: str) -> None:
    charge_id = (await psp.create(capture=verb == "refunds")).body["id"]
    refused = await psp.modify(charge_id, verb, amount=1, currency="EUR")
    assert (refused.status, refused.error["code"]) == (422, "currency_mismatch")


async def test_unknown_charge_and_unknown_method_are_refused(psp: Client) -> None:
    assert (await psp.modify("ch_nothing", "capture", amount=1)).error["code"] == "unknown_charge"
    assert (await psp.create("pm_card_of_nobody")).error["code"] == "unknown_payment_method"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"payment_method": "4242 4242 4242 4242"}, "card_data_refused"),
        ({"card": {"number": "4242424242424242"}}, "invalid_request"),
        ({"amount": 0}, "invalid_request"),
        ({"currency": "usd"}, "invalid_request"),
    ],
)
async def test_bad_requests_and_card_numbers_are_not_accepted(
    psp: Client, change: dict[str, object], code: str
) -> None:
    body: dict[str, Any] = charge_body() | change
    refused = await psp.call("POST", "/v1/charges", body, new_reference())
    assert (refused.status, refused.error["code"]) == (400, code)
    assert await psp.facts(body["reference"]) == []


async def test_a_refused_capture_is_found_by_its_reference(psp: Client) -> None:
    charge_id = (await psp.create()).body["id"]
    reference = new_reference()
    await psp.modify(charge_id, "capture", amount=1001, reference=reference)
    (found,) = (await psp.call("GET", f"/v1/operations?reference={reference}")).body["data"]
    assert (found["status"], found["failure"]["code"]) == ("failed", "over_capture")


async def test_charges_are_found_by_the_callers_reference(psp: Client) -> None:
    answer = await psp.create()
    found = await psp.call("GET", f"/v1/charges?reference={answer.body['reference']}")
    assert found.body["data"] == [answer.body]
    assert (await psp.call("GET", f"/v1/charges?reference={new_reference()}")).body["data"] == []


async def test_the_listing_shows_what_the_contract_names(psp: Client) -> None:
    charge = (await psp.create(capture=True)).body
    refund = new_reference()
    await psp.modify(charge["id"], "refunds", amount=100, reference=refund)
    (fact,) = await psp.facts(charge["reference"])
    expected = {"id": charge["id"], "payment_method": "pm_card_visa", "currency": "USD", "amount_authorized": 1000}
    expected |= {"amount_captured": 1000, "amount_refunded": 100, "reference": charge["reference"]}
    assert expected.items() <= fact.items()
    last = fact["operations"][-1]
    assert (last["kind"], last["amount"], last["idempotency_key"], last["status"]) == (
        "refund",
        100,
        refund,
        "succeeded",
    )
    assert last["at"].endswith("Z")
