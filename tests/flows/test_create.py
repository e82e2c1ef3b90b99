"""Create and confirm: what a customer's money does at the start."""

from datetime import datetime
from typing import Any

import pytest

from tests.support.platform import Merchant, Platform

NOTHING = {"authorized": 0, "captured": 0, "refunded": 0, "disputed": 0, "capturable": 0, "refundable": 0}

DECLINES = [
    ("pm_card_declined", "card_declined", False),
    ("pm_card_insufficient_funds", "insufficient_funds", True),
    ("pm_card_expired", "expired_card", False),
    ("pm_card_stolen", "stolen_card", False),
]


def test_automatic_payment_is_captured_at_once_and_shown_as_promised(shop: Merchant, platform: Platform) -> None:
    answer = shop.create(
        order_id="ord_9x7k2m",
        metadata={"cart_id": "cart_abc"},
        customer={"id": "c1", "email": "a@example.org", "name": "Ada"},
        description="A book",
        statement_descriptor="BOOKSHOP",
        return_url="https://shop.example/done",
    )
    assert answer.status == 200
    payment = answer.json
    charge = next(c for c in platform.charges(payment_reference="ord_9x7k2m") if c["id"] == payment["psp_reference"])
    assert payment["client_secret"].startswith(payment["payment_id"] + "_secret_")
    times = {payment.pop(name) for name in ("created_at", "updated_at")}
    assert all(time.endswith("Z") and datetime.fromisoformat(time) for time in times)
    assert payment == {
        "payment_id": payment["payment_id"],
        "status": "captured",
        "order_id": "ord_9x7k2m",
        "amount": {"value": 10_000, "currency": "USD"},
        "amounts": NOTHING | {"authorized": 10_000, "captured": 10_000, "refundable": 10_000},
        "capture_strategy": "automatic",
        "payment_method": "pm_card_visa",
        "psp": "simulator",
        "psp_reference": charge["id"],
        "client_secret": payment["client_secret"],
        "next_action": None,
        "pending_operation": None,
        "failure": None,
        "metadata": {"cart_id": "cart_abc"},
        "customer": {"id": "c1", "email": "a@example.org", "name": "Ada"},
        "description": "A book",
    }
    assert (charge["amount_authorized"], charge["amount_captured"]) == (10_000, 10_000)
    assert shop.event_types(payment["payment_id"]) == ["payment.created", "payment.captured"]


def test_manual_payment_is_authorized_and_posts_nothing(shop: Merchant, platform: Platform) -> None:
    payment = shop.create(value=4_999, capture_strategy="manual").json
    assert payment["status"] == "authorized"
    assert payment["amounts"] == NOTHING | {"authorized": 4_999, "capturable": 4_999}
    assert platform.charge_of(payment)["amount_captured"] == 0
    assert shop.event_types(payment["payment_id"]) == ["payment.created", "payment.authorized"]
    assert shop.accounts() == {}


@pytest.mark.parametrize(("payment_method", "code", "retryable"), DECLINES)
def test_decline_is_a_failed_payment_and_no_error(
    shop: Merchant, platform: Platform, payment_method: str, code: str, retryable: bool
) -> None:
    answer = shop.create(payment_method)
    assert answer.status == 200
    payment = answer.json
    assert (payment["status"], payment["amounts"]) == ("failed", NOTHING)
    assert payment["failure"]["code"] == code
    assert payment["failure"]["retryable"] is retryable
    assert set(payment["failure"]) == {"code", "decline_code", "message", "retryable"}
    assert shop.payment(payment["payment_id"]) == payment
    assert platform.charge_of(payment)["amount_authorized"] == 0
    assert shop.event_types(payment["payment_id"]) == ["payment.created", "payment.failed"]
    assert shop.accounts() == {}


def test_failed_payment_takes_no_further_command(shop: Merchant) -> None:
    payment_id = shop.create("pm_card_declined")["payment_id"]
    for verb in ("confirm", "capture", "cancel", "refunds"):
        answer = shop.do(payment_id, verb)
        assert (answer.status, answer.code) == (409, "invalid_state"), verb


