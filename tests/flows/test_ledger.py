"""The ledger as merchants read it: balance, accounts, journals, trial balance now and at any past moment."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.platform import Merchant


def test_capture_and_refund_are_posted_as_the_table_says(shop: Merchant) -> None:
    payment_id = shop.create()["payment_id"]
    shop.do(payment_id, "refunds", value=3_000)
    journals = {j["kind"]: j for j in shop.get("/ledger/journals", payment_id=payment_id).json["data"]}
    assert set(journals) == {"capture", "refund"}

    def lines(kind: str) -> list[tuple[str, int, int]]:
        return [(entry["account"], entry["debit"], entry["credit"]) for entry in journals[kind]["entries"]]

    assert lines("capture") == [
        ("customer_funds_in_transit", 10_000, 0),
        ("merchant_payable", 0, 9_680),
        ("platform_fee_revenue", 0, 320),
    ]
    assert lines("refund") == [("merchant_payable", 3_000, 0), ("customer_funds_in_transit", 0, 3_000)]
    attempts = [
        item["id"] for item in shop.get(f"/payments/{payment_id}/timeline").json["data"] if item["type"] == "attempt"
    ]
    assert [journals[kind]["correlation_id"] for kind in ("capture", "refund")] == attempts
    assert all(j["currency"] == "USD" and j["payment_id"] == payment_id for j in journals.values())


def test_accounts_show_both_sides_and_the_balance_on_the_normal_one(shop: Merchant) -> None:
    shop.do(shop.create()["payment_id"], "refunds", value=3_000)
    rows = {row.pop("account"): row for row in shop.get("/ledger/accounts").json["data"]}
    assert rows == {
        "customer_funds_in_transit": {
            "type": "asset",
            "transit": True,
            "currency": "USD",
            "debits": 10_000,
            "credits": 3_000,
            "balance": 7_000,
        },
        "merchant_payable": {
            "type": "liability",
            "transit": False,
            "currency": "USD",
            "debits": 3_000,
            "credits": 9_680,
            "balance": 6_680,
        },
        "platform_fee_revenue": {
            "type": "revenue",
            "transit": False,
            "currency": "USD",
            "debits": 0,
            "credits": 320,
            "balance": 320,
        },
    }


def test_balance_shows_what_is_owed_what_is_on_its_way_and_what_could_be_paid_out(shop: Merchant) -> None:
    shop.create()
    shop.create(value=5_000, currency="JPY")
    assert shop.get("/balance").json == {
        "payable": [{"value": 4_825, "currency": "JPY"}, {"value": 9_680, "currency": "USD"}],
        "in_transit": [{"value": 5_000, "currency": "JPY"}, {"value": 10_000, "currency": "USD"}],
        "available": [{"value": 0, "currency": "JPY"}, {"value": 0, "currency": "USD"}],
    }


def test_merchant_without_payments_has_an_empty_ledger(shop: Merchant) -> None:
    assert shop.get("/balance").json == {"payable": [], "in_transit": [], "available": []}
    assert shop.get("/ledger/accounts").json == {"data": []}
    assert shop.get("/ledger/trial_balance").json["accounts"] == []
    assert shop.get("/ledger/journals").json == {"data": [], "has_more": False, "next_cursor": None}


def test_trial_balance_is_right_at_any_past_moment(shop: Merchant) -> None:
    payment_id = shop.create()["payment_id"]
    shop.do(payment_id, "refunds", value=3_000)
    shop.create(value=500, currency="EUR")
    now = shop.get("/ledger/trial_balance").json
    assert now["totals"] == {"USD": {"debits": 13_000, "credits": 13_000}, "EUR": {"debits": 500, "credits": 500}}
    journals = {j["kind"]: j for j in shop.get("/ledger/journals", payment_id=payment_id).json["data"]}
    captured_at = datetime.fromisoformat(journals["capture"]["created_at"])
    for at, balance in (
        (captured_at - timedelta(microseconds=1), None),
        (captured_at, 9_680),
        (datetime.fromisoformat(journals["refund"]["created_at"]) - timedelta(microseconds=1), 9_680),
        (datetime.fromisoformat(journals["refund"]["created_at"]), 6_680),
    ):
        then = shop.get("/ledger/trial_balance", at=at.isoformat()).json
        rows = {(r["account"], r["currency"]): r["balance"] for r in then["accounts"]}
        assert rows.get(("merchant_payable", "USD")) == balance
        assert all(sums["debits"] == sums["credits"] for sums in then["totals"].values())
    latest = shop.get("/ledger/trial_balance", at=(captured_at + timedelta(days=1)).isoformat()).json
    assert latest["accounts"] == now["accounts"]


@pytest.mark.parametrize("at", ["2026-11-23T12:00:00", "now"])
def test_moment_without_its_offset_is_refused(shop: Merchant, at: str) -> None:
    answer = shop.get("/ledger/trial_balance", at=at)
    assert (answer.status, answer.code, answer["param"]) == (400, "invalid_request", "/at")


def test_journals_page_through_everything_newest_first(shop: Merchant) -> None:
    payments = [shop.create()["payment_id"] for _ in range(3)]
    shop.do(payments[0], "refunds", value=100)
    seen: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = shop.get("/ledger/journals", **query).json
        seen += page["data"]
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    assert [(j["payment_id"], j["kind"]) for j in seen] == [
        (payments[0], "refund"),
        (payments[2], "capture"),
        (payments[1], "capture"),
        (payments[0], "capture"),
    ]
    of_one = shop.get("/ledger/journals", payment_id=payments[0], limit=1).json
    rest = shop.get("/ledger/journals", payment_id=payments[0], cursor=of_one["next_cursor"]).json
    assert [j["kind"] for j in of_one["data"] + rest["data"]] == ["refund", "capture"]
    assert (of_one["has_more"], rest["has_more"]) == (True, False)
