"""The whole product on Stripe's wire: `bezant serve`, the double of Stripe with its webhooks, and a shop."""

import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from bezant.audit.record import By
from bezant.psp.account_secrets import AccountSecrets
from bezant.psp.desk import AccountDesk
from tests.connectors.stripe.stripe_support import KEY, Json
from tests.support.accounts import at_desk
from tests.support.databases import run
from tests.support.platform import Api, Merchant, Platform, request
from tests.support.simulator import SimulatorProcess
from tests.support.stripe_wire.client import running_stripe_wire
from tests.support.stripe_wire.faults import Fault
from tests.support.verification import assert_verified
from tests.support.waiting import wait_until


class Dashboard:
    """Stripe from the other side: its API without our keys, and its clock."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, form: Json | None = None, account: str | None = None) -> Json:
        headers = {"Authorization": f"Bearer {KEY}"} | ({} if account is None else {"Stripe-Account": account})
        answer = request(f"{self.url}/v1/{path}", method, urlencode(form or {}).encode(), headers)
        assert answer.status == 200, answer
        return cast(Json, answer.json)

    def steer(self, path: str, **body: Any) -> Json:
        answer = request(f"{self.url}/_wire/{path}", "POST", json.dumps(body).encode())
        assert answer.status == 200, answer
        return cast(Json, answer.json)

    def fault(self, kind: Fault, on: str) -> None:
        self.steer("faults", fault=kind, on=on)

    def hook(self, url: str, **more: str) -> str:
        """A new webhook endpoint's secret."""
        return self.call("POST", "webhook_endpoints", {"url": url, "enabled_events[]": "*", **more})["secret"]


class Installation:
    def __init__(self, platform: Platform, stripe: Dashboard) -> None:
        self.platform = platform
        self.stripe = stripe

    def events(self, status: str) -> int:
        query = "SELECT count(*) FROM inbox_events WHERE status = $1"
        return self.platform.sql(query, status)[0][0]

    def settled(self) -> None:
        """Every event that Stripe has sent is in the books."""
        wait_until(lambda: self.events("received") == 0 == self.events("waiting"), 20, "the inbox to be settled")


