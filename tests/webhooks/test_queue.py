"""The queue under repeats, races and age: nothing is lost, doubled, overtaken or kept for ever."""

import asyncio
import random

import pytest
from aiohttp import web

from bezant.base import ids
from bezant.base.db import Database
from bezant.jobs.schedule import Schedule
from bezant.sinks.contract import Envelope, SinkUnavailable
from bezant.webhooks.delivery import store
from bezant.webhooks.delivery.backlog import Backlog
from bezant.webhooks.delivery.fan_out import FanOut, delivery_id_of
from tests.webhooks.world import Request, World, new_merchant, payments


async def envelopes(world: World) -> list[Envelope]:
    """All events, as the relay gives them."""
    rows = await world.sql("SELECT id, merchant_id, payment_id, type FROM outbox_events ORDER BY tx, position, id")
    return [
        Envelope(
            event_id=ids.show(ids.EVENT, event_id),
            type=kind,
            key=ids.show(ids.PAYMENT, payment_id),
            merchant_id=ids.show(ids.MERCHANT, merchant_id),
            body=b"{}",
        )
        for event_id, merchant_id, payment_id, kind in rows
    ]


async def due(world: World) -> int:
    return await world.one("SELECT count(*) FROM webhook_deliveries WHERE next_try_at IS NOT NULL")


async def test_batch_that_is_given_again_makes_nothing_new(world: World):
    for _ in range(2):
        await world.endpoint((await world.receiver()).url)
    await world.author.say(*payments(5), times=3)
    told = await envelopes(world)
    sink = FanOut(world.database)
    await sink.publish(told[:8])
    await asyncio.gather(*(sink.publish(told) for _ in range(4)))
    assert await world.statuses() == {"pending": 30}
    assert await due(world) == 10


async def test_batch_that_is_given_again_after_its_delivery_does_not_send_it_again(world: World):
    receiver = await world.receiver()
    await world.endpoint(receiver.url)
    await world.author.say(*payments(3))
    async with world.running():
        await world.settled()
        await FanOut(world.database).publish(await envelopes(world))
        await world.settled()
    assert len(receiver.got) == 3


async def test_history_is_sent_again_also_to_an_endpoint_that_is_new(world: World):
    old, new = await world.receiver(), await world.receiver()
    await world.endpoint(old.url)
    of = payments(3)
    await world.author.say(*of, times=2)
    async with world.running() as process:
        await world.settled()
        await world.endpoint(new.url)
        again = FanOut(world.database, process.deliverer.wake, again=True)
        await again.publish(await envelopes(world))
        await world.settled()
    assert len(old.got) == 12
    assert old.names() == new.names() == world.author.said


async def test_sink_says_when_its_database_is_away(world: World):
    await world.endpoint((await world.receiver()).url)
    await world.author.say(*payments(1))
    told = await envelopes(world)
    away = Database("postgresql://bezant:x@127.0.0.1:1/bezant", connections_max=1)
    await away.open()
    with pytest.raises(SinkUnavailable):
        await FanOut(away).publish(told)


async def test_only_the_first_of_a_payment_is_due_at_any_moment(world: World):
    """Events come in while others are settled, by several processes: what is due is looked at all the while."""
    receiver = await world.receiver()
    await world.endpoint(receiver.url)
    of = payments(4)
    is_over = asyncio.Event()
    two_due = (
        "SELECT count(*) FROM (SELECT ordering_id FROM webhook_deliveries WHERE next_try_at IS NOT NULL "
        "GROUP BY endpoint_id, ordering_id HAVING count(*) > 1) AS d"
    )

    async def watch() -> int:
        most = 0
        while not is_over.is_set():
            most = max(most, await world.one(two_due))
            await asyncio.sleep(0)
        return most

    async def answer(request: Request) -> web.StreamResponse:
        return web.Response(status=random.choice([200, 200, 200, 500]))

    receiver.answer = answer
    watching = asyncio.create_task(watch())
    async with world.running(*(world.webhooks() for _ in range(3))):
        for number in range(1, 21):
            await world.author.say(*of)
            await world.wait_until("SELECT count(*) = $1 FROM webhook_deliveries", number * len(of))
            await world.hasten()
        receiver.answer = receiver.takes
        await hastened_until_settled(world)
    is_over.set()
    assert await watching == 0
    assert receiver.names() == world.author.said


