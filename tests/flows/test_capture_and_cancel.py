"""Capture and cancel: what becomes of an authorization."""

from typing import Any

import pytest

from tests.support.platform import Merchant, Platform


def authorized(shop: Merchant, value: int = 10_000, payment_method: str = "pm_card_visa", **fields: Any) -> str:
    """A new authorization's payment id."""
    return shop.create(payment_method, value, capture_strategy="manual", **fields)["payment_id"]


def test_capture_without_amount_takes_what_is_left(shop: Merchant, platform: Platform) -> None:
    payment_id = authorized(shop)
    answer = shop.do(payment_id, "capture")
    assert (answer.status, answer["status"]) == (200, "captured")
    assert answer["amounts"]["captured"] == 10_000
    assert platform.charge_of(answer.json)["amount_captured"] == 10_000
    assert shop.event_types(payment_id) == ["payment.created", "payment.authorized", "payment.captured"]


def test_partial_capture_releases_the_rest_unless_told_otherwise(shop: Merchant, platform: Platform) -> None:
    payment = shop.do(authorized(shop), "capture", value=6_000).json
    assert payment["status"] == "captured"
    assert (payment["amounts"]["captured"], payment["amounts"]["capturable"]) == (6_000, 0)
    charge = platform.charge_of(payment)
    assert (charge["amount_captured"], charge["amount_released"]) == (6_000, 4_000)
    again = shop.do(payment["payment_id"], "capture", value=1)
    assert (again.status, again.code) == (409, "invalid_state")


def test_several_captures_add_up_and_the_last_releases(shop: Merchant, platform: Platform) -> None:
    payment_id = authorized(shop)
    for value, final, captured, capturable in (
        (3_000, False, 3_000, 7_000),
        (2_000, False, 5_000, 5_000),
        (1_000, True, 6_000, 0),
    ):
        payment = shop.do(payment_id, "capture", value=value, final=final).json
        assert payment["status"] == "captured"
        assert (payment["amounts"]["captured"], payment["amounts"]["capturable"]) == (captured, capturable)
    charge = platform.charge_of(shop.payment(payment_id))
    assert (charge["amount_captured"], charge["amount_released"]) == (6_000, 4_000)
    assert shop.event_types(payment_id)[2:] == ["payment.captured"] * 3


def test_capture_above_what_is_left_is_refused_and_moves_nothing(shop: Merchant, platform: Platform) -> None:
    payment_id = authorized(shop)
    shop.do(payment_id, "capture", value=6_000, final=False)
    answer = shop.do(payment_id, "capture", value=4_001)
    assert (answer.status, answer.code, answer["param"]) == (422, "amount_too_large", "/amount/value")
    assert platform.charge_of(shop.payment(payment_id))["amount_captured"] == 6_000


def test_capture_in_another_currency_is_refused(shop: Merchant) -> None:
    answer = shop.do(authorized(shop), "capture", value=100, currency="EUR")
    assert (answer.status, answer.code, answer["param"]) == (422, "currency_mismatch", "/amount/currency")


@pytest.mark.parametrize("made", ["captured", "unconfirmed", "canceled"])
def test_what_is_no_authorization_cannot_be_captured(shop: Merchant, made: str) -> None:
    payment_id = shop.create(confirm=made == "captured")["payment_id"]
    if made == "canceled":
        shop.do(payment_id, "cancel")
    answer = shop.do(payment_id, "capture")
    assert (answer.status, answer.code) == (409, "invalid_state")


def test_declined_capture_leaves_the_authorization_as_it_was(shop: Merchant, platform: Platform) -> None:
    payment_id = authorized(shop, payment_method="pm_card_capture_fails")
    answer = shop.do(payment_id, "capture", value=4_000)
    assert (answer.status, answer["status"]) == (200, "authorized")
    assert answer["failure"]["code"] == "capture_failed"
    assert answer["amounts"]["capturable"] == 10_000
    assert platform.charge_of(answer.json)["amount_captured"] == 0
    assert shop.event_types(payment_id)[-1] == "payment.capture_failed"
    assert shop.accounts() == {}
    canceled = shop.do(payment_id, "cancel")
    assert (canceled["status"], canceled["failure"]) == ("canceled", None)