def test_unconfirmed_payment_is_unknown_to_the_psp_until_it_is_confirmed(shop: Merchant, platform: Platform) -> None:
    created = shop.create(confirm=False)
    assert created.status == 200
    payment = created.json
    assert (payment["status"], payment["psp_reference"], payment["pending_operation"]) == ("pending", None, None)
    assert platform.charges(payment_reference=payment["order_id"]) == []
    confirmed = shop.do(payment["payment_id"], "confirm")
    assert (confirmed.status, confirmed["status"]) == (200, "captured")
    assert platform.charge_of(payment)["amount_captured"] == 10_000


def test_payment_method_may_be_left_out_until_the_confirmation(shop: Merchant) -> None:
    payment_id = shop.create(None, confirm=False, capture_strategy="manual")["payment_id"]
    missing = shop.do(payment_id, "confirm")
    assert (missing.status, missing.code, missing["param"]) == (400, "invalid_request", "/payment_method")
    confirmed = shop.do(payment_id, "confirm", payment_method="pm_card_mastercard")
    assert (confirmed["status"], confirmed["payment_method"]) == ("authorized", "pm_card_mastercard")
    again = shop.do(payment_id, "confirm")
    assert (again.status, again.code) == (409, "invalid_state")


def test_payment_method_given_with_the_confirmation_replaces_the_first(shop: Merchant, platform: Platform) -> None:
    payment = shop.create("pm_card_declined", confirm=False).json
    confirmed = shop.do(payment["payment_id"], "confirm", payment_method="pm_card_visa")
    assert (confirmed["status"], confirmed["payment_method"]) == ("captured", "pm_card_visa")
    assert platform.charge_of(payment)["payment_method"] == "pm_card_visa"


def test_decline_of_a_confirmation_with_the_secret_key_fails_the_payment(shop: Merchant) -> None:
    payment_id = shop.create("pm_card_declined", confirm=False)["payment_id"]
    answer = shop.do(payment_id, "confirm")
    assert (answer.status, answer["status"]) == (200, "failed")


@pytest.mark.parametrize("payment_method", ["pm_card_3ds", "pm_wallet"])
@pytest.mark.parametrize(
    ("capture_strategy", "decision", "status"),
    [("automatic", "approve", "captured"), ("manual", "approve", "authorized"), ("automatic", "refuse", "failed")],
)
def test_customers_action_decides(
    shop: Merchant, platform: Platform, payment_method: str, capture_strategy: str, decision: str, status: str
) -> None:
    created = shop.create(payment_method, capture_strategy=capture_strategy)
    assert created.status == 202
    payment = created.json
    assert payment["status"] == "pending"
    assert payment["next_action"]["type"] == "redirect"
    assert payment["pending_operation"]["operation"] == "authorize"
    assert payment["pending_operation"]["reason"] == "processing"
    platform.customer_decides(payment, decision)
    confirmed = shop.do(payment["payment_id"], "confirm")
    assert (confirmed.status, confirmed["status"], confirmed["next_action"]) == (200, status, None)
    assert shop.payment(payment["payment_id"])["status"] == status
    assert "payment.action_required" in shop.event_types(payment["payment_id"])


def test_confirmation_before_the_customer_has_acted_changes_nothing(shop: Merchant, platform: Platform) -> None:
    payment = shop.create("pm_card_3ds").json
    early = shop.do(payment["payment_id"], "confirm")
    assert (early.status, early["status"]) == (202, "pending")
    assert early["next_action"] == payment["next_action"]
    assert len(platform.charges(payment_reference=payment["order_id"])) == 1


def test_slow_rail_is_pending_and_its_approval_is_found_out(shop: Merchant) -> None:
    created = shop.create("pm_card_async")
    assert (created.status, created["status"], created["next_action"]) == (202, "pending", None)
    payment = shop.wait_for_status(created["payment_id"], "captured")
    assert shop.event_types(payment["payment_id"]) == ["payment.created", "payment.captured"]


