"""`bezant bench relay`: events a second to each configured sink, beside a bare producer with the same settings.

The events lie in the outbox before the measurement, three of each payment. The broker, the database and the relay share
the machine's cores.
"""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import aio_pika
import msgspec
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bezant.base.config import Settings
from bezant.base.db import Database
from bezant.base.errors import OperatorError
from bezant.bench import store
from bezant.bench.figures import Figures
from bezant.bench.payments import PaymentsBench, bench_payments
from bezant.bench.place import cpu_seconds, family_of, fresh_database, postmaster_of
from bezant.outbox.envelope import envelope
from bezant.outbox.metrics import RelayMetrics
from bezant.outbox.relay import Relay, RelayTerms
from bezant.sinks.contract import Envelope, Sink
from bezant.sinks.kafka import SETTINGS, KafkaSink
from bezant.sinks.rabbitmq import RabbitMqSink
from bezant.sinks.stdout import StdoutSink

_PARTITIONS = 6
_BARE_UNDER_WAY = 512

Bare = Callable[[Sequence[Envelope]], Awaitable[None]]


class _Course(msgspec.Struct, frozen=True):
    """What is measured: a sink, how it is set, and the same without us, where there is something to compare with."""

    sink: Sink
    settings: str
    bare: Bare | None
    bare_max: int = 1_000_000


async def bench_relay(
    server_url: str,
    settings: Settings,
    events: int,
    payments_seconds: float,
    pgbench_seconds: int,
    progress: Callable[[str], None],
) -> list[Figures]:
    """Run it for each sink that the settings name, and for standard output into the void; payments first."""
    wanted = PaymentsBench(seconds=payments_seconds, pgbench_seconds=pgbench_seconds)
    payments = await bench_payments(server_url, wanted, progress)
    figures: list[Figures] = []
    name = f"bezant.bench.{secrets.token_hex(4)}"
    if settings.sink_kafka_servers is not None:
        async with _kafka(settings.sink_kafka_servers, name) as course:
            figures += await _measured(server_url, course, events, payments.pgbench_tps, progress)
    if settings.sink_rabbitmq_url is not None:
        async with _rabbitmq(settings.sink_rabbitmq_url, name) as course:
            figures += await _measured(server_url, course, events, payments.pgbench_tps, progress)
    void = os.open(os.devnull, os.O_WRONLY)
    try:
        figures += await _measured(
            server_url, _Course(StdoutSink(void), "into the void", None), events, payments.pgbench_tps, progress
        )
    finally:
        os.close(void)
    beside = [msgspec.structs.replace(f, ratio_to_payments=f.per_second / payments.per_second) for f in figures]
    return [msgspec.structs.replace(payments, name="payments in the same run"), *beside]


async def _measured(
    server_url: str, course: _Course, events: int, unit_tps: float, progress: Callable[[str], None]
) -> list[Figures]:
    figures: list[Figures] = []
    async with fresh_database(server_url, migrated=True) as url:
        database = Database(url, connections_max=3, application="bezant-bench")
        await database.open()
        try:
            async with database.connection() as connection:
                postmaster = postmaster_of(await store.backend_pid(connection))
                await store.fill_outbox(connection, events)
                await store.settle(connection)
                rows = await store.outbox(connection)
            envelopes = [envelope(row) for row in rows]
            if course.bare is not None:
                progress(f"a bare producer to {course.sink.name}")
                figures.append(await _timed(course, envelopes[: course.bare_max], unit_tps))
            progress(f"the relay to {course.sink.name}")
            figures.append(await _relayed(database, course, len(rows), unit_tps, postmaster))
        finally:
            await database.close()
    return figures


async def _timed(course: _Course, envelopes: Sequence[Envelope], unit_tps: float) -> Figures:
    assert course.bare is not None
    began, cpu_began = time.perf_counter(), time.process_time()
    await course.bare(envelopes)
    elapsed_s = time.perf_counter() - began
    name = f"bare producer to {course.sink.name} ({course.settings})"
    return _figures(name, len(envelopes), elapsed_s, [], unit_tps, time.process_time() - cpu_began, None)


