"""What the PSP tells unasked, over HTTP to the books: nothing is ever looked up here, so only webhooks can decide."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.platform import Merchant, Platform, request, running_platform
from tests.support.waiting import wait_until

NEVER_S = "3600"


@pytest.fixture(scope="module")
def platform(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The simulator tells its webhooks; sync sleeps."""
    home = tmp_path_factory.mktemp("home")
    with running_platform(
        module_database_url, home, webhooks=True, env={"BEZANT_SYNC_INTERVAL_S": NEVER_S}
    ) as platform:
        yield platform


def test_payment_that_the_psp_decides_later_is_captured_by_its_webhook(shop: Merchant) -> None:
    created = shop.create("pm_card_async")
    assert (created.status, created["status"]) == (202, "pending")
    payment = told(shop, created.json, "captured")
    assert payment["amounts"]["captured"] == 10_000
    assert shop.accounts()["customer_funds_in_transit"] == 10_000
    assert shop.event_types(payment["payment_id"]) == ["payment.created", "payment.captured"]


@pytest.mark.parametrize("word", ["webhook_first", "webhook_twice", "webhook_shuffled"])
def test_webhook_and_answer_of_one_capture_post_once(shop: Merchant, word: str) -> None:
    payment = shop.create(f"pm_card_{word}").json
    told(shop, payment, "captured")
    heard_all(shop, payment)
    assert shop.accounts()["customer_funds_in_transit"] == 10_000
    assert shop.event_types(payment["payment_id"]) == ["payment.created", "payment.captured"]


def test_key_of_a_payment_that_its_webhook_decided_first_replays_its_own_reply(shop: Merchant) -> None:
    first = shop.create("pm_card_webhook_first", key="k", order_id="o")
    shop.do(first["payment_id"], "refunds")
    again = shop.create("pm_card_webhook_first", key="k", order_id="o")
    assert (again.status, again.body, again.replayed) == (200, first.body, True)


def test_lost_answer_is_made_good_by_the_webhook(shop: Merchant) -> None:
    created = shop.create("pm_card_timeout_after")
    assert (created.status, created["status"]) == (200, "captured")
    assert shop.accounts()["customer_funds_in_transit"] == 10_000


@pytest.mark.parametrize("method", ["pm_card_3ds", "pm_wallet"])
@pytest.mark.parametrize(("decision", "status"), [("approve", "captured"), ("refuse", "failed")])
def test_what_the_customer_decides_comes_by_webhook(
    shop: Merchant, platform: Platform, method: str, decision: str, status: str
) -> None:
    payment = shop.create(method, return_url="https://shop.example/thanks").json
    assert payment["next_action"]["type"] == "redirect"
    platform.customer_decides(payment, decision)
    assert told(shop, payment, status)["next_action"] is None


def test_page_that_is_announced_while_it_is_being_canceled_wakes_nobody(shop: Merchant) -> None:
    late = {"simulate": "authorize:webhook_shuffled cancel:slow_2s"}
    payment = shop.create("pm_card_3ds", metadata=late).json
    assert shop.do(payment["payment_id"], "cancel")["status"] == "canceled"
    heard_all(shop, payment)
    assert shop.payment(payment["payment_id"])["status"] == "canceled"


@pytest.mark.parametrize(("decision", "status"), [("approve", "captured"), ("refuse", "failed")])
def test_confirmation_after_a_quicker_webhook_shows_what_came_of_it(
    shop: Merchant, platform: Platform, decision: str, status: str
) -> None:
    payment = shop.create("pm_card_3ds").json
    platform.customer_decides(payment, decision)
    told(shop, payment, status)
    confirmed = shop.do(payment["payment_id"], "confirm", "back")
    assert (confirmed.status, confirmed["status"]) == (200, status)
    again = shop.do(payment["payment_id"], "confirm", "back")
    assert (again.body, again.replayed) == (confirmed.body, True)
    another_card = shop.do(payment["payment_id"], "confirm", payment_method="pm_card_visa")
    assert (another_card.status, another_card.code) == (409, "invalid_state")


def test_refund_that_the_psp_decides_later_succeeds_by_its_webhook(shop: Merchant) -> None:
    payment = shop.create("pm_card_refund_async").json
    refund = shop.do(payment["payment_id"], "refunds", value=4_000)
    assert (refund.status, refund["status"]) == (202, "pending")
    assert told(shop, payment, "captured")["amounts"]["refunded"] == 4_000
    assert shop.get(f"/refunds/{refund['refund_id']}")["status"] == "succeeded"
    assert shop.accounts()["customer_funds_in_transit"] == 6_000