def test_slow_rail_may_decline(shop: Merchant) -> None:
    created = shop.create("pm_card_async_fails")
    assert created.status == 202
    assert shop.wait_for_status(created["payment_id"], "failed")["failure"]["code"] == "card_declined"


@pytest.mark.parametrize(("capture_strategy", "status"), [("automatic", "captured"), ("manual", "authorized")])
def test_partial_authorization_is_shown_as_it_is(shop: Merchant, capture_strategy: str, status: str) -> None:
    payment = shop.create("pm_card_partial", capture_strategy=capture_strategy).json
    assert (payment["status"], payment["amount"]["value"], payment["amounts"]["authorized"]) == (status, 10_000, 5_000)
    if status == "authorized":
        payment = shop.do(payment["payment_id"], "capture").json
    assert payment["amounts"]["captured"] == 5_000
    assert shop.accounts()["customer_funds_in_transit"] == 5_000


@pytest.mark.parametrize(
    ("currency", "value", "fee"),
    [("JPY", 5_000, 175), ("USD", 4_999, 175), ("KWD", 12_345, 388), ("EUR", 1, 1), ("USD", 999_999_999_999, None)],
)
def test_currency_with_its_own_decimals_goes_through_in_minor_units(
    shop: Merchant, platform: Platform, currency: str, value: int, fee: int | None
) -> None:
    payment = shop.create(value=value, currency=currency).json
    assert (payment["status"], payment["amount"]) == ("captured", {"value": value, "currency": currency})
    charge = platform.charge_of(payment)
    assert (charge["currency"], charge["amount_captured"]) == (currency, value)
    fee = (value * 290 + 5_000) // 10_000 + 30 if fee is None else fee
    booked = {"customer_funds_in_transit": value, "platform_fee_revenue": fee, "merchant_payable": value - fee}
    assert shop.accounts(currency) == {account: minor for account, minor in booked.items() if minor}
    refund = shop.do(payment["payment_id"], "refunds", value=value, currency=currency)
    assert (refund.status, refund["status"]) == (200, "succeeded")
    assert platform.charge_of(payment)["amount_refunded"] == value


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"currency": "XAU"}, 422, "unsupported_currency", "/amount/currency"),
        ({"currency": "ZZZ"}, 422, "unsupported_currency", "/amount/currency"),
        ({"currency": "usd"}, 400, "invalid_request", "/amount/currency"),
        ({"value": 0}, 400, "invalid_request", "/amount/value"),
        ({"value": -1}, 400, "invalid_request", "/amount/value"),
        ({"value": 1_000_000_000_000}, 400, "invalid_request", "/amount/value"),
        ({"value": 10.5}, 400, "invalid_request", "/amount/value"),
        ({"value": True}, 400, "invalid_request", "/amount/value"),
        ({"value": "100"}, 400, "invalid_request", "/amount/value"),
        ({"payment_method": None}, 400, "invalid_request", "/payment_method"),
        ({"capture_strategy": "later"}, 400, "invalid_request", "/capture_strategy"),
        ({"psp": "nobody"}, 422, "unknown_psp", "/psp"),
        ({"colour": "red"}, 400, "invalid_request", None),
        ({"order_id": ""}, 400, "invalid_request", "/order_id"),
        ({"metadata": {f"k{n}": "v" for n in range(51)}}, 400, "invalid_request", "/metadata"),
    ],
)
def test_bad_value_is_refused_at_its_place_and_nothing_is_charged(
    shop: Merchant, platform: Platform, fields: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    wanted: dict[str, Any] = {"order_id": f"ord_{shop.merchant_id}"} | fields
    answer = shop.create(**wanted)
    assert (answer.status, answer.code) == (status, code)
    assert param is None or answer["param"] == param
    assert platform.charges(payment_reference=f"ord_{shop.merchant_id}") == []
    assert shop.get("/payments").json["data"] == []
