"""Reads: one payment, lists with filters and pages, the timeline, events; and nothing of another merchant's."""

from itertools import pairwise
from typing import Any

import pytest

from tests.support.platform import Merchant, Platform
from tests.support.waiting import wait_until


def test_list_pages_through_everything_newest_first(shop: Merchant) -> None:
    made = [shop.create(value=100 + n)["payment_id"] for n in range(7)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    pages = 0
    while True:
        page = shop.get("/payments", **query).json
        seen += [payment["payment_id"] for payment in page["data"]]
        pages += 1
        assert page["has_more"] is (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == made[::-1]
    assert pages == 3


def test_page_is_not_moved_by_payments_made_meanwhile(shop: Merchant) -> None:
    made = [shop.create()["payment_id"] for _ in range(3)]
    first = shop.get("/payments", limit=1).json
    shop.create()
    second = shop.get("/payments", limit=2, cursor=first["next_cursor"]).json
    assert [payment["payment_id"] for payment in second["data"]] == [made[1], made[0]]
    assert not second["has_more"]


def test_each_filter_narrows_the_list_and_all_must_hold(shop: Merchant) -> None:
    captured = shop.create(order_id="order-a").json
    authorized = shop.create(order_id="order-a", capture_strategy="manual").json
    failed = shop.create("pm_card_declined", order_id="order-b").json

    def found(**query: Any) -> list[str]:
        return [payment["payment_id"] for payment in shop.get("/payments", **query).json["data"]]

    ids = {name: p["payment_id"] for name, p in (("c", captured), ("a", authorized), ("f", failed))}
    assert found(order_id="order-a") == [ids["a"], ids["c"]]
    assert found(status="failed") == [ids["f"]]
    assert found(psp_reference=captured["psp_reference"]) == [ids["c"]]
    assert found(created_gte=authorized["created_at"]) == [ids["f"], ids["a"]]
    assert found(created_lt=authorized["created_at"]) == [ids["c"]]
    assert found(created_gte=authorized["created_at"], created_lt=failed["created_at"]) == [ids["a"]]
    assert found(order_id="order-a", status="captured") == [ids["c"]]
    assert found(order_id="order-a", status="failed") == []
    assert found(psp_reference="ch_nobody") == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"status": "lost"}, "/status"),
        ({"limit": 0}, "/limit"),
        ({"limit": 101}, "/limit"),
        ({"cursor": "abc"}, "/cursor"),
        ({"created_gte": "yesterday"}, "/created_gte"),
        ({"created_lt": "2026-11-23T12:00:00"}, "/created_lt"),
        ({"colour": "red"}, None),
    ],
)
def test_query_that_is_not_understood_is_refused(shop: Merchant, query: dict[str, Any], param: str | None) -> None:
    answer = shop.get("/payments", **query)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert param is None or answer["param"] == param


def test_payment_is_shown_as_the_command_answered(shop: Merchant) -> None:
    created = shop.create(metadata={"a": "b"}, customer={"id": "c"}, description="d")
    shown = shop.get(f"/payments/{created['payment_id']}")
    assert (shown.status, shown.json) == (200, created.json)
    (listed,) = shop.get("/payments").json["data"]
    assert listed == created.json


def test_timeline_tells_everything_in_order(shop: Merchant) -> None:
    payment_id = shop.create(capture_strategy="manual")["payment_id"]
    shop.do(payment_id, "capture", value=6_000, final=False)
    shop.do(payment_id, "cancel")
    shop.do(payment_id, "refunds", value=1_000)
    items = shop.get(f"/payments/{payment_id}/timeline").json["data"]
    assert [item["at"] for item in items] == sorted(item["at"] for item in items)

    def names(kind: str) -> list[str]:
        return [item["name"] for item in items if item["type"] == kind]

    assert names("attempt") == ["authorize", "capture", "cancel", "refund"]
    assert all(item["status"] == "approved" for item in items if item["type"] == "attempt")
    assert names("journal") == ["capture", "refund"]
    assert names("event") == [
        "payment.created",
        "payment.authorized",
        "payment.captured",
        "payment.released",
        "refund.created",
        "refund.succeeded",
    ]
    assert names("event") == shop.event_types(payment_id)
    assert [name.split("/")[-1] for name in names("psp_request")] == ["charges", "capture", "cancel", "refunds"]
    statuses = [item["data"]["status"] for item in items if item["type"] == "event"]
    assert statuses == ["pending", "authorized", "captured", "captured", "refunding", "captured"]


def test_timeline_shows_a_decline_with_its_reason(shop: Merchant) -> None:
    payment_id = shop.create("pm_card_stolen")["payment_id"]
    (attempt,) = (
        item for item in shop.get(f"/payments/{payment_id}/timeline").json["data"] if item["type"] == "attempt"
    )
    assert (attempt["status"], attempt["failure"]["code"]) == ("declined", "stolen_card")


