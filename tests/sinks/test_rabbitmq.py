"""RabbitMQ as it is when things go wrong: full queues, missing bindings, a broker that dies or freezes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel

from bezant.sinks.contract import SinkUnavailable
from bezant.sinks.rabbitmq import RabbitMqSink, waves
from tests.sinks.envelopes import envelope, in_turn, insist, keys, said
from tests.support.brokers.endpoints import Services
from tests.support.brokers.rabbitmq import RabbitMq
from tests.support.events import names_of
from tests.support.receivers import RabbitMqReader, rabbitmq_wire


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RabbitMq]:
    """A broker of this test's own."""
    made = RabbitMq(tmp_path / "rabbitmq")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest_asyncio.fixture
async def channel(brokers: Services) -> AsyncIterator[AbstractChannel]:
    """An operator's channel."""
    async with await aio_pika.connect(brokers.rabbitmq_url) as connection:
        yield await connection.channel()


async def test_broker_that_freezes_or_dies_is_said_to_be_away_and_gets_everything_in_order(broker: RabbitMq) -> None:
    async with rabbitmq_wire(broker.url) as wire:
        batch = in_turn(keys(20), 6)
        await wire.sink.publish(batch[:40])
        broker.node.pause()
        with pytest.raises(SinkUnavailable, match="not confirmed within 8 s"):
            await wire.sink.publish(batch[40:60])
        with pytest.raises(SinkUnavailable, match="no connection within 5 s"):
            await wire.sink.publish(batch[40:60])
        broker.node.resume()
        await insist(wire.sink, batch[40:60])
        under_way = asyncio.gather(*(wire.sink.publish(batch[60:100]) for _ in range(1)), return_exceptions=True)
        broker.node.kill()
        await under_way
        with pytest.raises(SinkUnavailable, match=r"refused|Connect"):
            await wire.sink.publish(batch[60:100])
        await asyncio.to_thread(broker.start)
        await insist(wire.sink, batch[60:100])
        await insist(wire.sink, batch[100:])
        assert names_of(await wire.receive(120)) == said(batch)


async def test_line_that_has_gone_silent_is_a_failure_and_ends_nothing_else(broker: RabbitMq) -> None:
    """The client itself gives up a line without heartbeats: that is no end of the task that publishes."""
    async with rabbitmq_wire(f"{broker.url}?heartbeat=1") as wire:
        batch = in_turn(keys(5), 2)
        await wire.sink.publish(batch[:5])
        broker.node.pause()
        for _ in range(2):
            with pytest.raises(SinkUnavailable):
                await wire.sink.publish(batch[5:])
        broker.node.resume()
        await insist(wire.sink, batch[5:])
        assert names_of(await wire.receive(10)) == said(batch)


async def test_event_that_a_full_queue_refuses_is_not_passed_by_a_later_one_of_its_key(
    brokers: Services, channel: AbstractChannel
) -> None:
    name = f"full-{uuid4().hex}"
    sink = RabbitMqSink(brokers.rabbitmq_url, name)
    await sink.publish([])
    queue = await channel.declare_queue(
        name, durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 3, "x-overflow": "reject-publish"}
    )
    await queue.bind(name, "#")
    batch = in_turn(keys(2), 8)
    reader = RabbitMqReader(brokers.rabbitmq_url, name)
    telling = asyncio.create_task(insist(sink, batch, tries=3000))
    while not telling.done():
        arrived = await reader.receive(0)
    await telling
    arrived = await reader.receive(16)
    assert len(arrived) > 16, "the queue was never full"
    assert names_of(arrived) == said(batch)
    await sink.close()
    await reader.remove()


async def test_event_that_no_queue_takes_is_a_failure_where_a_queue_was_asked_for(
    brokers: Services, channel: AbstractChannel
) -> None:
    async with rabbitmq_wire(brokers.rabbitmq_url) as wire:
        queue = await channel.get_queue(wire.address)
        await queue.unbind(wire.address, "#")
        batch = in_turn(keys(3), 3)
        for _ in range(2):
            with pytest.raises(SinkUnavailable):
                await wire.sink.publish(batch)
        await queue.bind(wire.address, "#")
        await wire.sink.publish(batch)
        arrived = await wire.receive(9)
        assert len(arrived) == 9
        assert names_of(arrived) == said(batch)


async def test_without_a_queue_of_its_own_who_binds_decides_what_is_taken(
    brokers: Services, channel: AbstractChannel
) -> None:
    exchange = f"topics-{uuid4().hex}"
    sink = RabbitMqSink(brokers.rabbitmq_url, exchange)
    await sink.publish(in_turn(keys(1), 1))
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(exchange, "refund.*")
    await sink.publish([envelope("pay_1", 0), envelope("pay_1", 1, "refund.created"), envelope("pay_1", 2)])
    message = await queue.get(timeout=10)
    assert message is not None
    assert message.body == envelope("pay_1", 1, "refund.created").body
    assert (message.message_id, message.type, message.correlation_id) == ("evt_pay_1_1", "refund.created", "pay_1")
    assert message.content_type == "application/cloudevents+json"
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    await message.ack()
    assert await queue.get(fail=False) is None
    await sink.close()
    await channel.exchange_delete(exchange)


async def test_exchange_that_is_something_else_is_said_and_the_sink_recovers(
    brokers: Services, channel: AbstractChannel
) -> None:
    name = f"other-{uuid4().hex}"
    await channel.declare_exchange(name, aio_pika.ExchangeType.FANOUT, durable=True)
    sink = RabbitMqSink(brokers.rabbitmq_url, name)
    with pytest.raises(SinkUnavailable, match="inequivalent arg 'type'"):
        await sink.publish([envelope("pay_1", 0)])
    await channel.exchange_delete(name)
    await sink.publish([envelope("pay_1", 0)])
    await sink.close()
    await channel.exchange_delete(name)


async def test_password_that_is_wrong_is_said_without_the_password(brokers: Services) -> None:
    parts = urlsplit(brokers.rabbitmq_url)
    url = parts._replace(netloc=f"guest:hunter2@{parts.hostname}:{parts.port}").geturl()
    sink = RabbitMqSink(url, "events")
    with pytest.raises(SinkUnavailable) as refused:
        await sink.publish([envelope("pay_1", 0)])
    assert "hunter2" not in str(refused.value)
    assert "refused" in str(refused.value).lower()
    await sink.close()


async def test_publishing_that_is_given_up_leaves_the_sink_usable(brokers: Services) -> None:
    async with rabbitmq_wire(brokers.rabbitmq_url) as wire:
        batch = in_turn(keys(60), 4)
        for pause_s in (0.0, 0.001, 0.01, 0.05):
            publishing = asyncio.create_task(wire.sink.publish(batch))
            await asyncio.wait([publishing], timeout=pause_s)
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        await wire.sink.publish(batch)
        assert names_of(await wire.receive(240)) == said(batch)


def test_waves_hold_each_key_once_and_keep_the_order() -> None:
    batch = [envelope(key, number) for key, number in (("a", 0), ("a", 1), ("b", 0), ("a", 2), ("c", 0), ("b", 1))]
    assert [[each.event_id for each in wave] for wave in waves(batch)] == [
        ["evt_a_0", "evt_b_0", "evt_c_0"],
        ["evt_a_1", "evt_b_1"],
        ["evt_a_2"],
    ]
    assert waves([]) == []
