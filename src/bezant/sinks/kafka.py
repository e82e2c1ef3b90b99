"""Kafka: a topic whose key is the payment, so that a payment's events are in one partition, in order.

The producer is idempotent and waits for all replicas in sync. Messages do not time out one by one, which would let a
later one of the same payment pass: the batch as a whole is given up, and with it the producer and all that it still
holds. A producer that sees a gap coming fails altogether (`enable.gapless.guarantee`).
"""

import asyncio
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bezant.base.errors import OperatorError
from bezant.sinks.contract import Envelope, SinkUnavailable

SETTINGS: Final[Mapping[str, Any]] = {
    "client.id": "bezant",
    "acks": "all",
    "enable.idempotence": True,
    "enable.gapless.guarantee": True,
    "message.timeout.ms": 0,
    "partitioner": "murmur2",  # as Java's clients place a key
    "compression.type": "lz4",
    "linger.ms": 2,
    "socket.keepalive.enable": True,
}
"""What the guarantees stand on, and what has proven to be fast."""

_PROTECTED: Final = frozenset(SETTINGS) - {"client.id", "compression.type", "linger.ms", "socket.keepalive.enable"}
_ALSO_PROTECTED: Final = frozenset({"bootstrap.servers", "delivery.timeout.ms", "retries", "transactional.id"})
_HEADERS: Final[list[tuple[str, str | bytes | None]]] = [
    ("content-type", "application/cloudevents+json; charset=UTF-8")
]
_ACKNOWLEDGED_MAX_S: Final = 8.0
_POLL_S: Final = 0.2
_log: Final = logging.getLogger("bezant.sinks.kafka.client")
_log.addFilter(lambda line: "CONFWARN" not in line.getMessage())  # of settings that are meant as they are
_LOOK_S: Final = 0.02
_CLOSE_S: Final = 5.0


class KafkaSink:
    """Publishes to one topic, which the operator has made. `options`: further settings of librdkafka, e.g. for TLS."""

    name = "kafka"

    def __init__(self, servers: str, topic: str, options: Mapping[str, str] | None = None) -> None:
        refused = sorted((_PROTECTED | _ALSO_PROTECTED) & set(options or {}))
        if refused:
            raise OperatorError(
                f"The Kafka option {refused[0]} cannot be changed: what is promised of events needs it."
            )
        self._topic = topic
        self._settings: dict[str, Any] = {**SETTINGS, **(options or {}), "bootstrap.servers": servers}
        self._client: _Client | None = None
        try:
            Producer({**self._settings, "log_level": 0})
        except KafkaException as error:
            raise OperatorError(f"The Kafka sink is not configured well: {_told_by(error)}") from error

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Produce the batch; all replicas in sync have it when this returns."""
        client = self._client = self._client or _Client(self._settings)
        batch = client.batch(len(envelopes))
        try:
            for envelope in envelopes:
                client.produce(self._topic, envelope, batch)
            async with asyncio.timeout(_ACKNOWLEDGED_MAX_S):
                await batch.acknowledged
        except (KafkaException, BufferError) as error:
            self._discard(client)
            raise SinkUnavailable(_told_by(error)) from error
        except TimeoutError as error:
            self._discard(client)
            trouble = f": {client.trouble}" if client.trouble else ""
            raise SinkUnavailable(f"not acknowledged within {_ACKNOWLEDGED_MAX_S:g} s{trouble}") from error
        except BaseException:
            self._discard(client)
            raise
        finally:
            client.batches.discard(batch)
        client.trouble = ""

    async def close(self) -> None:
        """Wait a little for what is in flight, then hang up."""
        client, self._client = self._client, None
        if client is not None:
            await asyncio.to_thread(client.close, _CLOSE_S)

    def _discard(self, client: "_Client") -> None:
        """Nothing more of what this producer holds may be sent; the next batch gets a new one."""
        client.stop()
        if self._client is client:
            self._client = None


class _Batch:
    """Counts acknowledgements, which come on the client's thread, and tells the loop of the last or of a failure."""

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = count
        self.acknowledged: asyncio.Future[None] = self._loop.create_future()
        if not count:
            self.acknowledged.set_result(None)

    def told(self, error: KafkaError | None, _: Message) -> None:
        """Of one message."""
        self._left -= 1
        if error is not None or not self._left:
            self.end(None if error is None else KafkaException(error))

    def end(self, error: KafkaException | None) -> None:
        """From another thread: it is acknowledged, or has failed."""
        try:
            self._loop.call_soon_threadsafe(self._settle, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _settle(self, error: KafkaException | None) -> None:
        if self.acknowledged.done():
            return
        if error is not None:
            self.acknowledged.set_exception(error)
        else:
            self.acknowledged.set_result(None)


class _Client:
    """A producer and the thread that hears its acknowledgements, and closes it: left to the garbage collector, those of
    a long outage would pile up, each with its threads that go on calling the brokers."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.trouble = ""
        self.batches: set[_Batch] = set()
        self._producer = Producer({**settings, "error_cb": self._on_error}, logger=_log)
        self._is_over = False
        self._using = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="kafka", daemon=True)
        self._thread.start()

    def batch(self, count: int) -> _Batch:
        """A batch that hears of this producer's end."""
        batch = _Batch(count)
        self.batches.add(batch)
        return batch

    def produce(self, topic: str, envelope: Envelope, batch: _Batch) -> None:
        """Take a message of the batch to be sent. Raises KafkaException, also once this producer has ended."""
        with self._using:
            if self._is_over:
                raise _purged()
            self._producer.produce(
                topic, envelope.body, envelope.key.encode(), headers=_HEADERS, on_delivery=batch.told
            )

    def stop(self) -> None:
        """Send nothing more; what is left is told to have failed."""
        with self._using:
            if not self._is_over:
                self._producer.purge(blocking=False)
        self._stopping.set()

    def close(self, timeout_s: float) -> None:
        """Blocks until everything is acknowledged or the time is over."""
        give_up_at = time.monotonic() + timeout_s
        while self._is_busy() and time.monotonic() < give_up_at:
            time.sleep(_LOOK_S)
        self.stop()
        self._thread.join(timeout_s)

    def _is_busy(self) -> bool:
        with self._using:
            return not self._is_over and len(self._producer) > 0

    def _listen(self) -> None:
        end = _purged()
        try:
            while not self._stopping.is_set():
                self._producer.poll(_POLL_S)
        except KafkaException as fatal:  # a gap would come: this producer sends nothing more
            end = fatal
        with self._using:
            self._is_over = True
        self._producer.purge(blocking=False)
        for batch in list(self.batches):
            batch.end(end)
        with suppress(KafkaException):  # of a gap again: it is closed all the same
            self._producer.close()

    def _on_error(self, error: KafkaError) -> None:
        self.trouble = error.str()


def _purged() -> KafkaException:
    return KafkaException(KafkaError(KafkaError._PURGE_QUEUE))  # noqa: SLF001 - the library's public name for it


def _told_by(error: Exception) -> str:
    cause = error.args[0] if error.args else None
    return cause.str() if isinstance(cause, KafkaError) else str(error)
