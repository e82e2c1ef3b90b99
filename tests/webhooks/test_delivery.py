"""Events reach the endpoints that want them: signed, in order per payment, again and again until they are taken."""

import asyncio
import socket
import threading
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from bezant.base import ids
from bezant.webhooks.rules import IN_FLIGHT_MAX
from bezant.webhooks.setup import MerchantWebhooks
from tests.webhooks.client import serving
from tests.webhooks.world import LOOPBACK, Receiver, Request, World, new_merchant, payments


async def test_an_event_arrives_signed_and_as_it_was_said(world: World):
    receiver = await world.receiver()
    _, secret = await world.endpoint_with_secret(receiver.url)
    (payment,) = payments(1)
    async with world.running():
        await world.author.say(payment)
        (got,) = await receiver.wait_for(1)
        await world.settled()
    assert Webhook(secret).verify(got.body.decode(), got.headers) == got.event
    assert got.headers["webhook-id"] == got.event["id"]
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"].startswith("Bezant-Webhooks/")
    assert got.event["type"] == "payment.captured"
    assert got.event["subject"] == ids.show(ids.PAYMENT, payment)
    assert got.event["merchantid"] == ids.show(ids.MERCHANT, world.merchant_id)
    assert got.path == "/hook"


async def test_every_event_arrives_once_and_in_order_per_payment(world: World):
    receivers = [await world.receiver() for _ in range(3)]
    for receiver in receivers:
        await world.endpoint(receiver.url)
    of = payments(20)
    async with world.running():
        for _ in range(5):
            await world.author.say(*of, times=2)
        await world.settled()
    for receiver in receivers:
        assert receiver.names() == world.author.said
        assert len(receiver.got) == 200


async def test_filters_choose_and_others_events_never_come(world: World):
    captured, all_refunds, everything = [await world.receiver() for _ in range(3)]
    await world.endpoint(captured.url, "payment.captured")
    await world.endpoint(all_refunds.url, "refund.*")
    await world.endpoint(everything.url)
    stranger = await new_merchant(world.database)
    strangers = await world.receiver()
    await world.endpoint(strangers.url, merchant_id=stranger)
    (payment,) = payments(1)
    async with world.running():
        for kind in ("payment.created", "payment.captured", "refund.created", "refund.succeeded"):
            await world.author.say(payment, kind=kind)
        await world.settled()
    assert [r.event["type"] for r in captured.got] == ["payment.captured"]
    assert [r.event["type"] for r in all_refunds.got] == ["refund.created", "refund.succeeded"]
    assert len(everything.got) == 4
    assert strangers.got == []


async def test_an_endpoint_hears_of_what_happens_after_it_was_made(world: World):
    receiver = await world.receiver()
    (payment,) = payments(1)
    await world.author.say(payment, kind="payment.created")
    await world.endpoint(receiver.url)
    await world.author.say(payment, kind="payment.captured")
    async with world.running():
        await world.settled()
    assert [r.event["type"] for r in receiver.got] == ["payment.captured"]


async def test_what_is_refused_is_tried_again_under_the_same_id_and_nothing_of_its_payment_overtakes_it(world: World):
    receiver = await world.receiver()
    _, secret = await world.endpoint_with_secret(receiver.url)
    broken, fine = payments(2)
    subject = ids.show(ids.PAYMENT, broken)

    async def answer(request: Request) -> web.StreamResponse:
        return web.Response(status=503 if request.event["subject"] == subject else 200)

    receiver.answer = answer
    async with world.running():
        await world.author.say(broken, fine, times=3)
        await receiver.wait_for(4)
        await world.wait_until("SELECT count(*) = 3 FROM webhook_deliveries WHERE status = 'delivered'")
        await world.wait_until("SELECT count(*) = 1 FROM webhook_deliveries WHERE tries = 1 AND status = 'pending'")
        assert [r.name for r in receiver.got if r.event["subject"] == subject] == world.author.said[subject][:1]
        receiver.answer = receiver.takes
        await world.pass_time(timedelta(seconds=10))
        await world.settled()
    assert receiver.names() == world.author.said
    first, second = [r for r in receiver.got if r.name == world.author.said[subject][0]]
    assert first.id == second.id
    assert first.body == second.body
    for request in (first, second):
        Webhook(secret).verify(request.body.decode(), request.headers)
    assert await world.tries_of(first.id) == [(503, None, b"", False), (200, None, b"thanks", False)]