async def hastened_until_settled(world: World) -> None:
    """Until nothing is pending, with no wait of the schedule observed."""
    for _ in range(500):
        await world.sql(
            "UPDATE webhook_deliveries SET next_try_at = now() WHERE next_try_at > now() AND lease_until IS NULL"
        )
        if not await world.one("SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'"):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(await world.sql("SELECT * FROM webhook_deliveries WHERE status = 'pending' LIMIT 5"))


async def test_no_delivery_is_forgotten_between_who_makes_and_who_settles(world: World):
    """A payment's events arrive one by one, each while the one before is being settled."""
    receivers = [await world.receiver() for _ in range(2)]
    for receiver in receivers:
        await world.endpoint(receiver.url)
    of = payments(8)
    async with world.running(*(world.webhooks() for _ in range(3))):
        for number in range(40):
            await world.author.say(of[number % 8], of[(number + 3) % 8])
        await world.settled()
    for receiver in receivers:
        assert receiver.names() == world.author.said


async def test_old_deliveries_are_forgotten_and_younger_ones_kept(world: World):
    receiver = await world.receiver()
    await world.endpoint(receiver.url)
    await world.author.say(*payments(3))
    async with world.running():
        await world.settled()
    backlog = Backlog(world.database, retention_days=30)
    assert await backlog.expire() == 0
    await aged(world, days=31)
    assert await backlog.expire() == 3
    assert await world.one("SELECT count(*) FROM webhook_tries") == 0


async def aged(world: World, days: int) -> None:
    """Every delivery was made and settled so long ago, and has an id of that time."""
    await world.sql("ALTER TABLE webhook_deliveries DISABLE TRIGGER USER")
    await world.sql("ALTER TABLE webhook_tries DROP CONSTRAINT webhook_tries_delivery_id_merchant_id_fkey")
    rows = await world.sql("SELECT id, now() - make_interval(days => $1) FROM webhook_deliveries", days)
    for delivery_id, at in rows:
        then = ids.dated(at, delivery_id.hex)
        await world.sql("UPDATE webhook_tries SET delivery_id = $2 WHERE delivery_id = $1", delivery_id, then)
        await world.sql("UPDATE webhook_deliveries SET id = $2, created_at = $3 WHERE id = $1", delivery_id, then, at)
    await world.sql("UPDATE webhook_deliveries SET settled_at = created_at WHERE settled_at IS NOT NULL")
    await world.sql("ALTER TABLE webhook_deliveries ENABLE TRIGGER USER")


async def test_what_has_waited_for_longer_than_is_kept_is_canceled(world: World):
    endpoint = await world.endpoint((await world.receiver()).url)
    await world.sql("UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = 'requested'")
    await world.author.say(*payments(2), times=2)
    await world.told()
    await aged(world, days=31)
    await world.author.say(*payments(1))
    await world.told()
    assert await Backlog(world.database, retention_days=30).expire() == 4
    assert await world.statuses() == {"canceled": 4, "pending": 1}
    assert await world.one("SELECT status FROM webhook_endpoints WHERE id = $1", endpoint) == "disabled"