@pytest.fixture(scope="module")
def installation(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with running_stripe_wire() as url:
        stripe = Dashboard(url)
        env = {"BEZANT_PSP_STRIPE_URL": url, "BEZANT_PSP_STRIPE_SECRET_KEY": KEY, "BEZANT_PSP_TIMEOUT_S": "2"}
        platform = Platform(module_database_url, tmp_path_factory.mktemp("home"), SimulatorProcess(), env)
        api = Api(platform.env)
        hooks = f"{api.url}/internal/webhooks/psp/stripe"
        platform.env["BEZANT_PSP_STRIPE_WEBHOOK_SECRET"] = stripe.hook(hooks)
        platform.apis = [api]
        try:
            api.launch()
            api.wait_until_ready()
            yield Installation(platform, stripe)
        finally:
            api.kill()


@pytest.fixture(autouse=True)
def _verified(installation: Installation) -> Iterator[None]:
    yield
    installation.settled()
    assert installation.events("aside") == 0
    assert_verified(installation.platform.database_url)


@pytest.fixture
def stripe(installation: Installation) -> Dashboard:
    return installation.stripe


@pytest.fixture
def shop(installation: Installation) -> Merchant:
    return installation.platform.merchant()


def pay(shop: Merchant, method: str = "pm_card_visa", capture: str = "manual", **fields: Any) -> Any:
    answer = shop.create(method, 5000, psp="stripe", capture_strategy=capture, **fields)
    assert answer.status in (200, 202), answer
    return answer.json


def journals(shop: Merchant, payment: Any) -> list[str]:
    found = shop.get("/ledger/journals", payment_id=payment["payment_id"]).json["data"]
    return sorted(journal["kind"] for journal in found)


def amounts(payment: Any, *names: str) -> list[int]:
    return [payment["amounts"][name] for name in names]


def test_life_of_a_payment_is_booked_once_though_it_is_told_many_times(
    installation: Installation, shop: Merchant
) -> None:
    payment = pay(shop)
    assert payment["status"] == "authorized"
    assert shop.do(payment["payment_id"], "capture", value=4000).json["status"] == "captured"
    assert shop.do(payment["payment_id"], "refunds", value=1500).json["status"] == "succeeded"
    installation.settled()
    assert journals(shop, payment) == ["capture", "refund"]
    now = shop.payment(payment["payment_id"])
    assert amounts(now, "authorized", "captured", "refunded") == [5000, 4000, 1500]
    assert shop.event_types(payment["payment_id"]) == [
        "payment.created",
        "payment.authorized",
        "payment.captured",
        "refund.created",
        "refund.succeeded",
    ]


@pytest.mark.parametrize("verb", ["capture", "cancel"])
def test_lost_reply_is_made_good(stripe: Dashboard, shop: Merchant, verb: str) -> None:
    stripe.fault(Fault.LOST, "POST /v1/payment_intents$")
    stripe.fault(Fault.DOWN, "GET /v1/payment_intents/search")
    payment = pay(shop)
    payment = shop.wait_for_status(payment["payment_id"], "authorized")
    stripe.fault(Fault.LOST, f"/{verb}$")
    shop.do(payment["payment_id"], verb)
    now = shop.wait_for_status(payment["payment_id"], "captured", "canceled")
    assert amounts(now, "captured") == [5000 if verb == "capture" else 0]


def test_refund_made_in_the_dashboard_is_booked(stripe: Dashboard, shop: Merchant) -> None:
    payment = pay(shop, capture="automatic")
    form = {"payment_intent": payment["psp_reference"], "amount": "1200"}
    stripe.call("POST", "refunds", form)
    wait_until(lambda: shop.payment(payment["payment_id"])["amounts"]["refunded"] == 1200)
    assert shop.do(payment["payment_id"], "refunds", value=3800).json["status"] == "succeeded"
    assert shop.wait_for_status(payment["payment_id"], "refunded")
    assert journals(shop, payment) == ["capture", "refund", "refund"]


def test_capture_and_cancel_made_in_the_dashboard_are_booked(stripe: Dashboard, shop: Merchant) -> None:
    taken, given_up, expired = (pay(shop) for _ in range(3))
    stripe.call("POST", f"payment_intents/{taken['psp_reference']}/capture", {"amount_to_capture": "2000"})
    stripe.call("POST", f"payment_intents/{given_up['psp_reference']}/cancel")
    stripe.steer(f"payment_intents/{expired['psp_reference']}/expire")
    assert amounts(shop.wait_for_status(taken["payment_id"], "captured"), "captured", "capturable") == [2000, 0]
    for payment in (given_up, expired):
        assert amounts(shop.wait_for_status(payment["payment_id"], "canceled"), "captured", "capturable") == [0, 0]


def test_refund_that_comes_back_is_owed_again(stripe: Dashboard, shop: Merchant) -> None:
    payment = pay(shop, "pm_card_refundFail", capture="automatic")
    refund = shop.do(payment["payment_id"], "refunds", value=1000).json
    assert refund["status"] == "succeeded"
    stripe.steer(f"refunds/{refund['psp_reference']}/settle", status="failed")
    wait_until(lambda: shop.payment(payment["payment_id"])["amounts"]["refunded"] == 0)
    assert journals(shop, payment) == ["capture", "refund", "refund_failed"]
    assert shop.get(f"/refunds/{refund['refund_id']}").json["status"] == "failed"


def test_refund_that_is_late_is_told(stripe: Dashboard, shop: Merchant) -> None:
    payment = pay(shop, "pm_card_pendingRefund", capture="automatic")
    answer = shop.do(payment["payment_id"], "refunds", value=1000)
    assert (answer.status, answer["status"]) == (202, "pending")
    listed = stripe.call("GET", f"refunds?payment_intent={payment['psp_reference']}")
    stripe.steer(f"refunds/{listed['data'][0]['id']}/settle", status="succeeded")
    wait_until(lambda: shop.payment(payment["payment_id"])["amounts"]["refunded"] == 1000)


@pytest.mark.parametrize(("decision", "status"), [("approve", "authorized"), ("refuse", "failed")])
@pytest.mark.parametrize("told", ["confirm", "webhook"])
def test_customer_goes_to_the_bank_and_comes_back(
    stripe: Dashboard, shop: Merchant, decision: str, status: str, told: str
) -> None:
    payment = pay(shop, "pm_card_threeDSecure2Required", return_url="https://shop.example/back")
    assert payment["status"] == "pending"
    page = payment["next_action"]["url"]
    answer = request(page, "POST", f"answer={decision}".encode(), {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 303
    assert answer.headers["location"].startswith("https://shop.example/back?payment_intent=pi_")
    if told == "confirm":
        assert shop.do(payment["payment_id"], "confirm").status in (200, 202)
    assert shop.wait_for_status(payment["payment_id"], status)["next_action"] is None


def test_card_that_wants_the_customer_where_there_is_no_way_back_fails_and_says_why(shop: Merchant) -> None:
    payment = pay(shop, "pm_card_authenticationRequired")
    assert (payment["status"], payment["failure"]["code"]) == ("failed", "authentication_required")
    assert "return_url" in payment["failure"]["message"]


def test_held_back_shuffled_and_repeated_events_make_one_effect(
    installation: Installation, stripe: Dashboard, shop: Merchant
) -> None:
    stripe.steer("hold")
    payments = [pay(shop) for _ in range(5)]
    for payment in payments:
        shop.do(payment["payment_id"], "capture")
        shop.do(payment["payment_id"], "refunds", value=100)
        stripe.call("POST", "refunds", {"payment_intent": payment["psp_reference"], "amount": "50"})
    told = stripe.steer("release", shuffled=True, twice=True)["delivered"]
    assert told >= 2 * 5 * 8
    for payment in payments:
        wait_until(lambda p=payment: shop.payment(p["payment_id"])["amounts"]["refunded"] == 150)
    installation.settled()
    for payment in payments:
        assert journals(shop, payment) == ["capture", "refund", "refund"]


def test_merchants_with_connected_accounts_are_paid_there_and_hear_of_their_own(
    installation: Installation, stripe: Dashboard
) -> None:
    platform, by = installation.platform, By("os:tests", "as the test wants it")
    shops: list[tuple[Merchant, str]] = []
    for name, connected in (("tea", "acct_1Tea"), ("coffee", "acct_1Coffee")):
        shop = platform.merchant()
        secret = stripe.hook(f"{platform.apis[0].url}/internal/webhooks/psp/stripe/{name}", connect="true")
        secrets = AccountSecrets({"secret_key": KEY, "connected_account": connected}, (secret,))
        create = _creating(name, shop.merchant_id, secrets, by)
        run(at_desk(platform.database_url, create))
        shops.append((shop, connected))
    for shop, connected in shops:
        payment = wait_until(lambda s=shop: _paid(s), 10)
        theirs = stripe.call("GET", f"payment_intents/{payment['psp_reference']}", account=connected)
        assert theirs["status"] == "requires_capture"
        assert shop.do(payment["payment_id"], "capture").json["status"] == "captured"
        form = {"payment_intent": payment["psp_reference"], "amount": "700"}
        stripe.call("POST", "refunds", form, account=connected)
        wait_until(lambda s=shop, p=payment: s.payment(p["payment_id"])["amounts"]["refunded"] == 700)
    installation.settled()
    query = "SELECT count(DISTINCT psp_account_id), count(DISTINCT event_id), count(*) FROM inbox_events {}"
    ((accounts, events, rows),) = platform.sql(query.format("WHERE psp_account_id IS NOT NULL"))
    assert (accounts, events) == (2, rows)


def _creating(
    name: str, merchant_id: str, secrets: AccountSecrets, by: By
) -> Callable[[AccountDesk], Coroutine[Any, Any, object]]:
    return lambda desk: desk.create(name, "stripe", merchant_id, secrets, by)


def _paid(shop: Merchant) -> Any:
    """A payment in the merchant's own account, once every process knows of it."""
    payment = pay(shop)
    return payment if payment["status"] == "authorized" else None
