"""An endpoint that fails for five days is disabled, everybody concerned is told, and there is a way back."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web

from bezant.base import ids
from bezant.webhooks.views import UpdateWebhookEndpoint
from tests.support.schemas import complaints
from tests.webhooks.world import Request, World, payments


async def failing_for(world: World, days: float) -> None:
    """Every endpoint has failed since so long ago."""
    await world.sql("UPDATE webhook_endpoints SET failing_since = now() - $1::interval", timedelta(days=days))


async def test_endpoint_that_fails_for_five_days_is_disabled_with_an_event(world: World):
    dead, alive = await world.receiver(), await world.receiver()
    dead.answer = dead.refuses()
    endpoint = await world.endpoint(dead.url, "payment.*")
    await world.endpoint(alive.url, "webhook_endpoint.*")
    async with world.running():
        await world.author.say(*payments(1))
        await world.wait_until("SELECT failing_since IS NOT NULL FROM webhook_endpoints WHERE id = $1", endpoint)
        await failing_for(world, 5.1)
        await world.hasten()
        (told,) = await alive.wait_for(1)
    assert told.event["type"] == "webhook_endpoint.disabled"
    data = told.event["data"]
    assert data["webhook_endpoint_id"] == ids.show(ids.WEBHOOK_ENDPOINT, endpoint)
    assert data["reason"] == "failing"
    assert data["failing_since"] is not None
    assert dead.url not in told.body.decode()
    row = (await world.sql("SELECT status, disabled_reason FROM webhook_endpoints WHERE id = $1", endpoint))[0]
    assert row == ("disabled", "failing")


@pytest.mark.parametrize("days", [4.9])
async def test_endpoint_that_fails_for_less_goes_on(world: World, days: float):
    dead = await world.receiver()
    dead.answer = dead.refuses()
    await world.endpoint(dead.url)
    async with world.running():
        await world.author.say(*payments(1))
        await dead.wait_for(1)
        await world.wait_until("SELECT failing_since IS NOT NULL FROM webhook_endpoints")
        await failing_for(world, days)
        await world.hasten()
        await dead.wait_for(2)
        await world.wait_until("SELECT count(*) = 2 FROM webhook_tries")
    assert await world.one("SELECT status FROM webhook_endpoints") == "enabled"


async def test_one_success_among_failures_starts_the_five_days_anew(world: World):
    receiver = await world.receiver()
    await world.endpoint(receiver.url)
    poison, fine = payments(2)
    subject = ids.show(ids.PAYMENT, poison)

    async def answer(request: Request) -> web.StreamResponse:
        return web.Response(status=500 if request.event["subject"] == subject else 200)

    receiver.answer = answer
    async with world.running():
        await world.author.say(poison)
        await world.wait_until("SELECT failing_since IS NOT NULL FROM webhook_endpoints")
        await failing_for(world, 4.9)
        await world.author.say(fine)
        await world.wait_until(
            "SELECT failing_since > now() - interval '1 minute' OR failing_since IS NULL FROM webhook_endpoints"
        )
    assert await world.one("SELECT status FROM webhook_endpoints") == "enabled"


async def test_event_of_the_disabling_is_said_once_however_many_workers_see_it(world: World):
    dead = await world.receiver()
    dead.answer = dead.refuses()
    await world.endpoint(dead.url)
    await world.author.say(*payments(40))
    await world.told()
    await failing_for(world, 6)
    async with world.running(*(world.webhooks() for _ in range(3))):
        await world.wait_until("SELECT status = 'disabled' FROM webhook_endpoints")
        await world.wait_until("SELECT NOT EXISTS (SELECT FROM webhook_deliveries WHERE lease_until IS NOT NULL)")
    assert await world.one("SELECT count(*) FROM outbox_events WHERE type = 'webhook_endpoint.disabled'") == 1
    assert len(dead.got) < 40


async def test_endpoint_that_is_gone_is_disabled_at_once_with_an_event_and_what_is_for_it_waits(world: World):
    receiver, alive = await world.receiver(), await world.receiver()
    receiver.answer = receiver.refuses(410)
    endpoint = await world.endpoint(receiver.url, "payment.*")
    await world.endpoint(alive.url, "webhook_endpoint.*")
    (payment,) = payments(1)
    async with world.running():
        await world.author.say(payment, times=2)
        (told,) = await alive.wait_for(1)
        assert told.event["type"] == "webhook_endpoint.disabled"
        assert complaints(told.event["type"], told.event["data"]) == []
        assert told.event["data"]["reason"] == "gone"
        state = "SELECT status, disabled_reason FROM webhook_endpoints WHERE id = $1"
        assert await world.sql(state, endpoint) == [("disabled", "gone")]
        await world.hasten()
        await world.author.say(*payments(1), kind="webhook_endpoint.seen")
        await alive.wait_for(2)
        assert len(receiver.got) == 1
        receiver.answer = receiver.takes
        async with world.database.transaction() as transaction:
            await world.endpoints.enable(transaction, world.merchant_id, endpoint, keep_waiting=True, by="a test")
        await world.settled()
    subject = ids.show(ids.PAYMENT, payment)
    assert receiver.names()[subject] == world.author.said[subject]


async def test_endpoint_whose_old_url_is_gone_goes_on_at_its_new_one(world: World):
    old, new = await world.receiver(), await world.receiver()
    endpoint = await world.endpoint(old.url)
    has_moved = asyncio.Event()

    async def gone(request: Request) -> web.StreamResponse:
        await has_moved.wait()
        return web.Response(status=410)

    old.answer = gone
    async with world.running(world.webhooks(timeout_s=10)):
        await world.author.say(*payments(1))
        await old.wait_for(1)
        async with world.database.transaction() as transaction:
            moved = UpdateWebhookEndpoint(url=new.url)
            await world.endpoints.update(transaction, world.merchant_id, endpoint, moved, "a test")
        has_moved.set()
        await world.wait_until("SELECT count(*) = 1 FROM webhook_tries WHERE status = 410")
        assert await world.one("SELECT status FROM webhook_endpoints") == "enabled"
        await world.hasten()
        await world.settled()
    assert new.names() == world.author.said


async def test_disabled_endpoint_is_sent_nothing_and_loses_nothing(world: World):
    receiver = await world.receiver()
    receiver.answer = receiver.refuses()
    endpoint = await world.endpoint(receiver.url, "payment.*")
    of = payments(4)
    async with world.running():
        await world.author.say(*of)
        await world.wait_until("SELECT count(*) = 4 FROM webhook_tries")
        await failing_for(world, 6)
        await world.hasten()
        await world.wait_until("SELECT status = 'disabled' FROM webhook_endpoints")
        await world.wait_until("SELECT NOT EXISTS (SELECT FROM webhook_deliveries WHERE lease_until IS NOT NULL)")
        sent = len(receiver.got)
        receiver.answer = receiver.takes
        await world.author.say(*of)
        await world.told()
        await world.hasten()
        other = await world.receiver()
        await world.endpoint(other.url)
        await world.author.say(*payments(1))
        await other.wait_for(1)
        assert len(receiver.got) == sent
        async with world.database.transaction() as transaction:
            await world.endpoints.enable(transaction, world.merchant_id, endpoint, keep_waiting=True, by="a test")
        await world.settled()
    for payment in of:
        subject = ids.show(ids.PAYMENT, payment)
        assert receiver.names()[subject] == world.author.said[subject]