async def _relayed(
    database: Database, course: _Course, events: int, unit_tps: float, postmaster: int | None
) -> Figures:
    sink = course.sink
    relay = Relay(database, (sink,), RelayMetrics(), RelayTerms(gather_s=0.0))
    rounds_s: list[float] = []
    told = 0
    cpu_database_s = cpu_seconds(family_of(postmaster)) if postmaster else 0.0
    began, cpu_began = time.perf_counter(), time.process_time()
    while told < events:
        round_began = time.perf_counter()
        count = await relay.run(sink)
        rounds_s.append(time.perf_counter() - round_began)
        told += count
        if not count:
            raise OperatorError(f"{sink.name} does not take events; see the log above.")
    elapsed_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    if postmaster:
        cpu_database_s = cpu_seconds(family_of(postmaster)) - cpu_database_s
    await relay.close()
    database_s = cpu_database_s if postmaster else None
    return _figures(f"relay to {sink.name} ({course.settings})", told, elapsed_s, rounds_s, unit_tps, cpu_s, database_s)


def _figures(
    name: str,
    events: int,
    elapsed_s: float,
    rounds_s: Sequence[float],
    unit_tps: float,
    cpu_s: float,
    cpu_database_s: float | None,
) -> Figures:
    ordered = sorted(rounds_s) or [elapsed_s]
    return Figures(
        name=name,
        per_second=events / elapsed_s,
        p50_ms=ordered[len(ordered) // 2] * 1000,
        p99_ms=ordered[int(len(ordered) * 0.99)] * 1000,
        pgbench_tps=unit_tps,
        ratio_to_pgbench=events / elapsed_s / unit_tps,
        cpu_us_api=cpu_s / events * 1e6,
        cpu_us_database=None if cpu_database_s is None else cpu_database_s / events * 1e6,
        operations=events,
    )


@asynccontextmanager
async def _kafka(servers: str, topic: str) -> AsyncIterator[_Course]:
    admin = AdminClient({"bootstrap.servers": servers})
    await asyncio.to_thread(admin.create_topics([NewTopic(topic, _PARTITIONS)])[topic].result, 30)

    async def bare(envelopes: Sequence[Envelope]) -> None:
        producer = Producer({**SETTINGS, "bootstrap.servers": servers})
        for each in envelopes:
            while len(producer) > 50_000:
                producer.poll(0.01)
            producer.produce(topic, each.body, each.key)
        await asyncio.to_thread(producer.flush)

    try:
        yield _Course(KafkaSink(servers, topic), f"acks all, idempotent, lz4, {_PARTITIONS} partitions", bare)
    finally:
        await asyncio.to_thread(admin.delete_topics([topic])[topic].result, 30)


@asynccontextmanager
async def _rabbitmq(url: str, name: str) -> AsyncIterator[_Course]:
    sink = RabbitMqSink(url, name, name)
    await sink.publish([])
    connection = await aio_pika.connect(url)
    channel = await connection.channel(publisher_confirms=True)
    exchange = await channel.get_exchange(name)

    async def bare(envelopes: Sequence[Envelope]) -> None:
        room = asyncio.Semaphore(_BARE_UNDER_WAY)

        async def send(each: Envelope) -> None:
            message = aio_pika.Message(
                each.body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, message_id=each.event_id
            )
            await exchange.publish(message, each.type)
            room.release()

        async with asyncio.TaskGroup() as group:
            for each in envelopes:
                await room.acquire()
                group.create_task(send(each))

    try:
        yield _Course(sink, "confirms, persistent, quorum queue", bare, bare_max=10_000)
    finally:
        await channel.queue_delete(name)
        await channel.exchange_delete(name)
        await connection.close()