async def test_what_is_sent_again_after_it_was_to_be_forgotten_has_its_whole_schedule(world: World):
    receiver = await world.receiver()
    await world.endpoint(receiver.url)
    await world.author.say(*payments(1))
    async with world.running():
        await world.settled()
    await aged(world, days=31)
    receiver.answer = receiver.refuses()
    (row,) = await world.sql("SELECT id FROM webhook_deliveries")
    async with world.database.transaction() as transaction:
        await world.deliveries.redeliver(transaction, world.merchant_id, row[0])
    async with world.running():
        await world.wait_until("SELECT count(*) = 1 FROM webhook_tries WHERE status = 500")
        assert await Backlog(world.database, retention_days=30).expire() == 0
        receiver.answer = receiver.takes
        await world.hasten()
        await world.settled()
    assert await world.statuses() == {"delivered": 1}


async def test_a_backlog_of_any_length_is_hurried_before_a_try_can_fail(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bezant.webhooks.delivery.backlog._BATCH", 5)
    await world.endpoint((await world.receiver()).url)
    await world.author.say(*payments(13))
    await world.told()
    await world.sql("UPDATE webhook_deliveries SET next_try_at = now() + interval '20 hours'")
    await world.sql("UPDATE webhook_endpoints SET backlog = 'hurry', backlog_until = now()")
    assert await Backlog(world.database, retention_days=30).see_to() == 13
    assert await world.one("SELECT count(*) FROM webhook_deliveries WHERE next_try_at <= now()") == 13
    assert await world.one("SELECT backlog FROM webhook_endpoints") is None


async def test_what_is_to_be_canceled_is_taken_by_no_worker_that_looked_before(world: World):
    endpoint = await world.endpoint((await world.receiver()).url)
    await world.sql("UPDATE webhook_endpoints SET backlog = 'cancel', backlog_until = now()")
    async with world.database.transaction() as transaction:
        assert await store.lock_endpoints(transaction, [endpoint]) == []


async def test_what_a_dead_worker_had_leased_can_be_asked_for_at_a_disabled_endpoint(world: World):
    receiver = await world.receiver()
    await world.endpoint(receiver.url)
    await world.author.say(*payments(1))
    await world.told()
    await world.sql(
        "UPDATE webhook_deliveries SET lease_until = d.at, next_try_at = d.at "
        "FROM (SELECT now() - interval '1 second') AS d (at)"
    )
    await world.sql("UPDATE webhook_endpoints SET status = 'disabled', disabled_reason = 'requested'")
    (row,) = await world.sql("SELECT id FROM webhook_deliveries")
    async with world.running():
        async with world.database.transaction() as transaction:
            await world.deliveries.redeliver(transaction, world.merchant_id, row[0])
        await receiver.wait_for(1)
        await world.settled()


async def test_event_that_was_being_tried_when_one_before_it_was_sent_again_waits_behind_it(world: World):
    receiver = await world.receiver()
    await world.endpoint(receiver.url)
    (payment,) = payments(1)
    first, second = "payment.created", "payment.captured"
    fail = asyncio.Event()

    async def answer(request: Request) -> web.StreamResponse:
        await fail.wait()
        return web.Response(status=500)

    async with world.running(world.webhooks(timeout_s=10)):
        await world.author.say(payment, kind=first)
        await world.settled()
        receiver.answer = answer
        await world.author.say(payment, kind=second)
        await receiver.wait_for(2)
        (row,) = await world.sql("SELECT id FROM webhook_deliveries WHERE event_type = $1", first)
        async with world.database.transaction() as transaction:
            await world.deliveries.redeliver(transaction, world.merchant_id, row[0])
        await receiver.wait_for(3)
        fail.set()
        await world.wait_until("SELECT count(*) = 2 FROM webhook_tries WHERE status = 500")
        await world.wait_until("SELECT NOT EXISTS (SELECT FROM webhook_deliveries WHERE lease_until IS NOT NULL)")
        due_now = "SELECT event_type FROM webhook_deliveries WHERE next_try_at IS NOT NULL"
        assert await world.sql(due_now) == [(first,)]
        receiver.answer = receiver.takes
        await world.hasten()
        await world.settled()
    assert [request.event["type"] for request in receiver.got][-2:] == [first, second]


async def test_a_hundred_endpoints_of_many_merchants_all_have_their_turn(world: World):
    receiver, dead = await world.receiver(), await world.receiver()
    dead.answer = dead.hangs()
    for _ in range(30):
        merchant_id = await new_merchant(world.database)
        await world.endpoint(receiver.url, merchant_id=merchant_id)
        for _ in range(2):
            await world.endpoint(dead.url, merchant_id=merchant_id)
        author = type(world.author)(world.database, merchant_id)
        await author.say(*payments(10))
    async with world.running(world.webhooks(timeout_s=20)) as process:
        await receiver.wait_for(300, timeout_s=20)
        await process.drain(0)
    assert len(set(receiver.ids())) == 300


async def test_lease_that_was_lost_changes_nothing_but_the_log(world: World):
    """A worker that was held up: by the time it hears the answer another one has the delivery."""
    receiver = await world.receiver()
    await world.endpoint(receiver.url)
    answered = asyncio.Event()

    async def answer(request: Request) -> web.StreamResponse:
        await answered.wait()
        return web.Response(status=500)

    receiver.answer = answer
    async with world.running(world.webhooks(timeout_s=5)):
        await world.author.say(*payments(1))
        await receiver.wait_for(1)
        await world.sql(
            "UPDATE webhook_deliveries SET lease_until = now() + interval '1 hour', "
            "next_try_at = now() + interval '1 hour'"
        )
        answered.set()
        await world.wait_until("SELECT count(*) = 1 FROM webhook_tries")
    query = "SELECT status, tries, lease_until > now() + interval '50 minutes' FROM webhook_deliveries"
    assert await world.sql(query) == [("pending", 0, True)]


async def until_somebody_waits(world: World) -> None:
    await world.wait_until("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)")


async def test_event_that_comes_while_the_one_before_is_being_settled_becomes_due(world: World):
    await world.endpoint((await world.receiver()).url)
    (payment,) = payments(1)
    await world.author.say(payment, times=2)
    first, second = await envelopes(world)
    sink = FanOut(world.database)
    await sink.publish([first])
    async with world.database.transaction() as settling:
        await store.lock_orderings(settling, [payment])
        await settling.connection.execute(
            "UPDATE webhook_deliveries SET status = 'delivered', next_try_at = NULL, settled_at = now()"
        )
        publishing = asyncio.create_task(sink.publish([second]))
        await until_somebody_waits(world)
    await publishing
    assert await due(world) == 1


async def test_event_that_is_settled_while_the_next_one_comes_makes_that_due(world: World):
    receiver = await world.receiver()
    endpoint = await world.endpoint(receiver.url)
    (payment,) = payments(1)
    await world.author.say(payment, times=2)
    first, second = await envelopes(world)
    await FanOut(world.database).publish([first])
    event_id = ids.parse(ids.EVENT, second.event_id)
    assert event_id is not None
    row = (await world.sql("SELECT type, tx, position FROM outbox_events WHERE id = $1", event_id))[0]
    taken = asyncio.Event()

    async def answer(request: Request) -> web.StreamResponse:
        await taken.wait()
        return web.Response()

    receiver.answer = answer
    process = world.webhooks(timeout_s=10)
    schedule = Schedule(process.jobs())
    schedule.start()
    try:
        await receiver.wait_for(1)
        async with world.database.transaction() as making:
            await store.lock_orderings(making, [payment])
            delivery_id = delivery_id_of(event_id, endpoint)
            await store.insert(
                making, [(delivery_id, world.merchant_id, endpoint, event_id, row[0], payment, row[1], row[2])]
            )
            await store.promote(making, [(endpoint, payment)])
            taken.set()
            await until_somebody_waits(world)
        await world.wait_until("SELECT count(*) = 2 FROM webhook_deliveries WHERE status = 'delivered'")
    finally:
        await schedule.close(10)
        await process.drain(5)
