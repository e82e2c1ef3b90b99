"""A browser: the publishable key and the payment's client secret, and nothing else of the merchant's."""

from typing import Any

import pytest

from tests.support.platform import Answer, Merchant, Platform

PUBLIC_FIELDS = {"payment_id", "status", "amount", "next_action", "failure", "created_at"}


def test_browser_sees_a_reduced_view_of_its_payment(shop: Merchant) -> None:
    payment = shop.create(confirm=False).json
    answer = _show(shop, payment["payment_id"], payment["client_secret"])
    assert answer.status == 200
    assert set(answer.json) == PUBLIC_FIELDS
    assert answer.headers["access-control-allow-origin"] == "*"


def test_browser_confirms_with_the_customers_card(shop: Merchant, platform: Platform) -> None:
    payment = shop.create(None, confirm=False).json
    answer = _confirm(shop, payment, "pm_card_visa")
    assert (answer.status, answer["status"]) == (200, "captured")
    assert set(answer.json) == PUBLIC_FIELDS
    assert platform.charge_of(payment)["amount_captured"] == 10_000
    assert shop.payment(payment["payment_id"])["payment_method"] == "pm_card_visa"


def test_replay_for_the_browser_is_the_reduced_view_byte_for_byte(shop: Merchant) -> None:
    payment = shop.create(None, confirm=False).json
    first = _confirm(shop, payment, "pm_card_visa", key="from-the-browser")
    again = _confirm(shop, payment, "pm_card_visa", key="from-the-browser")
    assert again.replayed
    assert again.body == first.body


def test_browsers_decline_leaves_the_payment_open_for_four_more_tries(shop: Merchant, platform: Platform) -> None:
    payment = shop.create(None, confirm=False).json
    payment_id = payment["payment_id"]
    for _ in range(4):
        answer = _confirm(shop, payment, "pm_card_declined")
        assert (answer.status, answer["status"]) == (200, "pending")
        assert answer["failure"]["code"] == "card_declined"
    fifth = _confirm(shop, payment, "pm_card_declined")
    assert (fifth.status, fifth["status"]) == (200, "failed")
    sixth = _confirm(shop, payment, "pm_card_visa")
    assert (sixth.status, sixth.code) == (409, "invalid_state")
    charges = platform.charges(payment_reference=payment["order_id"])
    assert [charge["amount_authorized"] for charge in charges] == [0] * 5
    assert shop.event_types(payment_id) == ["payment.created", *["payment.attempt_failed"] * 4, "payment.failed"]


def test_browsers_second_card_succeeds_after_the_first_was_declined(shop: Merchant) -> None:
    payment = shop.create("pm_card_declined", confirm=False).json
    assert _confirm(shop, payment, None)["status"] == "pending"
    answer = _confirm(shop, payment, "pm_card_visa")
    assert (answer["status"], answer["failure"]) == ("captured", None)
    assert shop.accounts()["customer_funds_in_transit"] == 10_000


def test_browser_confirms_after_the_customers_action(shop: Merchant, platform: Platform) -> None:
    payment = shop.create(None, confirm=False).json
    asked = _confirm(shop, payment, "pm_card_3ds")
    assert (asked.status, asked["status"]) == (202, "pending")
    platform.customer_decides(asked.json, "refuse")
    refused = _confirm(shop, payment, None)
    assert (refused.status, refused["status"], refused["next_action"]) == (200, "pending", None)
    asked = _confirm(shop, payment, "pm_card_3ds")
    platform.customer_decides(asked.json, "approve")
    approved = _confirm(shop, payment, None)
    assert (approved.status, approved["status"]) == (200, "captured")
    assert set(approved.json) == PUBLIC_FIELDS


@pytest.mark.parametrize("secret", [None, "", "wrong", "of another"])
def test_wrong_client_secret_looks_like_no_payment(shop: Merchant, secret: str | None) -> None:
    payment = shop.create(confirm=False).json
    if secret == "of another":
        secret = shop.create(confirm=False)["client_secret"]
    shown = _show(shop, payment["payment_id"], secret)
    confirmed = shop.call(
        "POST",
        f"/payments/{payment['payment_id']}/confirm",
        {"client_secret": secret},
        bearer=shop.publishable_key,
    )
    for answer in (shown, confirmed):
        assert (answer.status, answer.code) == (404, "not_found")
    assert shop.payment(payment["payment_id"])["status"] == "pending"


def test_client_secret_opens_nothing_for_another_merchants_browser(shop: Merchant, platform: Platform) -> None:
    payment = shop.create(confirm=False).json
    assert _show(platform.merchant(), payment["payment_id"], payment["client_secret"]).status == 404
    assert _confirm(platform.merchant(), payment, None).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/payments"),
        ("GET", "/payments"),
        ("POST", "/payments/{}/capture"),
        ("POST", "/payments/{}/cancel"),
        ("POST", "/payments/{}/refunds"),
        ("GET", "/payments/{}/refunds"),
        ("GET", "/payments/{}/timeline"),
        ("GET", "/balance"),
        ("GET", "/ledger/accounts"),
        ("GET", "/events"),
        ("GET", "/attempts/stuck"),
    ],
)
def test_publishable_key_may_do_nothing_else(shop: Merchant, method: str, path: str) -> None:
    payment = shop.create(capture_strategy="manual").json
    body = {"client_secret": payment["client_secret"]} if method == "POST" else None
    answer = shop.call(method, path.format(payment["payment_id"]), body, bearer=shop.publishable_key)
    assert (answer.status, answer.code) == (403, "forbidden")
    assert shop.payment(payment["payment_id"])["status"] == "authorized"


def _show(shop: Merchant, payment_id: str, secret: str | None) -> Answer:
    query: dict[str, Any] = {} if secret is None else {"client_secret": secret}
    return shop.get(f"/payments/{payment_id}", bearer=shop.publishable_key, **query)


def _confirm(shop: Merchant, payment: dict[str, str], payment_method: str | None, key: str | None = None) -> Answer:
    body = {"client_secret": payment["client_secret"]}
    if payment_method is not None:
        body["payment_method"] = payment_method
    return shop.call("POST", f"/payments/{payment['payment_id']}/confirm", body, key, bearer=shop.publishable_key)
