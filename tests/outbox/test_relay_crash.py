"""Relays that are killed: at each named point, at random, beside others. Kafka, RabbitMQ and a pipe get everything."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from bezant.base import ids
from bezant.base.db import Database
from bezant.base.failpoints import POINTS
from bezant.outbox.status import by_sink, cursors
from tests.conftest import MASTER_KEY
from tests.support.brokers.endpoints import Services
from tests.support.events import Author, names_of
from tests.support.processes import Process, bezant
from tests.support.receivers import KafkaWire, Wire, kafka_wire, rabbitmq_wire
from tests.support.waiting import wait_until_async

SINKS = ("kafka", "rabbitmq", "stdout")
_AHEAD_MAX = 500
RELAY_POINTS = sorted(point for point in POINTS if point.startswith("relay."))


class Site:
    """A database, a topic and a queue; workers are started on them and killed."""

    def __init__(self, database: Database, env: Mapping[str, str], kafka: Wire, rabbitmq: Wire) -> None:
        self.database = database
        self.env = env
        self.kafka = kafka
        self.rabbitmq = rabbitmq
        self.printed: list[bytes] = []

    @contextmanager
    def worker(self, **env: str) -> Iterator[Process]:
        """A `bezant worker`; what it prints, events as lines, is kept."""
        with bezant("worker", env={**self.env, **env}) as process:
            try:
                yield process
            finally:
                process.kill()
                lines = process.output().encode().splitlines()
                self.printed += [line for line in lines if line.startswith(b'{"specversion"')]

    async def time_passes(self) -> None:
        """The leases of the dead end, and nothing waits for its next try."""
        async with self.database.connection() as connection:
            await connection.execute("UPDATE outbox_cursors SET lease_until = '-infinity', next_try_at = '-infinity'")

    async def least_told(self) -> int:
        """How many events the sink has that was told fewest."""
        found = {view.sink: view.delivered for view in by_sink(await cursors(self.database))}
        return min(found.get(name, 0) for name in SINKS)

    async def until_all_is_told(self, worker: Process) -> None:
        async def nothing_waits() -> bool:
            assert worker.popen.poll() is None, worker.output()
            found = {view.sink: view for view in by_sink(await cursors(self.database))}
            return all(name in found and not found[name].waiting for name in SINKS)

        await wait_until_async(nothing_waits, 60, "every sink to be told everything")

    async def assert_told(self, said: Mapping[str, list[str]]) -> None:
        """Each receiver has every event, in order per payment, and nothing else."""
        count = sum(map(len, said.values()))
        assert names_of(await self.kafka.receive(count)) == said
        assert names_of(await self.rabbitmq.receive(count)) == said
        whole: list[bytes] = []
        for line in self.printed:
            with suppress(msgspec.DecodeError):  # one that a kill cut short is printed again
                msgspec.json.decode(line)
                whole.append(line)
        assert names_of(whole) == said


@pytest_asyncio.fixture
async def site(database: Database, database_url: str, tmp_path: Path, brokers: Services) -> AsyncIterator[Site]:
    kafka: KafkaWire
    async with kafka_wire(brokers.kafka_servers) as kafka, rabbitmq_wire(brokers.rabbitmq_url) as rabbitmq:
        env = {
            "BEZANT_HOME": str(tmp_path / "home"),
            "BEZANT_DATABASE_URL": database_url,
            "BEZANT_MASTER_KEY": MASTER_KEY,
            "BEZANT_LOG": "json",
            "BEZANT_SINK_KAFKA_SERVERS": brokers.kafka_servers,
            "BEZANT_SINK_KAFKA_TOPIC": kafka.address,
            "BEZANT_SINK_RABBITMQ_URL": brokers.rabbitmq_url,
            "BEZANT_SINK_RABBITMQ_EXCHANGE": rabbitmq.address,
            "BEZANT_SINK_RABBITMQ_QUEUE": rabbitmq.address,
            "BEZANT_SINK_STDOUT": "on",
        }
        yield Site(database, env, kafka, rabbitmq)


async def died(process: Process) -> bool:
    return process.popen.poll() is not None


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("point", RELAY_POINTS)
async def test_relay_that_is_killed_at_a_point_is_carried_on_by_the_next(
    point: str, sink: str, site: Site, author: Author
) -> None:
    payments = [ids.new_id() for _ in range(60)]
    await author.say(*payments, None, times=2)
    with site.worker(BEZANT_FAILPOINTS=f"{point}:{sink}=kill") as victim:
        await wait_until_async(lambda: died(victim), 60, f"a death at {point}")
        assert victim.popen.returncode == -9, victim.output()
    await author.say(*payments[::2], None)
    await site.time_passes()
    with site.worker() as successor:
        await site.until_all_is_told(successor)
    await site.assert_told(author.said)


async def test_relays_that_are_killed_at_random_under_load_lose_and_invent_nothing(site: Site, author: Author) -> None:
    dice = random.Random(7)
    payments = [ids.new_id() for _ in range(50)]
    is_over = False

    async def keep_saying() -> None:
        while not is_over:
            await author.say(*dice.sample(payments, 10), times=dice.randint(1, 3))
            count = sum(map(len, author.said.values()))
            await wait_until_async(lambda behind=count - _AHEAD_MAX: told_more_than(behind), 60)

    async def told_more_than(count: int) -> bool:
        return await site.least_told() > count

    saying = asyncio.create_task(keep_saying())
    with site.worker() as first:
        await wait_until_async(lambda: told_more_than(0), 60)
        for _ in range(3):
            with site.worker() as second:
                told = await site.least_told()
                await wait_until_async(lambda count=told: told_more_than(count + 100), 60)
                second.kill()
                await site.time_passes()
        assert first.popen.poll() is None, first.output()
        is_over = True
        await saying
        await site.time_passes()
        await site.until_all_is_told(first)
    await site.assert_told(author.said)
