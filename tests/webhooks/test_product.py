"""The whole product: payments made over HTTP, webhooks that arrive, processes that die on the way."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tests.support.platform import Merchant, Platform, request, running_platform
from tests.support.processes import bezant
from tests.support.waiting import wait_until
from tests.support.webhook_receiver import Received, Receiver, receiving

ENV = {"BEZANT_WEBHOOKS_ALLOW_NETWORKS": "127.0.0.0/8", "BEZANT_WEBHOOKS_TIMEOUT_S": "1"}
POINTS = (
    "fan_out.before_commit",
    "fan_out.after_commit",
    "webhooks.after_claim",
    "webhooks.after_send",
    "webhooks.before_commit",
    "webhooks.after_commit",
)


@pytest.fixture(scope="module")
def platform(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(module_database_url, tmp_path_factory.mktemp("home"), env=ENV) as platform:
        yield platform


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def endpoint(shop: Merchant, receiver: Receiver, **fields: Any) -> Any:
    made = shop.call("POST", "/webhook_endpoints", {"url": receiver.url, **fields})
    assert made.status == 200, made
    return made.json


def told(receiver: Receiver) -> dict[str, list[str]]:
    """Of each payment the types of what arrived, repeats of an event dropped as a receiver does."""
    seen: set[str] = set()
    found: dict[str, list[str]] = defaultdict(list)
    for got in list(receiver.received):
        if got.json["id"] not in seen:
            seen.add(got.json["id"])
            found[got.json["subject"]].append(got.json["type"])
    return found


def expected(shop: Merchant) -> dict[str, list[str]]:
    """The same, as the API tells it."""
    found: dict[str, list[str]] = defaultdict(list)
    for event in shop.events():
        if event["payment_id"] is not None:
            found[event["payment_id"]].append(event["type"])
    return found


def wait_until_told(shop: Merchant, receiver: Receiver, timeout_s: float = 40.0) -> None:
    wanted = expected(shop)
    wait_until(lambda: told(receiver) == wanted, timeout_s, "every event to arrive")


def test_a_payments_events_arrive_in_order_and_verify(platform: Platform, receiver: Receiver) -> None:
    shop = platform.merchant()
    secret = endpoint(shop, receiver)["secret"]
    payment = shop.create(capture_strategy="manual").json
    shop.do(payment["payment_id"], "capture")
    shop.do(payment["payment_id"], "refunds", value=3_000)
    wait_until_told(shop, receiver)
    assert told(receiver)[payment["payment_id"]] == shop.event_types(payment["payment_id"])
    for got in receiver.received:
        assert Webhook(secret).verify(got.body.decode(), got.headers) == got.json
    captured = receiver.of("payment.captured")[0].json
    assert captured["data"]["amounts"]["captured"] == 10_000
    assert captured["data"]["order_id"] == payment["order_id"]
    assert captured["merchantid"] == shop.merchant_id


def test_a_test_event_and_the_disabling_are_events_like_others(platform: Platform, receiver: Receiver) -> None:
    shop = platform.merchant()
    made = endpoint(shop, receiver)
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}"
    shop.call("POST", f"{path}/test", {})
    wait_until(lambda: receiver.of("webhook_endpoint.test"))
    shop.call("POST", f"{path}/disable", {})
    shop.call("POST", f"{path}/enable", {})
    wait_until(lambda: receiver.of("webhook_endpoint.enabled"))
    types = [event["type"] for event in shop.events()]
    assert types == ["webhook_endpoint.test", "webhook_endpoint.disabled", "webhook_endpoint.enabled"]


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "https://[::1]/", "https://localhost/", "https://169.254.169.254/"]
)
def test_without_the_operators_word_no_endpoint_is_inside(
    database_url: str, tmp_path: Path, url: str, platform: Platform
) -> None:
    with running_platform(database_url, tmp_path, "--no-jobs") as closed:
        refused = closed.merchant().call("POST", "/webhook_endpoints", {"url": url})
    assert (refused.status, refused.code) == (422, "webhook_url_refused")


def test_metrics_count_what_was_tried(platform: Platform, receiver: Receiver) -> None:
    shop = platform.merchant()
    endpoint(shop, receiver)

    def metric(name: str) -> float:
        text = request(f"{platform.apis[0].url}/metrics", "GET").body.decode()
        return float(text.partition(f"\n{name} ")[2].split(maxsplit=1)[0])

    def counted() -> float:
        return metric('bezant_webhook_tries_total{result="delivered"}')

    wait_until(lambda: metric("bezant_webhook_tries_in_flight") == 0)
    before = counted()
    shop.create()
    wait_until_told(shop, receiver)
    wait_until(lambda: counted() == before + len(receiver.received))


def test_listen_forwards_what_happens_from_now_on_signed(platform: Platform, receiver: Receiver) -> None:
    shop = platform.merchant()
    shop.create()
    command = (
        "listen", "--forward-to", receiver.url, "--api", platform.apis[0].url,
        "--events", "payment.captured", "--events", "refund.*", "--key", shop.secret_key,
    )  # fmt: skip
    with bezant(*command) as listener:
        wait_until(lambda: "Signing secret: whsec_" in listener.output(), 30, listener.output())
        payment = shop.create().json
        shop.do(payment["payment_id"], "refunds", value=1_000)
        wait_until(lambda: len(receiver.received) >= 3, 20, "three events")
        wait_until(lambda: listener.output().count(" 200 ") == 3)
        assert listener.terminate() == 0
        output = listener.output()
    types = [request.json["type"] for request in receiver.received]
    assert types == ["payment.captured", "refund.created", "refund.succeeded"]
    secret = output.partition("Signing secret: ")[2].split()[0]
    for got in receiver.received:
        assert got.json["subject"] == payment["payment_id"]
        Webhook(secret).verify(got.body.decode(), got.headers)
    assert shop.secret_key not in output
    assert payment["payment_id"] in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--forward-to", "localhost:3000", "--key", "sk_x"), "--forward-to"),
        (("--forward-to", "http://[::1", "--key", "sk_x"), "--forward-to"),
        (("--forward-to", "http://127.0.0.1:9/", "--key", "pk_x"), "begins with sk_"),
        (("--forward-to", "http://127.0.0.1:9/", "--key", "sk_x", "--events", "payment*"), "neither an event type"),
        (("--forward-to", "http://127.0.0.1:9/", "--key", "sk_wrong"), "401"),
    ],
)
def test_listen_says_what_is_wrong_in_one_line(platform: Platform, arguments: tuple[str, ...], words: str) -> None:
    with bezant("listen", "--api", platform.apis[0].url, *arguments) as listener:
        assert listener.wait() == 1
        output = listener.output()
    assert words in output
    assert output.startswith("error: ")
    assert output.count("\n") == 1


def end_leases(platform: Platform) -> None:
    """As if the time had passed for which a dead process is waited, and that until what failed is tried again."""
    platform.sql("UPDATE webhook_deliveries SET next_try_at = now() WHERE next_try_at > now()")
    platform.sql("UPDATE outbox_cursors SET lease_until = now(), next_try_at = now()")


class Moody:
    """Fails and hangs now and then, as a merchant's server does."""

    def __init__(self) -> None:
        self._random = Random(7)
        self._lock = threading.Lock()
        self.is_over = False

    def __call__(self, request: Received) -> int:
        with self._lock:
            mood = self._random.random()
        if self.is_over or mood > 0.3:
            return 200
        if mood < 0.05:
            time.sleep(1.5)
        return 503 if mood < 0.2 else 500


