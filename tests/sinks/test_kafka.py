"""Kafka as it is when things go wrong: brokers that die, freeze or refuse; and what a consumer relies on."""

import asyncio
import gc
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from bezant.base.errors import OperatorError
from bezant.sinks import kafka
from bezant.sinks.contract import Envelope, SinkUnavailable
from bezant.sinks.kafka import KafkaSink
from tests.sinks.envelopes import envelope, in_turn, insist, keys, said
from tests.support.brokers.endpoints import Services
from tests.support.brokers.kafka import KafkaCluster
from tests.support.events import names_of
from tests.support.processes import free_port
from tests.support.receivers import kafka_wire
from tests.support.waiting import wait_until


@pytest.fixture
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[KafkaCluster]:
    """A cluster of this test's own, of `request.param` brokers."""
    made = KafkaCluster(tmp_path / "kafka", request.param)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("cluster", [1], indirect=True)
async def test_broker_that_freezes_or_dies_is_said_to_be_away_and_gets_everything_in_order(
    cluster: KafkaCluster,
) -> None:
    (broker,) = cluster.nodes
    async with kafka_wire(cluster.servers) as wire:
        batch = in_turn(keys(20), 6)
        await wire.sink.publish(batch[:40])
        broker.pause()
        with pytest.raises(SinkUnavailable, match="not acknowledged within"):
            await wire.sink.publish(batch[40:60])
        broker.resume()
        await insist(wire.sink, batch[40:60])
        broker.kill()
        with pytest.raises(SinkUnavailable, match=r"not acknowledged within 8 s: .+"):
            await wire.sink.publish(batch[60:100])
        await asyncio.to_thread(cluster.start)
        await insist(wire.sink, batch[60:100])
        await insist(wire.sink, batch[100:])
        assert names_of(await wire.receive(120)) == said(batch)


@pytest.mark.parametrize("cluster", [3], indirect=True)
async def test_one_of_three_brokers_is_killed_and_nothing_is_lost_or_out_of_order(cluster: KafkaCluster) -> None:
    async with kafka_wire(cluster.servers, partitions=6, replicas=3) as wire:
        streams = [in_turn(keys(10), 30) for _ in range(4)]
        failed = 0

        async def tell(stream: Sequence[Envelope], begun: asyncio.Event) -> None:
            nonlocal failed
            for begin in range(0, len(stream), 20):
                failed += await insist(wire.sink, stream[begin : begin + 20])
                if begin >= 100:
                    begun.set()

        begun = [asyncio.Event() for _ in streams]
        telling = [asyncio.create_task(tell(*each)) for each in zip(streams, begun, strict=True)]
        await asyncio.gather(*(each.wait() for each in begun))
        await asyncio.to_thread(cluster.nodes[1].kill)
        await asyncio.gather(*telling)
        after = in_turn(keys(10), 3)
        await insist(wire.sink, after)
        everything = [each for stream in (*streams, after) for each in stream]
        assert names_of(await wire.receive(len(everything))) == said(everything)


async def test_message_that_the_broker_refuses_is_not_passed_by_a_later_one_of_its_key(brokers: Services) -> None:
    async with kafka_wire(brokers.kafka_servers) as wire:
        await asyncio.to_thread(_limit, brokers.kafka_servers, wire.address, 20_000)
        # Many requests of a few messages each, so that others are under way when one is refused.
        sink = KafkaSink(brokers.kafka_servers, wire.address, {"batch.num.messages": "5"})
        key, other = keys(2)
        first, large = envelope(key, 0), envelope(key, 1, size=200_000)
        later = [envelope(key, number) for number in range(2, 400)]
        await sink.publish([first])
        for _ in range(5):
            with pytest.raises(SinkUnavailable, match=r"too large|size"):
                await sink.publish([large, *later])
        await sink.publish([envelope(other, 0)])
        assert names_of(await wire.receive(2)) == said([first, envelope(other, 0)])
        await asyncio.to_thread(_limit, brokers.kafka_servers, wire.address, 1_000_000)
        await insist(sink, [large, *later])
        assert names_of(await wire.receive(401)) == said([first, envelope(other, 0), large, *later])
        await sink.close()


async def test_a_consumer_finds_a_payments_events_in_one_partition_with_their_type_of_content(
    brokers: Services,
) -> None:
    async with kafka_wire(brokers.kafka_servers, partitions=4) as wire:
        batch = in_turn(keys(30), 3)
        await wire.sink.publish(batch)
        await wire.receive(90)
        partitions: dict[bytes, set[int]] = {}
        for message in wire.reader.messages:
            key = message.key()
            assert isinstance(key, bytes)
            partitions.setdefault(key, set()).add(message.partition() or 0)
            assert dict(message.headers() or [])["content-type"] == b"application/cloudevents+json; charset=UTF-8"
        assert {key.decode() for key in partitions} == {each.key for each in batch}
        assert all(len(found) == 1 for found in partitions.values())
        assert len({number for found in partitions.values() for number in found}) > 1


async def test_producers_that_are_given_up_in_a_long_outage_leave_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_ACKNOWLEDGED_MAX_S", 0.1)
    sink = KafkaSink(f"127.0.0.1:{free_port()}", "events")

    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    before = threads()
    gc.disable()
    try:
        for _ in range(5):
            refused = await asyncio.gather(
                *(sink.publish([each]) for each in in_turn(keys(4), 1)), return_exceptions=True
            )
            assert [type(each) for each in refused] == [SinkUnavailable] * 4
        await asyncio.to_thread(wait_until, lambda: threads() <= before + 1, 10.0, "their threads to end")
    finally:
        gc.enable()


@pytest.mark.parametrize("option", ["acks", "enable.idempotence", "message.timeout.ms", "transactional.id"])
def test_options_on_which_the_guarantees_stand_are_refused(option: str) -> None:
    with pytest.raises(OperatorError, match=option):
        KafkaSink("127.0.0.1:9", "events", {option: "0"})


def test_options_that_make_no_sense_stop_the_start() -> None:
    with pytest.raises(OperatorError, match="not configured well"):
        KafkaSink("127.0.0.1:9", "events", {"linger.ms": "soon"})


def _limit(servers: str, topic: str, bytes_max: int) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    limit = ConfigEntry("max.message.bytes", str(bytes_max), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[limit])
    admin.incremental_alter_configs([resource])[resource].result(30)
