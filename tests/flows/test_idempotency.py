"""One key, one effect, one reply: what a client that repeats itself is told."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from bezant.idempotency.keys import expire_keys
from tests.support.databases import run_sql
from tests.support.platform import Answer, Merchant, Platform
from tests.support.waiting import wait_until


def order(payment_method: str = "pm_card_visa", **fields: Any) -> dict[str, Any]:
    """The body of a new payment."""
    return {"order_id": "o", "amount": {"value": 100, "currency": "USD"}, "payment_method": payment_method} | fields


@pytest.mark.parametrize("payment_method", ["pm_card_visa", "pm_card_declined"])
def test_repeat_is_replayed_byte_for_byte_and_charges_once(
    shop: Merchant, platform: Platform, payment_method: str
) -> None:
    body = order(payment_method, order_id=f"ord-{shop.merchant_id}-{payment_method}")
    first = shop.call("POST", "/payments", body, "key")
    assert (first.status, first.replayed) == (200, False)
    for _ in range(3):
        again = shop.call("POST", "/payments", body, "key")
        assert (again.status, again.replayed) == (200, True)
        assert again.body == first.body
        assert again.headers["request-id"] != first.headers["request-id"]
    assert len(platform.charges(payment_reference=body["order_id"])) == 1
    assert len(shop.get("/payments").json["data"]) == 1


def test_replay_is_the_first_reply_even_when_the_payment_has_moved_on(shop: Merchant) -> None:
    body = order(capture_strategy="manual")
    first = shop.call("POST", "/payments", body, "key")
    shop.do(first["payment_id"], "capture")
    assert shop.call("POST", "/payments", body, "key").body == first.body
    assert shop.payment(first["payment_id"])["status"] == "captured"


@pytest.mark.parametrize("verb", ["capture", "cancel", "refunds", "confirm"])
def test_every_command_is_repeated_without_a_second_effect(shop: Merchant, platform: Platform, verb: str) -> None:
    if verb == "refunds":
        payment = shop.create(value=1_000).json
    else:
        payment = shop.create(value=1_000, capture_strategy="manual", confirm=verb != "confirm").json
    body = {"value": 300, "final": False} if verb == "capture" else {"value": 300} if verb == "refunds" else {}
    first = shop.do(payment["payment_id"], verb, "key", **body)
    again = shop.do(payment["payment_id"], verb, "key", **body)
    assert (first.status, again.status, again.replayed) == (200, 200, True)
    assert again.body == first.body
    kinds = [operation["kind"] for operation in platform.charge_of(payment)["operations"]]
    assert kinds.count("authorize" if verb == "confirm" else verb.removesuffix("s")) == 1


def test_payment_that_needs_no_psp_is_replayed_too(shop: Merchant) -> None:
    body = order(confirm=False)
    first = shop.call("POST", "/payments", body, "key")
    again = shop.call("POST", "/payments", body, "key")
    assert (again.body, again.replayed) == (first.body, True)
    canceled = shop.do(first["payment_id"], "cancel", "cancel-key")
    assert shop.do(first["payment_id"], "cancel", "cancel-key").body == canceled.body


def test_refusal_by_the_state_is_stored_and_replayed(shop: Merchant) -> None:
    payment_id = shop.create(confirm=False)["payment_id"]
    first = shop.do(payment_id, "capture", "key")
    assert (first.status, first.code) == (409, "invalid_state")
    shop.do(payment_id, "confirm", payment_method="pm_card_visa")
    again = shop.do(payment_id, "capture", "key")
    assert (again.status, again.replayed, again.body) == (409, True, first.body)
    assert again.headers["content-type"] == "application/problem+json"


def test_refusal_by_a_business_rule_is_stored_and_replayed(shop: Merchant) -> None:
    payment_id = shop.create(value=1_000)["payment_id"]
    shop.do(payment_id, "refunds", value=600)
    first = shop.do(payment_id, "refunds", "key", value=500)
    assert (first.status, first.code) == (422, "amount_too_large")
    again = shop.do(payment_id, "refunds", "key", value=500)
    assert (again.status, again.replayed, again.body) == (422, True, first.body)
    unsupported = shop.call("POST", "/payments", order(amount={"value": 1, "currency": "XAU"}), "xau")
    assert shop.call("POST", "/payments", order(amount={"value": 1, "currency": "XAU"}), "xau").body == unsupported.body


def test_request_that_was_not_understood_leaves_its_key_free(shop: Merchant) -> None:
    for bad in (b"{", json.dumps(order(colour="red")).encode(), b""):
        answer = shop.call("POST", "/payments", bad, "key")
        assert (answer.status, answer.code, answer.replayed) == (400, "invalid_request", False)
    assert shop.call("POST", "/payments", order(), "key").status == 200


def test_request_that_was_not_let_in_leaves_its_key_free(shop: Merchant, platform: Platform) -> None:
    path = f"/payments/pay_{'0' * 32}/capture"
    assert shop.call("POST", path, {}, "key").status == 404
    unauthorized = shop.call("POST", "/payments", order(), "key", bearer="sk_wrong")
    forbidden = shop.call("POST", "/payments", order(), "key", bearer=shop.publishable_key)
    media = shop.call("POST", "/payments", order(), "key", headers={"Content-Type": "text/plain"})
    large = shop.call("POST", "/payments", order(description="x" * 70_000), "key")
    assert [a.status for a in (unauthorized, forbidden, media, large)] == [401, 403, 415, 413]
    answer = shop.call("POST", "/payments", order(), "key")
    assert (answer.status, answer.replayed) == (200, False)
    stored = platform.sql("SELECT count(*) FROM idempotency_keys WHERE merchant_id = $1", _row_id(shop))
    assert stored == [(1,)]


def test_confirmation_without_a_payment_method_may_be_repeated_with_one_under_the_same_key(shop: Merchant) -> None:
    payment_id = shop.create(None, confirm=False)["payment_id"]
    assert shop.do(payment_id, "confirm", "key").status == 400
    assert shop.do(payment_id, "confirm", "key", payment_method="pm_card_visa")["status"] == "captured"


def test_refusal_while_an_attempt_is_open_is_not_stored(shop: Merchant) -> None:
    payment_id = shop.create(capture_strategy="manual", metadata={"simulate": "capture:async"})["payment_id"]
    shop.do(payment_id, "capture", value=100, final=False)
    busy = shop.do(payment_id, "cancel", "key")
    assert (busy.status, busy.code) == (409, "attempt_in_progress")
    assert int(busy.headers["retry-after"]) >= 1
    shop.wait_for_status(payment_id, "captured")
    again = shop.do(payment_id, "cancel", "key")
    assert (again.status, again.replayed, again["amounts"]["capturable"]) == (200, False, 0)


def test_same_key_with_another_body_is_refused_and_changes_nothing(shop: Merchant) -> None:
    first = shop.call("POST", "/payments", order(), "key")
    other = shop.call("POST", "/payments", order(order_id="another"), "key")
    assert (other.status, other.code, other.replayed) == (422, "idempotency_key_reused", False)
    assert shop.call("POST", "/payments", order(), "key").body == first.body
    assert len(shop.get("/payments").json["data"]) == 1


def test_same_key_on_another_path_or_of_another_merchant_is_another_key(shop: Merchant, platform: Platform) -> None:
    body = order(capture_strategy="manual")
    one = shop.call("POST", "/payments", body, "key")
    other = platform.merchant().call("POST", "/payments", body, "key")
    assert (other.status, other.replayed) == (200, False)
    assert other["payment_id"] != one["payment_id"]
    for _ in range(2):
        payment_id = shop.create(capture_strategy="manual")["payment_id"]
        captured = shop.do(payment_id, "capture", "key")
        assert (captured.status, captured.replayed, captured["payment_id"]) == (200, False, payment_id)


@pytest.mark.parametrize("key", ["~" * 128, 'quo"te', "a b", "0"])
def test_key_of_any_printable_characters_is_its_own(shop: Merchant, key: str) -> None:
    first = shop.call("POST", "/payments", order(), key)
    if not key.strip():
        assert (first.status, first.code) == (
            400,
            "idempotency_key_invalid",
        )  # an empty header, once HTTP has trimmed it
        return
    assert (first.status, shop.call("POST", "/payments", order(), key).replayed) == (200, True)


@pytest.mark.parametrize(
    ("verb", "made"),
    [
        ("create", {}),
        ("capture", {"capture_strategy": "manual"}),
        ("cancel", {"capture_strategy": "manual"}),
        ("refunds", {}),
    ],
)
def test_key_is_in_use_while_the_first_request_is_being_served(
    shop: Merchant, platform: Platform, verb: str, made: dict[str, Any]
) -> None:
    def send() -> Answer:
        if verb == "create":
            return shop.call("POST", "/payments", order("pm_card_slow_2s", order_id=f"slow-{shop.merchant_id}"), "key")
        return shop.do(payment_id, verb, "key")

    words = f"{verb.removesuffix('s')}:slow_2s"
    payment_id = "" if verb == "create" else shop.create(metadata={"simulate": words}, **made)["payment_id"]
    first, repeats = _while_in_flight(platform, shop, send)
    assert (first.status, first.replayed) == (200, False)
    assert repeats
    for repeat in repeats:
        assert (repeat.status, repeat.code) == (409, "idempotency_key_in_use")
        assert int(repeat.headers["retry-after"]) >= 1
    again = send()
    assert (again.status, again.replayed, again.body) == (200, True, first.body)


def test_other_body_under_a_key_in_flight_is_refused_as_another_request(shop: Merchant, platform: Platform) -> None:
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(shop.call, "POST", "/payments", order("pm_card_slow_2s"), "key")
        _wait_for_key(platform, shop)
        other = shop.call("POST", "/payments", order(), "key")
        assert (other.status, other.code) == (422, "idempotency_key_reused")
        assert first.result().status == 200


def test_after_a_202_a_repeat_shows_the_current_state(shop: Merchant, platform: Platform) -> None:
    body = order("pm_card_3ds")
    first = shop.call("POST", "/payments", body, "key")
    assert (first.status, first["status"]) == (202, "pending")
    pending = shop.call("POST", "/payments", body, "key")
    assert (pending.status, pending["status"], pending["payment_id"]) == (202, "pending", first["payment_id"])
    platform.customer_decides(first.json, "approve")
    done = shop.call("POST", "/payments", body, "key")
    assert (done.status, done["status"], done["payment_id"]) == (200, "captured", first["payment_id"])
    assert len(shop.get("/payments").json["data"]) == 1


def test_after_a_202_of_a_refund_a_repeat_shows_the_refund_as_it_is(shop: Merchant) -> None:
    payment_id = shop.create("pm_card_refund_async")["payment_id"]
    first = shop.do(payment_id, "refunds", "key", value=100)
    assert (first.status, first["status"]) == (202, "pending")
    done = wait_until(lambda: _done(shop.do(payment_id, "refunds", "key", value=100)), 20)
    assert (done["status"], done["refund_id"]) == ("succeeded", first["refund_id"])
    assert len(shop.get(f"/payments/{payment_id}/refunds").json["data"]) == 1


@pytest.mark.parametrize("payment_method", ["pm_card_500_after", "pm_card_500_before", "pm_card_reset_after"])
def test_repeat_after_an_unknown_outcome_finds_out_and_charges_once(
    shop: Merchant, platform: Platform, payment_method: str
) -> None:
    body = order(payment_method, order_id=f"ord-{shop.merchant_id}-{payment_method}")
    first = shop.call("POST", "/payments", body, "key")
    assert (first.status, first["pending_operation"]["reason"]) == (202, "unknown")
    done = wait_until(lambda: _done(shop.call("POST", "/payments", body, "key")), 20)
    assert (done["status"], done["payment_id"]) == ("captured", first["payment_id"])
    (charge,) = platform.charges(payment_reference=body["order_id"])
    assert charge["amount_captured"] == 100


def test_keys_are_forgotten_after_their_retention_and_not_before(shop: Merchant, platform: Platform) -> None:
    body = order()
    first = shop.call("POST", "/payments", body, "key")
    _age(platform, shop, "29 days 23 hours")
    platform.with_services(lambda s: expire_keys(s.database, 30))
    assert shop.call("POST", "/payments", body, "key").replayed
    _age(platform, shop, "2 hours")
    assert platform.with_services(lambda s: expire_keys(s.database, 30)) == 1
    again = shop.call("POST", "/payments", body, "key")
    assert not again.replayed
    assert again["payment_id"] != first["payment_id"]


def _done(answer: Answer) -> Answer | None:
    assert answer.status in (200, 202, 409), answer
    return answer if answer.status == 200 else None


def _row_id(shop: Merchant) -> UUID:
    return UUID(shop.merchant_id.partition("_")[2])


def _age(platform: Platform, shop: Merchant, by: str) -> None:
    """Let time pass for all that the merchant has, whatever triggers say."""
    aged = [
        f"UPDATE {table} SET created_at = created_at - interval '{by}' WHERE merchant_id = '{_row_id(shop)}'"
        for table in ("payments", "payment_attempts", "idempotency_keys")
    ]
    run_sql(platform.database_url, "SET session_replication_role = replica", *aged)


def _wait_for_key(platform: Platform, shop: Merchant) -> None:
    query = "SELECT 1 FROM idempotency_keys WHERE merchant_id = $1 AND idempotency_key = 'key' AND mode = 'in_flight'"
    wait_until(lambda: platform.sql(query, _row_id(shop)), 10, "the key to be claimed")


def _while_in_flight(platform: Platform, shop: Merchant, send: Callable[[], Answer]) -> tuple[Answer, list[Answer]]:
    """The reply to a slow request, and those to its repeats while it was in flight."""
    done = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(send)
        first.add_done_callback(lambda _: done.set())
        _wait_for_key(platform, shop)
        repeats = [send() for _ in range(3)]
        assert not done.is_set()
        return first.result(), repeats