@pytest.mark.parametrize("point", POINTS)
def test_process_that_dies_on_the_way_loses_no_event_and_no_order(
    database_url: str, tmp_path: Path, receiver: Receiver, point: str
) -> None:
    env = ENV | {"BEZANT_WEBHOOKS_TIMEOUT_S": "0.5"}
    with running_platform(database_url, tmp_path, "--no-jobs", env=env) as platform:
        shop = platform.merchant()
        endpoint(shop, receiver)
        payments = [shop.create(capture_strategy="manual").json for _ in range(3)]
        for payment in payments:
            shop.do(payment["payment_id"], "capture")
        with bezant("worker", env={**platform.env, "BEZANT_FAILPOINTS": f"{point}=kill"}) as dying:
            assert dying.wait() == -9
        end_leases(platform)
        with bezant("worker", env=platform.env):
            wait_until_told(shop, receiver)
            wait_until(lambda: platform.sql("SELECT 1 FROM webhook_deliveries WHERE status = 'pending'") == [], 30)
        statuses = platform.sql("SELECT DISTINCT status FROM webhook_deliveries")
    assert statuses == [("delivered",)]
    assert all(types[0] == "payment.created" for types in told(receiver).values())


def test_workers_killed_at_random_under_load_lose_no_event_and_no_order(
    database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    env = ENV | {"BEZANT_WEBHOOKS_TIMEOUT_S": "0.5"}
    receiver.answer = moody = Moody()
    random = Random(11)
    with running_platform(database_url, tmp_path, "--no-jobs", env=env) as platform:
        shop = platform.merchant()
        endpoint(shop, receiver)

        def buy(_: int) -> None:
            payment = shop.create(capture_strategy="manual").json
            shop.do(payment["payment_id"], "capture")
            shop.do(payment["payment_id"], "refunds", value=100)

        with ThreadPoolExecutor(4) as buyers:
            bought = [buyers.submit(buy, number) for number in range(60)]
            for _ in range(4):
                with bezant("worker", env=platform.env) as worker:
                    count = len(receiver.received)
                    more = random.randint(5, 40)
                    try:
                        wait_until(lambda least=count + more: len(receiver.received) >= least, 15)
                    except AssertionError:
                        pass  # everything that is left waits for its schedule
                    worker.kill()
            for one in bought:
                one.result()
        moody.is_over = True
        end_leases(platform)
        with bezant("worker", env=platform.env), bezant("worker", env=platform.env):
            wait_until_told(shop, receiver, 60)
            wait_until(lambda: platform.sql("SELECT 1 FROM webhook_deliveries WHERE status = 'pending'") == [], 40)


def test_history_is_sent_to_endpoints_again_on_the_operators_word(platform: Platform, receiver: Receiver) -> None:
    shop = platform.merchant()
    payment = shop.create().json
    endpoint(shop, receiver, event_types=["payment.captured"])
    later = shop.create().json
    wait_until(lambda: len(receiver.received) == 1)
    command = ("events", "replay", "--sink", "webhooks", "--from", "2020-01-01", "--merchant", shop.merchant_id)
    with bezant(*command, env=platform.env) as replay:
        assert replay.wait() == 0, replay.output()
    wait_until(lambda: len(receiver.received) == 3)
    assert told(receiver) == {payment["payment_id"]: ["payment.captured"], later["payment_id"]: ["payment.captured"]}
