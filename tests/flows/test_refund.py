"""Refunds: full, in part, several, declined, slow, and those that come back."""

import msgspec
import pytest

from bezant.app import Services
from bezant.base import ids
from bezant.idempotency.claims import Reply
from bezant.payments.apply import Recording
from bezant.psp.contract import Failure, Outcome, Verdict
from tests.support.platform import Merchant, Platform

CLOSED = Failure(code="refund_failed", message="The customer's account is closed.")


def test_full_refund_gives_everything_back_and_keeps_the_fee(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create()["payment_id"]
    answer = shop.do(payment_id, "refunds", reason="not as described")
    assert answer.status == 200
    refund = answer.json
    assert refund == {
        "refund_id": refund["refund_id"],
        "payment_id": payment_id,
        "status": "succeeded",
        "amount": {"value": 10_000, "currency": "USD"},
        "reason": "not as described",
        "psp_reference": refund["psp_reference"],
        "failure": None,
        "created_at": refund["created_at"],
        "updated_at": refund["updated_at"],
    }
    payment = shop.payment(payment_id)
    assert (payment["status"], payment["amounts"]["refundable"]) == ("refunded", 0)
    charge = platform.charge_of(payment)
    assert charge["amount_refunded"] == 10_000
    assert refund["psp_reference"] == charge["operations"][-1]["id"]
    assert shop.accounts() == {
        "customer_funds_in_transit": 0,
        "merchant_payable": -320,
        "platform_fee_revenue": 320,
    }
    assert shop.event_types(payment_id)[2:] == ["refund.created", "refund.succeeded"]


def test_several_refunds_last_as_long_as_the_captured_money(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create(value=1_000)["payment_id"]
    for value, refundable, status in ((300, 700, "captured"), (300, 400, "captured"), (400, 0, "refunded")):
        assert shop.do(payment_id, "refunds", value=value).status == 200
        payment = shop.payment(payment_id)
        assert (payment["status"], payment["amounts"]["refundable"]) == (status, refundable)
    above = shop.do(payment_id, "refunds", value=1)
    assert (above.status, above.code) == (422, "amount_too_large")
    without_amount = shop.do(payment_id, "refunds")
    assert (without_amount.status, without_amount.code) == (409, "invalid_state")
    assert platform.charge_of(shop.payment(payment_id))["amount_refunded"] == 1_000


def test_refund_of_the_rest_after_a_partial_one(shop: Merchant) -> None:
    payment_id = shop.create(value=1_000)["payment_id"]
    shop.do(payment_id, "refunds", value=300)
    assert shop.do(payment_id, "refunds")["amount"]["value"] == 700


def test_refund_of_a_partial_capture_is_bound_by_what_was_captured(shop: Merchant) -> None:
    payment_id = shop.create(value=1_000, capture_strategy="manual")["payment_id"]
    shop.do(payment_id, "capture", value=600, final=False)
    above = shop.do(payment_id, "refunds", value=601)
    assert (above.status, above.code, above["param"]) == (422, "amount_too_large", "/amount/value")
    assert shop.do(payment_id, "refunds", value=600).status == 200
    assert shop.do(payment_id, "capture", value=400)["status"] == "captured"
    assert shop.payment(payment_id)["amounts"]["refundable"] == 400


def test_refund_in_another_currency_is_refused(shop: Merchant) -> None:
    answer = shop.do(shop.create()["payment_id"], "refunds", value=100, currency="EUR")
    assert (answer.status, answer.code, answer["param"]) == (422, "currency_mismatch", "/amount/currency")


@pytest.mark.parametrize("strategy", ["authorized", "unconfirmed"])
def test_what_was_not_captured_cannot_be_refunded(shop: Merchant, strategy: str) -> None:
    payment = shop.create(capture_strategy="manual", confirm=strategy == "authorized").json
    answer = shop.do(payment["payment_id"], "refunds")
    assert (answer.status, answer.code) == (409, "invalid_state")


def test_declined_refund_is_a_result_and_gives_the_reservation_back(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create("pm_card_refund_fails")["payment_id"]
    answer = shop.do(payment_id, "refunds", value=4_000)
    assert (answer.status, answer["status"], answer["failure"]["code"]) == (200, "failed", "refund_failed")
    payment = shop.payment(payment_id)
    assert (payment["status"], payment["amounts"]["refundable"]) == ("captured", 10_000)
    assert platform.charge_of(payment)["amount_refunded"] == 0
    assert shop.accounts()["customer_funds_in_transit"] == 10_000
    assert shop.event_types(payment_id)[2:] == ["refund.created", "refund.failed"]


@pytest.mark.parametrize(
    ("payment_method", "refund_status", "payment_status", "in_transit"),
    [
        ("pm_card_refund_async", "succeeded", "captured", 6_000),
        ("pm_card_refund_async_fails", "failed", "captured", 10_000),
    ],
)
def test_slow_refund_is_pending_until_the_psp_has_decided(
    shop: Merchant, payment_method: str, refund_status: str, payment_status: str, in_transit: int
) -> None:
    payment_id = shop.create(payment_method)["payment_id"]
    answer = shop.do(payment_id, "refunds", value=4_000)
    assert (answer.status, answer["status"]) == (202, "pending")
    balance = shop.get("/balance").json
    assert balance["available"] == [{"value": balance["payable"][0]["value"] - 9_680 - 4_000, "currency": "USD"}]
    payment = shop.payment(payment_id)
    assert (payment["status"], payment["amounts"]["refundable"]) == ("refunding", 6_000)
    assert payment["pending_operation"]["operation"] == "refund"
    assert shop.wait_for_status(payment_id, payment_status)
    assert shop.get(f"/refunds/{answer['refund_id']}")["status"] == refund_status
    assert shop.accounts()["customer_funds_in_transit"] == in_transit


def test_refunds_may_run_side_by_side(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create("pm_card_refund_async")["payment_id"]
    for _ in range(3):
        assert shop.do(payment_id, "refunds", value=2_000).status == 202
    above = shop.do(payment_id, "refunds", value=4_001)
    assert (above.status, above.code) == (422, "amount_too_large")
    payment = shop.wait_for_status(payment_id, "captured")
    assert payment["amounts"]["refunded"] == platform.charge_of(payment)["amount_refunded"] == 6_000


def test_refunds_are_listed_oldest_first_and_shown_one_by_one(shop: Merchant) -> None:
    payment_id = shop.create()["payment_id"]
    made = [shop.do(payment_id, "refunds", value=value).json for value in (100, 200, 300)]
    listed = shop.get(f"/payments/{payment_id}/refunds")
    assert listed.status == 200
    assert listed.json == {"data": made}
    for refund in made:
        assert shop.get(f"/refunds/{refund['refund_id']}").json == refund
    assert shop.get(f"/payments/{shop.create()['payment_id']}/refunds").json == {"data": []}


def test_refund_that_comes_back_is_owed_to_the_merchant_again(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create()["payment_id"]
    refund = shop.do(payment_id, "refunds").json
    assert shop.payment(payment_id)["status"] == "refunded"
    before = shop.accounts()
    for _ in range(2):  # told twice, booked once
        _refund_fails_late(platform, refund["refund_id"])
    payment = shop.payment(payment_id)
    assert (payment["status"], payment["amounts"]["refunded"], payment["amounts"]["refundable"]) == (
        "captured",
        0,
        10_000,
    )
    shown = shop.get(f"/refunds/{refund['refund_id']}").json
    assert (shown["status"], shown["failure"]["code"]) == ("failed", "refund_failed")
    kinds = [j["kind"] for j in shop.get("/ledger/journals", payment_id=payment_id).json["data"]]
    assert sorted(kinds) == ["capture", "refund", "refund_failed"]
    after = shop.accounts()
    assert after["merchant_payable"] == before["merchant_payable"] + 10_000
    assert after["customer_funds_in_transit"] == before["customer_funds_in_transit"] + 10_000
    assert shop.event_types(payment_id)[-1] == "refund.failed"


def test_money_of_a_refund_that_came_back_can_be_refunded_again_at_our_side(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create()["payment_id"]
    refund = shop.do(payment_id, "refunds", value=4_000).json
    _refund_fails_late(platform, refund["refund_id"])
    assert shop.do(payment_id, "refunds", value=6_000)["status"] == "succeeded"
    assert shop.payment(payment_id)["amounts"]["refundable"] == 4_000


def _refund_fails_late(platform: Platform, refund_id: str) -> None:
    """What a later notice of the PSP would bring: the refund that had succeeded has failed."""
    row = ids.parse(ids.REFUND, refund_id)
    ((attempt_id, merchant_id, payment_id),) = platform.sql(
        "SELECT id, merchant_id, payment_id FROM payment_attempts WHERE refund_id = $1", row
    )
    recording = Recording(
        merchant_id=merchant_id,
        payment_id=payment_id,
        attempt_id=attempt_id,
        refund_id=row,
        operation="refund",
        outcome=Outcome(verdict=Verdict.DECLINED, failure=CLOSED),
    )

    async def record(services: Services) -> Reply:
        return await services.payments.record.submit(recording)

    reply = platform.with_services(record)
    assert msgspec.json.decode(reply.body)["status"] == "failed"