async def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(world: World):
    receiver = await world.receiver()
    await world.endpoint(receiver.url)
    (payment,) = payments(1)

    async def busy(request: Request) -> web.StreamResponse:
        return web.Response(status=503, headers={"Retry-After": "7200"})

    receiver.answer = busy
    async with world.running():
        await world.author.say(payment)
        await world.wait_until("SELECT count(*) = 1 FROM webhook_deliveries WHERE tries = 1 AND lease_until IS NULL")
        wait_h = await world.one("SELECT extract(epoch FROM next_try_at - now()) / 3600 FROM webhook_deliveries")
        assert 1.9 < wait_h < 2.3
        receiver.answer = receiver.takes
        await world.pass_time(timedelta(hours=2.3))
        await world.settled()
    assert [request.name for request in receiver.got] == world.author.said[ids.show(ids.PAYMENT, payment)] * 2


async def test_a_delivery_that_fails_for_three_days_has_failed_and_the_next_of_its_payment_goes_on(world: World):
    receiver = await world.receiver()
    await world.endpoint(receiver.url)
    (payment,) = payments(1)
    first, second = "payment.created", "payment.captured"

    async def answer(request: Request) -> web.StreamResponse:
        return web.Response(status=500 if request.event["type"] == first else 200)

    receiver.answer = answer
    async with world.running():
        for kind in (first, second):
            await world.author.say(payment, kind=kind)
        for number in range(1, 12):
            await receiver.wait_for(number)
            await world.wait_until("SELECT count(*) = $1 FROM webhook_tries WHERE status = 500", number)
            await world.hasten()
        await world.settled()
    assert [r.event["type"] for r in receiver.got] == [first] * 11 + [second]
    assert await world.statuses() == {"failed": 1, "delivered": 1}


async def test_what_waits_is_sent_at_once_when_an_endpoint_is_back(world: World):
    receiver = await world.receiver()
    await world.endpoint(receiver.url)
    of = payments(30)
    receiver.answer = receiver.refuses()
    async with world.running():
        await world.author.say(*of)
        await world.wait_until("SELECT count(*) = 30 FROM webhook_deliveries WHERE tries = 1 AND lease_until IS NULL")
        await world.sql("UPDATE webhook_deliveries SET next_try_at = now() + interval '20 hours', tries = 9")
        await world.sql("UPDATE webhook_endpoints SET failing_since = now() - interval '2 days'")
        receiver.answer = receiver.takes
        await world.author.say(of[0], payments(1)[0])
        await world.settled()
    assert receiver.names() == world.author.said
    assert await world.sql("SELECT failing_since, backlog, status FROM webhook_endpoints") == [(None, None, "enabled")]


async def test_hurried_tries_that_fail_leave_the_schedule_as_it_was(world: World):
    receiver = await world.receiver()
    endpoint = await world.endpoint(receiver.url)
    (poison,) = payments(1)
    subject = ids.show(ids.PAYMENT, poison)

    async def answer(request: Request) -> web.StreamResponse:
        return web.Response(status=500 if request.event["subject"] == subject else 200)

    receiver.answer = answer
    async with world.running():
        await world.author.say(poison)
        await world.wait_until("SELECT count(*) = 1 FROM webhook_deliveries WHERE tries = 1 AND lease_until IS NULL")
        await world.sql("UPDATE webhook_deliveries SET next_try_at = now() + interval '20 hours', tries = 9")
        await world.sql("UPDATE webhook_endpoints SET failing_since = now() - interval '1 hour'")
        await world.author.say(*payments(1))
        await receiver.wait_for(3)
        await world.wait_until("SELECT count(*) = 2 FROM webhook_tries WHERE status = 500")
    tries, wait = (
        await world.sql(
            "SELECT tries, extract(epoch FROM next_try_at - now()) / 3600 FROM webhook_deliveries "
            "WHERE status = 'pending'"
        )
    )[0]
    assert tries == 9
    assert 19.9 < wait < 20.1
    assert await world.one("SELECT backlog FROM webhook_endpoints WHERE id = $1", endpoint) is None


async def hanging(world: World, count: int) -> list[Receiver]:
    found = [await world.receiver() for _ in range(count)]
    for receiver in found:
        receiver.answer = receiver.hangs()
        await world.endpoint(receiver.url)
    return found