def test_events_come_in_order_and_go_on_after_the_last_one_read(shop: Merchant) -> None:
    payments = [shop.create()["payment_id"] for _ in range(3)]
    expected = [(payment, kind) for payment in payments for kind in ("payment.created", "payment.captured")]
    assert len(shop.events()) == len(expected)
    first = shop.get("/events", limit=4).json
    assert first["has_more"]
    rest = shop.get("/events", limit=4, after=first["data"][-1]["event_id"]).json
    assert not rest["has_more"]
    events = first["data"] + rest["data"]
    assert [(event["payment_id"], event["type"]) for event in events] == expected
    assert all(before["created_at"] <= after["created_at"] for before, after in pairwise(events))
    for event in events:
        assert shop.get(f"/events/{event['event_id']}").json == event
    assert shop.get("/events", after=events[-1]["event_id"]).json == {"data": [], "has_more": False}


def test_event_shows_the_payment_as_it_was_at_that_moment(shop: Merchant) -> None:
    payment_id = shop.create(capture_strategy="manual")["payment_id"]
    shop.do(payment_id, "capture", value=4_000)
    data = [event["data"] for event in shop.events(payment_id)]
    assert [(d["status"], d["amounts"]["captured"]) for d in data] == [
        ("pending", 0),
        ("authorized", 0),
        ("captured", 4_000),
    ]


@pytest.mark.parametrize("after", ["evt_0", "evt_" + "0" * 32, "pay_x", ""])
def test_events_after_one_that_does_not_exist_are_refused(shop: Merchant, after: str) -> None:
    answer = shop.get("/events", after=after)
    assert (answer.status, answer.code, answer["param"]) == (400, "invalid_request", "/after")


def test_nothing_of_another_merchant_is_seen_or_moved(shop: Merchant, platform: Platform) -> None:
    other = platform.merchant()
    payment = shop.create(capture_strategy="manual").json
    payment_id = payment["payment_id"]
    shop.do(payment_id, "capture", value=5_000, final=False)
    refund_id = shop.do(payment_id, "refunds", value=1_000)["refund_id"]
    before = shop.payment(payment_id)
    event_id = shop.events(payment_id)[0]["event_id"]
    attempt_id = next(
        item["id"] for item in shop.get(f"/payments/{payment_id}/timeline").json["data"] if item["type"] == "attempt"
    )
    missing = other.get(f"/payments/pay_{'0' * 32}").json
    for path in ("", "/refunds", "/timeline"):
        answer = other.get(f"/payments/{payment_id}{path}")
        assert (answer.status, answer.code) == (404, "not_found"), path
        assert {**answer.json, "request_id": None} == {**missing, "request_id": None}
    for verb in ("confirm", "capture", "cancel", "refunds"):
        answer = other.do(payment_id, verb)
        assert (answer.status, answer.code) == (404, "not_found"), verb
    assert other.get(f"/refunds/{refund_id}").status == 404
    assert other.get(f"/events/{event_id}").status == 404
    assert other.get("/events", after=event_id).status == 400
    resolve = other.call(
        "POST", f"/attempts/{attempt_id}/resolve", {"outcome": "approved", "reason": "mine", "psp_reference": "x"}
    )
    assert resolve.status == 404
    assert other.get("/payments", order_id=payment["order_id"]).json["data"] == []
    assert other.get("/payments", psp_reference=payment["psp_reference"]).json["data"] == []
    assert other.get("/ledger/journals", payment_id=payment_id).json["data"] == []
    assert other.events() == []
    assert other.accounts() == {}
    assert shop.payment(payment_id) == before


@pytest.mark.parametrize(
    "path", ["/payments/pay_1", "/payments/x", "/refunds/ref_1", "/events/evt_1", "/payments/ref_" + "0" * 32]
)
def test_id_of_no_known_form_is_simply_not_there(shop: Merchant, path: str) -> None:
    answer = shop.get(path)
    assert (answer.status, answer.code) == (404, "not_found")


def test_read_finds_out_what_the_psp_never_said(shop: Merchant, platform: Platform) -> None:
    payment = shop.create("pm_card_500_after").json
    assert payment["status"] == "pending"
    assert payment["pending_operation"]["reason"] == "unknown"
    settled = wait_until(lambda: _settled(shop, payment["payment_id"]), 20)
    assert settled["status"] == "captured"
    assert platform.charge_of(payment)["amount_captured"] == 10_000


def _settled(shop: Merchant, payment_id: str) -> Any:
    payment = shop.payment(payment_id)
    return payment if payment["status"] != "pending" else None
