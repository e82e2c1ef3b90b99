"""Receivers behind the sinks: what a consumer of each reads, in the order in which it got it."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from confluent_kafka import Consumer, KafkaError, Message
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bezant.sinks.contract import Sink
from bezant.sinks.kafka import KafkaSink
from bezant.sinks.rabbitmq import RabbitMqSink
from bezant.sinks.stdout import StdoutSink

Receive = Callable[[int], Awaitable[list[bytes]]]
"""At least so many bodies, all that have come so far, oldest first within a key; waits for them."""

_WAIT_S = 60.0


class Wire:
    """A sink and the receiver behind it, at an `address`. `again()` makes another sink to the same receiver."""

    def __init__(self, again: Callable[[], Sink], receive: Receive, address: str = "") -> None:
        self.again = again
        self.receive = receive
        self.address = address
        self.sink = again()


class KafkaWire(Wire):
    """To a topic; what was read is at hand as it came."""

    def __init__(self, again: Callable[[], Sink], reader: "KafkaReader", topic: str) -> None:
        super().__init__(again, reader.receive, topic)
        self.reader = reader


@contextlib.asynccontextmanager
async def kafka_wire(servers: str, partitions: int = 4, replicas: int = 1) -> AsyncIterator[KafkaWire]:
    """A topic of its own."""
    topic = f"events-{uuid4().hex}"
    await asyncio.to_thread(make_topic, servers, topic, partitions, replicas)
    reader = KafkaReader(servers, topic)
    wire = KafkaWire(lambda: KafkaSink(servers, topic), reader, topic)
    try:
        yield wire
    finally:
        await wire.sink.close()
        await asyncio.to_thread(reader.close)


def make_topic(servers: str, topic: str, partitions: int, replicas: int) -> None:
    """As an operator would."""
    admin = AdminClient({"bootstrap.servers": servers})  # kept: what it was asked for ends with it
    admin.create_topics([NewTopic(topic, partitions, replicas)])[topic].result(30)


class KafkaReader:
    """Reads a topic from its beginning."""

    def __init__(self, servers: str, topic: str) -> None:
        self.messages: list[Message] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": f"test-{uuid4().hex}",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            }
        )
        self._consumer.subscribe([topic])

    async def receive(self, count: int) -> list[bytes]:
        await asyncio.to_thread(self._read, count)
        return [message.value() or b"" for message in self.messages]

    def close(self) -> None:
        self._consumer.close()

    def _read(self, count: int) -> None:
        missing_s = 0.0
        while missing_s < _WAIT_S:
            pause_s = 0.5
            found = self._consumer.consume(1000, timeout=pause_s)
            for message in found:
                error = message.error()
                assert error is None or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART or error.retriable(), error
            self.messages += [message for message in found if message.error() is None]
            if len(self.messages) >= count and not found:
                return
            missing_s = 0.0 if found else missing_s + pause_s
        raise AssertionError(f"{len(self.messages)} of {count} messages came")


@contextlib.asynccontextmanager
async def rabbitmq_wire(url: str) -> AsyncIterator[Wire]:
    """An exchange and a quorum queue of its own."""
    exchange = f"events-{uuid4().hex}"
    reader = RabbitMqReader(url, exchange)
    wire = Wire(lambda: RabbitMqSink(url, exchange, exchange), reader.receive, exchange)
    await wire.sink.publish([])  # which declares the queue, before anybody reads
    try:
        yield wire
    finally:
        await wire.sink.close()
        await reader.remove()


class RabbitMqReader:
    """Reads a queue, and keeps what it has read."""

    def __init__(self, url: str, queue: str) -> None:
        self._url = url
        self._queue = queue
        self.messages: list[AbstractIncomingMessage] = []

    async def receive(self, count: int) -> list[bytes]:
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue(self._queue)
            deadline = asyncio.get_running_loop().time() + _WAIT_S
            consumer = await queue.consume(self._take, no_ack=True)
            while await self._more_came(channel) or len(self.messages) < count:
                assert asyncio.get_running_loop().time() < deadline, f"{len(self.messages)} of {count} messages came"
            await queue.cancel(consumer)
        return [message.body for message in self.messages]

    async def _take(self, message: AbstractIncomingMessage) -> None:
        self.messages.append(message)

    async def _more_came(self, channel: AbstractChannel) -> bool:
        before = len(self.messages)
        await asyncio.sleep(0.2)
        found = await channel.declare_queue(self._queue, passive=True)
        return bool(found.declaration_result.message_count) or len(self.messages) > before

    async def remove(self) -> None:
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            await channel.queue_delete(self._queue)
            await channel.exchange_delete(self._queue)


@contextlib.asynccontextmanager
async def stdout_wire() -> AsyncIterator[Wire]:
    """A pipe in place of standard output."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    reader = PipeReader(reading)
    try:
        yield Wire(lambda: StdoutSink(writing), reader.receive)
    finally:
        os.close(writing)
        os.close(reading)


class PipeReader:
    """Reads lines off a pipe."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._text = b""

    async def receive(self, count: int) -> list[bytes]:
        deadline = asyncio.get_running_loop().time() + _WAIT_S
        while self.read().count(b"\n") < count:
            assert asyncio.get_running_loop().time() < deadline, f"{count} lines did not come"
            await asyncio.sleep(0.01)
        return self._text.splitlines()

    def read(self) -> bytes:
        """Everything so far."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.descriptor, 1 << 16):
                self._text += piece
        return self._text


def narrow(descriptor: int) -> None:
    """Let a pipe hold no more than one page (Linux)."""
    fcntl.fcntl(descriptor, 1031, 4096)