def test_refund_that_comes_back_is_owed_to_the_merchant_again(shop: Merchant) -> None:
    payment = shop.create(metadata={"simulate": "refund:fails_later"}).json
    refund = shop.do(payment["payment_id"], "refunds", value=4_000)
    assert refund["status"] == "succeeded"
    wait_until(lambda: shop.get(f"/refunds/{refund['refund_id']}")["status"] == "failed", what="the refund to fail")
    assert shop.payment(payment["payment_id"])["amounts"]["refunded"] == 0
    assert shop.accounts()["customer_funds_in_transit"] == 10_000
    assert shop.event_types(payment["payment_id"])[-3:] == ["refund.created", "refund.succeeded", "refund.failed"]


def test_refund_made_in_the_dashboard_is_booked_once(shop: Merchant, platform: Platform) -> None:
    payment = shop.create().json
    dashboard(platform, payment, "refund", amount=3_000)
    shown = told(shop, payment, "captured", refunded=3_000)
    assert shown["amounts"]["refundable"] == 7_000
    (refund,) = shop.get(f"/payments/{payment['payment_id']}/refunds")["data"]
    assert (refund["status"], refund["amount"]["value"]) == ("succeeded", 3_000)
    redeliver_all(platform)
    heard_all(shop, payment)
    assert shop.accounts()["customer_funds_in_transit"] == 7_000
    assert shop.event_types(payment["payment_id"])[-2:] == ["refund.created", "refund.succeeded"]


def test_capture_made_in_the_dashboard_is_booked_once(shop: Merchant, platform: Platform) -> None:
    payment = shop.create(capture_strategy="manual").json
    dashboard(platform, payment, "capture", amount=6_000)
    assert told(shop, payment, "captured")["amounts"]["captured"] == 6_000
    redeliver_all(platform)
    heard_all(shop, payment)
    assert shop.accounts()["customer_funds_in_transit"] == 6_000


def test_authorization_given_up_in_the_dashboard_is_canceled(shop: Merchant, platform: Platform) -> None:
    payment = shop.create(capture_strategy="manual").json
    dashboard(platform, payment, "cancel")
    told(shop, payment, "canceled")
    assert shop.do(payment["payment_id"], "capture").code == "invalid_state"


def test_timeline_names_what_was_told(shop: Merchant) -> None:
    payment = shop.create("pm_card_async").json
    told(shop, payment, "captured")
    heard_all(shop, payment)
    items = shop.get(f"/payments/{payment['payment_id']}/timeline")["data"]
    notices = [(item["name"], item["status"]) for item in items if item["type"] == "notice"]
    assert sorted(notices) == [("charge.approved", "applied"), ("charge.pending", "applied")]


@pytest.mark.parametrize(("fate", "status"), [("won", "captured"), ("lost", "chargeback_lost")])
def test_dispute_is_heard_to_its_end(shop: Merchant, platform: Platform, fate: str, status: str) -> None:
    payment = shop.create(f"pm_card_dispute_{fate}").json
    end = f"dispute.{fate}"
    wait_until(lambda: end in shop.event_types(payment["payment_id"]), what="the end of the dispute")
    told(shop, payment, status, disputed=10_000 if fate == "lost" else 0)
    heard_all(shop, payment)
    redeliver_all(platform)
    heard_all(shop, payment)
    told_of = [kind for kind in shop.event_types(payment["payment_id"]) if kind.startswith("dispute")]
    assert told_of == ["dispute.opened", end]


def told(shop: Merchant, payment: Any, status: str, **amounts: int) -> Any:
    """The payment once it is in this status and has these amounts, read without anybody being asked."""

    def reached() -> Any:
        (shown,) = shop.get("/payments", order_id=payment["order_id"])["data"]
        fits = all(shown["amounts"][name] == value for name, value in amounts.items())
        return shown if fits and shown["status"] == status and shown["pending_operation"] is None else None

    return wait_until(reached, what=f"{payment['payment_id']} to be {status}")


def heard_all(shop: Merchant, payment: Any) -> None:
    """Wait until the simulator has said everything and all of it is settled."""

    def quiet() -> bool:
        events = request(f"{shop.platform.simulator.url}/_simulator/events", "GET")["data"]
        waiting = shop.platform.sql("SELECT count(*) FROM inbox_events WHERE next_try_at IS NOT NULL")[0][0]
        return waiting == 0 and all(event["told"] for event in events)

    wait_until(quiet, what=f"everything about {payment['payment_id']} to be heard")


def dashboard(platform: Platform, payment: Any, verb: str, **body: int) -> None:
    """Do it in the PSP's own dashboard."""
    charge = platform.charge_of(payment)["id"]
    answer = request(f"{platform.simulator.url}/_simulator/charges/{charge}/{verb}", "POST", json.dumps(body).encode())
    assert answer.status < 300, answer


def redeliver_all(platform: Platform) -> None:
    """Have the simulator say everything once more."""
    for event in request(f"{platform.simulator.url}/_simulator/events", "GET")["data"]:
        answer = request(f"{platform.simulator.url}/_simulator/events/{event['id']}/redeliver", "POST", b"")
        assert answer.status == 200, answer