async def test_hanging_endpoints_hold_back_nobody_and_get_two_at_a_time(world: World):
    slow = await hanging(world, 5)
    quick = await world.receiver()
    await world.endpoint(quick.url)
    async with world.running(world.webhooks(timeout_s=30)) as process:
        await world.author.say(*payments(50))
        await quick.wait_for(50)
        await process.drain(0)
    assert [receiver.in_flight_most for receiver in slow] == [2] * 5
    assert quick.in_flight_most <= 8


async def test_an_endpoint_that_is_quick_gets_eight_at_a_time_of_all_workers(world: World):
    receiver = await world.receiver()
    await world.endpoint(receiver.url)
    processes = [world.webhooks(timeout_s=30) for _ in range(3)]
    async with world.running(*processes):
        await world.author.say(*payments(30))
        await receiver.wait_for(30)
        await world.settled()
        receiver.answer = receiver.hangs()
        await world.author.say(*payments(30))
        await receiver.wait_for(38)
        other = await world.receiver()
        await world.endpoint(other.url)
        await world.author.say(*payments(30))
        await other.wait_for(30)
        await asyncio.gather(*(process.drain(0) for process in processes))
    assert receiver.in_flight_most == 8


async def test_several_workers_share_without_doing_anything_twice(world: World):
    receivers = [await world.receiver() for _ in range(3)]
    for receiver in receivers:
        await world.endpoint(receiver.url)
    of = payments(60)
    async with world.running(*(world.webhooks() for _ in range(4))):
        for _ in range(3):
            await world.author.say(*of)
        await world.settled()
    for receiver in receivers:
        assert receiver.names() == world.author.said
        assert len(receiver.got) == 180
        assert receiver.in_flight_most <= 8


async def test_a_silent_endpoint_is_not_waited_for_longer_than_the_time_out(world: World):
    (receiver,) = await hanging(world, 1)
    async with world.running(world.webhooks(timeout_s=0.3)):
        await world.author.say(*payments(1))
        (got,) = await receiver.wait_for(1)
        await world.wait_until("SELECT count(*) = 1 FROM webhook_tries")
    assert await world.tries_of(got.id) == [(None, "no answer within 0.3 s", None, False)]
    assert 300 <= await world.one("SELECT latency_ms FROM webhook_tries") < 2_000


async def test_what_a_worker_had_leased_when_it_died_is_sent_by_another(world: World):
    receiver = await world.receiver()
    await world.endpoint(receiver.url)
    await world.author.say(*payments(3), times=2)
    await world.told()
    await world.sql(
        "UPDATE webhook_deliveries SET lease_until = h.at, next_try_at = h.at "
        "FROM (SELECT now() + interval '1 hour') AS h (at) WHERE next_try_at IS NOT NULL"
    )
    async with world.running():
        await world.author.say(*payments(1))
        await receiver.wait_for(1)
        assert len(receiver.got) == 1
        await world.pass_time(timedelta(hours=1))
        await world.settled()
    assert receiver.names() == world.author.said


async def test_silent_name_servers_of_new_endpoints_hold_up_no_delivery(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = await world.receiver()
    await world.endpoint(f"http://localhost:{receiver.server.port}/hook")
    look_up, speaks, asked = socket.getaddrinfo, threading.Event(), threading.Event()

    def silent(host: Any, *arguments: Any, **options: Any) -> Any:
        if str(host).endswith(".silent.example"):
            asked.set()
            speaks.wait(30)
            raise socket.gaierror
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    process = MerchantWebhooks(world.database, world.sealer, allowed=(*LOOPBACK, ip_network("::1/128")), timeout_s=2.0)
    async with serving(world, process) as shop:
        many = range(IN_FLIGHT_MAX + 50)
        asking = [
            asyncio.create_task(shop.post("/webhook_endpoints", url=f"https://n{n}.silent.example/")) for n in many
        ]
        await asyncio.to_thread(asked.wait)
        await world.author.say(*payments(1))
        try:
            await receiver.wait_for(1)
        finally:
            speaks.set()
        await asyncio.gather(*asking)
    tried = (
        "SELECT t.status, t.error FROM webhook_tries AS t JOIN webhook_deliveries AS d ON d.id = t.delivery_id "
        "JOIN webhook_endpoints AS e ON e.id = d.endpoint_id WHERE e.url LIKE 'http://localhost%'"
    )
    assert await world.sql(tried) == [(200, None)]