def test_automatic_payment_whose_capture_is_refused_stays_authorized(shop: Merchant) -> None:
    payment = shop.create("pm_card_capture_fails").json
    assert payment["status"] == "authorized"
    assert shop.accounts() == {}


def test_slow_capture_is_pending_and_shown_as_such(shop: Merchant) -> None:
    payment_id = authorized(shop, metadata={"simulate": "capture:async"})
    answer = shop.do(payment_id, "capture", value=4_000)
    assert (answer.status, answer["status"]) == (202, "authorized")
    pending = answer["pending_operation"]
    assert (pending["operation"], pending["amount"], pending["reason"]) == ("capture", 4_000, "processing")
    assert (answer["amounts"]["captured"], answer["amounts"]["capturable"]) == (0, 6_000)
    beside = shop.do(payment_id, "cancel")
    assert (beside.status, beside.code) == (409, "attempt_in_progress")
    assert shop.wait_for_status(payment_id, "captured")["amounts"]["captured"] == 4_000


def test_platform_fee_over_several_captures_is_the_fee_of_all_less_what_was_taken(platform: Platform) -> None:
    shop = platform.merchant(fee_basis_points=290, fee_fixed_minor=30)
    payment_id = authorized(shop, 100_000)
    captured = taken = 0
    for value in (10, 25, 50, 1_017, 33_333, 1):
        captured += value
        shop.do(payment_id, "capture", value=value, final=False)
        fee = min(captured, (captured * 290 + 5_000) // 10_000 + 30)
        entries = _newest_journal(shop, payment_id)
        assert entries.pop("customer_funds_in_transit") == value
        assert entries.pop("platform_fee_revenue", 0) == -(fee - taken)
        assert entries.pop("merchant_payable", 0) == -(value - (fee - taken))
        assert entries == {}
        taken = fee
    assert shop.accounts() == {
        "customer_funds_in_transit": captured,
        "merchant_payable": captured - taken,
        "platform_fee_revenue": taken,
    }


@pytest.mark.parametrize(
    ("terms", "value", "fee"),
    [
        ({"fee_basis_points": 290, "fee_fixed_minor": 30}, 10_000, 320),
        ({"fee_basis_points": 250, "fee_fixed_minor": 0}, 20, 1),
        ({"fee_basis_points": 249, "fee_fixed_minor": 0}, 20, 0),
        ({"fee_basis_points": 0, "fee_fixed_minor": 0}, 10_000, 0),
        ({"fee_basis_points": 10_000, "fee_fixed_minor": 0}, 500, 500),
        ({"fee_basis_points": 0, "fee_fixed_minor": 1_000}, 500, 500),
    ],
)
def test_platform_fee_is_rounded_half_up_and_never_above_the_amount(
    platform: Platform, terms: dict[str, Any], value: int, fee: int
) -> None:
    shop = platform.merchant(**terms)
    shop.create(value=value)
    accounts = {"customer_funds_in_transit": value, "merchant_payable": value - fee, "platform_fee_revenue": fee}
    assert shop.accounts() == {account: minor for account, minor in accounts.items() if minor}


def test_cancel_gives_the_authorization_back(shop: Merchant, platform: Platform) -> None:
    payment_id = authorized(shop)
    answer = shop.do(payment_id, "cancel")
    assert (answer.status, answer["status"]) == (200, "canceled")
    assert (answer["amounts"]["authorized"], answer["amounts"]["capturable"]) == (10_000, 0)
    assert platform.charge_of(answer.json)["amount_released"] == 10_000
    assert shop.event_types(payment_id)[-1] == "payment.canceled"
    for verb in ("cancel", "capture", "confirm", "refunds"):
        assert shop.do(payment_id, verb).code == "invalid_state", verb
    assert shop.accounts() == {}


def test_cancel_after_a_partial_capture_releases_the_rest_only(shop: Merchant, platform: Platform) -> None:
    payment_id = authorized(shop)
    shop.do(payment_id, "capture", value=6_000, final=False)
    answer = shop.do(payment_id, "cancel")
    assert (answer.status, answer["status"]) == (200, "captured")
    assert (answer["amounts"]["captured"], answer["amounts"]["capturable"]) == (6_000, 0)
    charge = platform.charge_of(answer.json)
    assert (charge["amount_captured"], charge["amount_released"]) == (6_000, 4_000)


def test_cancel_of_an_unconfirmed_payment_needs_no_psp(shop: Merchant, platform: Platform) -> None:
    created = shop.create(confirm=False)
    answer = shop.do(created["payment_id"], "cancel")
    assert (answer.status, answer["status"]) == (200, "canceled")
    assert platform.charges(payment_reference=created["order_id"]) == []
    assert shop.event_types(created["payment_id"]) == ["payment.created", "payment.canceled"]


@pytest.mark.parametrize("payment_method", ["pm_card_3ds", "pm_wallet"])
def test_cancel_while_the_customers_action_is_awaited_ends_the_wait(
    shop: Merchant, platform: Platform, payment_method: str
) -> None:
    payment = shop.create(payment_method).json
    answer = shop.do(payment["payment_id"], "cancel")
    assert (answer.status, answer["status"], answer["next_action"]) == (200, "canceled", None)
    charge = platform.charge_of(payment)
    assert (charge["amount_authorized"], charge["status"]) == (0, charge["status"])
    assert charge["operations"][-1]["kind"] == "cancel"
    confirmed = shop.do(payment["payment_id"], "confirm")
    assert (confirmed.status, confirmed.code) == (409, "invalid_state")


def test_cancel_that_comes_after_the_customers_approval_releases_or_is_refused(
    shop: Merchant, platform: Platform
) -> None:
    payment = shop.create("pm_card_3ds").json
    platform.customer_decides(payment, "approve")
    answer = shop.do(payment["payment_id"], "cancel")
    assert answer.status in (200, 202)
    settled = shop.wait_for_status(payment["payment_id"], "captured", "canceled")
    charge = platform.charge_of(payment)
    assert settled["amounts"]["captured"] == charge["amount_captured"] == 10_000


def test_cancel_after_the_customers_approval_of_a_manual_payment_gives_the_money_back(
    shop: Merchant, platform: Platform
) -> None:
    payment = shop.create("pm_card_3ds", capture_strategy="manual").json
    platform.customer_decides(payment, "approve")
    shop.do(payment["payment_id"], "cancel")
    settled = shop.wait_for_status(payment["payment_id"], "canceled")
    charge = platform.charge_of(payment)
    assert (charge["amount_captured"], charge["amount_released"]) == (0, 10_000)
    assert settled["amounts"]["capturable"] == 0


def test_cancel_of_a_captured_payment_is_refused(shop: Merchant) -> None:
    answer = shop.do(shop.create()["payment_id"], "cancel")
    assert (answer.status, answer.code) == (409, "invalid_state")


def test_declined_cancel_leaves_the_authorization_as_it_was(shop: Merchant, platform: Platform) -> None:
    payment_id = authorized(shop, metadata={"simulate": "cancel:fails"})
    answer = shop.do(payment_id, "cancel")
    assert (answer.status, answer["status"], answer["failure"]["code"]) == (200, "authorized", "cancel_failed")
    assert platform.charge_of(answer.json)["amount_released"] == 0
    assert shop.do(payment_id, "capture")["status"] == "captured"


def _newest_journal(shop: Merchant, payment_id: str) -> dict[str, int]:
    """Debits less credits by account."""
    journals = shop.get("/ledger/journals", payment_id=payment_id).json["data"]
    newest = max(journals, key=lambda journal: journal["created_at"])
    assert newest["kind"] == "capture"
    return {entry["account"]: entry["debit"] - entry["credit"] for entry in newest["entries"]}
