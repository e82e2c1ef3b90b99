"""Processes die at random under load: every event reaches every receiver, in order per payment, none invented."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from http.client import HTTPException
from pathlib import Path

import msgspec
import pytest

from tests.support.brokers.endpoints import Services
from tests.support.platform import Answer, Merchant, Platform, running_platform
from tests.support.receivers import kafka_wire, rabbitmq_wire
from tests.support.verification import assert_verified_async
from tests.support.waiting import wait_until
from tests.support.webhook_receiver import Received, Receiver, receiving

BUYERS = 4
PURCHASES = 48
DEATHS = 5
WORDS = ("visa", "async", "webhook_first", "webhook_shuffled", "timeout_after")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A merchant's server that fails and hangs now and then."""
    dice = random.Random(5)
    with receiving() as receiver:

        def answer(_: Received) -> int:
            mood = dice.random()
            return 500 if mood < 0.1 else 503 if mood < 0.2 else 200

        receiver.answer = answer
        yield receiver


async def test_every_event_reaches_every_receiver_through_a_storm_of_deaths(
    database_url: str, tmp_path: Path, brokers: Services, receiver: Receiver
) -> None:
    async with AsyncExitStack() as stack:
        kafka = await stack.enter_async_context(kafka_wire(brokers.kafka_servers))
        rabbitmq = await stack.enter_async_context(rabbitmq_wire(brokers.rabbitmq_url))
        env = {
            "BEZANT_SINK_KAFKA_SERVERS": brokers.kafka_servers,
            "BEZANT_SINK_KAFKA_TOPIC": kafka.address,
            "BEZANT_SINK_RABBITMQ_URL": brokers.rabbitmq_url,
            "BEZANT_SINK_RABBITMQ_EXCHANGE": rabbitmq.address,
            "BEZANT_SINK_RABBITMQ_QUEUE": rabbitmq.address,
            "BEZANT_WEBHOOKS_ALLOW_NETWORKS": "127.0.0.0/8",
            "BEZANT_PSP_TIMEOUT_S": "1",
        }
        with running_platform(database_url, tmp_path, apis=2, env=env, webhooks=True) as platform:
            events = await asyncio.to_thread(_storm, platform, receiver)
        await assert_verified_async(database_url)
        said = _by_payment(events)
        assert len(said) == PURCHASES
        for wire in (kafka, rabbitmq):
            assert _by_payment(await wire.receive(len(events))) == said
        assert _by_payment([request.body for request in receiver.received]) == said


def _storm(platform: Platform, receiver: Receiver) -> Sequence[bytes]:
    """Customers shop while processes die; what is told in the end, as the API says it, once all of it arrived."""
    shop = platform.merchant()
    made = shop.call("POST", "/webhook_endpoints", {"url": receiver.url, "event_types": ["payment.*", "refund.*"]})
    assert made.status == 200, made
    dice = random.Random(11)
    with ThreadPoolExecutor(BUYERS) as buyers:
        bought = [buyers.submit(_buy, shop, number) for number in range(PURCHASES)]
        for death in range(DEATHS):
            least = (death + 1) * PURCHASES // (DEATHS + 2)
            wait_until(lambda least=least: sum(each.done() for each in bought) >= least, 60)
            mortal = platform.apis[dice.randrange(2)]
            mortal.kill()
            mortal.launch()
            mortal.wait_until_ready()
        paid = [each.result(120) for each in bought]
    for payment_id in paid:
        wait_until(lambda payment_id=payment_id: _is_settled(shop, payment_id), 60, f"{payment_id} to be settled")
    platform.sql("UPDATE webhook_deliveries SET next_try_at = now() WHERE next_try_at > now()")
    receiver.answer = lambda _: 200

    def all_told() -> bool:
        platform.sql("UPDATE webhook_deliveries SET next_try_at = now() WHERE next_try_at > now() + interval '1 s'")
        pending = platform.sql("SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'")[0][0]
        inbox = platform.sql("SELECT count(*) FROM inbox_events WHERE next_try_at IS NOT NULL")[0][0]
        behind = platform.sql(
            """SELECT count(*) FROM outbox_events AS e INNER JOIN outbox_cursors AS c ON c.shard = e.shard
            WHERE (e.tx, e.position, e.id) > (c.tx, c.position, c.event_id)"""
        )[0][0]
        return pending == inbox == behind == 0

    wait_until(all_told, 90, "everybody to be told")
    return [msgspec.json.encode({"id": e["event_id"], "subject": e["payment_id"]}) for e in shop.events()]


def _buy(shop: Merchant, number: int) -> str:
    """One purchase, each call repeated under its key until somebody answers; every third is refunded."""
    payment = _insist(
        lambda api: shop.create(
            f"pm_card_{WORDS[number % len(WORDS)]}", key=f"buy-{number}", order_id=f"o-{number}", api=api
        )
    )
    payment_id: str = payment["payment_id"]
    if number % 3 == 0:
        wait_until(
            lambda: _insist(lambda api: shop.get(f"/payments/{payment_id}", api=api))["status"] == "captured", 60
        )
        _insist(lambda api: shop.do(payment_id, "refunds", f"back-{number}", api=api, value=1_000))
    return payment_id


def _insist(call: Callable[[int], Answer]) -> Answer:
    """The first answer that is one, from whichever process is alive."""

    def answered() -> Answer | None:
        for api in range(2):
            try:
                answer = call(api)
            except (OSError, HTTPException):
                continue  # it has just died
            if answer.status < 300:
                return answer
            assert answer.status in (409, 503, 504), answer
        return None

    return wait_until(answered, 60, "an answer")


def _is_settled(shop: Merchant, payment_id: str) -> bool:
    payment = shop.payment(payment_id)
    return payment["status"] == "captured" and payment["pending_operation"] is None


def _by_payment(bodies: Sequence[bytes]) -> dict[str, list[str]]:
    """The events of each payment in order, repeats dropped as a receiver does."""
    found: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for body in bodies:
        event = msgspec.json.decode(body)
        if event["id"] not in seen and event["subject"].startswith("pay_"):
            seen.add(event["id"])
            found[event["subject"]].append(event["id"])
    return found
