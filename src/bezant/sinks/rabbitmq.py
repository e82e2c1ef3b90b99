"""RabbitMQ: a durable topic exchange; the routing key is the event's type, every message is confirmed by the broker.

A broker may refuse one message and take the next, e.g. where a queue is full. So of each key one message is under way
at a time: a batch goes in waves, the first event of every key, then the second, and so on.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, cast

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel, ConfirmationType
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from bezant.sinks.contract import Envelope, SinkUnavailable

_CONNECT_TIMEOUT_S: Final = 5.0
_CONFIRMED_MAX_S: Final = 8.0
_CLOSE_S: Final = 2.0
_PIECE: Final = 256
_PERSISTENT: Final = 2
_CONTENT_TYPE: Final = "application/cloudevents+json"
_Said = asyncio.Future[None]


class RabbitMqSink:
    """Publishes to one exchange, declared here. With `queue`, a quorum queue of that name is declared which takes
    everything, and an event that no queue takes is a failure; without, who binds a queue decides what it takes."""

    name = "rabbitmq"

    def __init__(self, url: str, exchange: str, queue: str | None = None) -> None:
        self._url = url
        self._exchange = exchange
        self._queue = queue
        self._connecting = asyncio.Lock()
        self._line: _Line | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Publish the batch; the broker has confirmed every message when this returns."""
        line: _Line | None = None
        try:
            async with asyncio.timeout(_CONFIRMED_MAX_S):
                line = await self._connected()
                for wave in waves(envelopes):
                    await line.send(wave)
        except TimeoutError as error:
            self._discard(line)
            raise SinkUnavailable(f"not confirmed within {_CONFIRMED_MAX_S:g} s") from error
        except SinkUnavailable:
            raise
        except Exception as error:  # whatever the client makes of a line that breaks: the batch is not confirmed
            if line is not None and line.is_closed:
                self._discard(line)
            raise SinkUnavailable(str(error) or type(error).__name__) from error
        except asyncio.CancelledError as error:
            self._discard(line)
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise SinkUnavailable("the connection was lost") from error  # the client's word for a line gone silent
        except BaseException:
            self._discard(line)
            raise

    async def close(self) -> None:
        """Close the connection."""
        self._discard(self._line)
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _connected(self) -> "_Line":
        async with self._connecting:
            if self._line is None or self._line.is_closed:
                self._discard(self._line)
                try:
                    connection = await aio_pika.connect(self._url, timeout=_CONNECT_TIMEOUT_S)
                except TimeoutError as error:
                    raise SinkUnavailable(f"no connection within {_CONNECT_TIMEOUT_S:g} s") from error
                try:
                    async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                        self._line = await self._declared(connection)
                except BaseException:
                    await _closed(connection)
                    raise
            return self._line

    async def _declared(self, connection: AbstractConnection) -> "_Line":
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.declare_exchange(self._exchange, aio_pika.ExchangeType.TOPIC, durable=True)
        if self._queue is not None:
            queue = await channel.declare_queue(self._queue, durable=True, arguments={"x-queue-type": "quorum"})
            await queue.bind(exchange, "#")
        underlay = cast(Channel, await channel.get_underlay_channel())
        return _Line(connection, underlay, exchange.name, mandatory=self._queue is not None)

    def _discard(self, line: "_Line | None") -> None:
        """Hang up, so that what was handed over and not sent yet is dropped."""
        if line is None:
            return
        if self._line is line:
            self._line = None
        task = asyncio.create_task(_closed(line.connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class _Line:
    """A connection with its one channel."""

    def __init__(self, connection: AbstractConnection, channel: Channel, exchange: str, *, mandatory: bool) -> None:
        self.connection = connection
        self._channel = channel
        self._exchange = exchange
        self._mandatory = mandatory

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.connection.is_closed or self._channel.is_closed

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        """Send messages of different keys, and wait for the broker's word on each. Raises the first refusal.

        As the channel's `basic_publish` does for one message, for many at once: a fifth of the cost.
        """
        channel = self._channel
        all_said = cast(_Said, channel.create_future())
        wave = _Wave(len(envelopes), all_said)
        async with channel.lock:
            for begin in range(0, len(envelopes), _PIECE):
                piece = envelopes[begin : begin + _PIECE]
                frames = [frame for envelope in piece for frame in self._frames(envelope)]
                for envelope in piece:
                    channel.delivery_tag += 1
                    channel.confirmations[channel.delivery_tag] = cast(ConfirmationType, wave)
                    if self._mandatory:  # by its id the channel knows a message that was sent back
                        channel.message_id_delivery_tag[envelope.event_id] = channel.delivery_tag
                sent = cast(_Said, channel.create_future())
                await channel.write_queue.put(ChannelFrame.marshall(channel.number, frames, sent))
                await sent
        await all_said
        for envelope in envelopes if self._mandatory else ():
            channel.message_id_delivery_tag.pop(envelope.event_id, None)
        if wave.refusal is not None:
            raise wave.refusal

    def _frames(self, envelope: Envelope) -> Iterator[Basic.Publish | ContentHeader | ContentBody]:
        body = envelope.body
        yield Basic.Publish(exchange=self._exchange, routing_key=envelope.type, mandatory=self._mandatory)
        properties = Basic.Properties(
            content_type=_CONTENT_TYPE,
            delivery_mode=_PERSISTENT,
            message_id=envelope.event_id,
            correlation_id=envelope.key,
            message_type=envelope.type,
        )
        yield ContentHeader(properties=properties, body_size=len(body))
        size_max = self._channel.max_content_size
        for begin in range(0, len(body), size_max):
            yield ContentBody(body[begin : begin + size_max])


class _Wave:
    """Stands in the channel's table for each message of a wave, where it hears the broker's word on it."""

    def __init__(self, left: int, all_said: "_Said") -> None:
        self._left = left
        self._all_said = all_said
        self.refusal: BaseException | None = None

    def done(self) -> bool:
        """Whether nothing more is to be heard."""
        return False

    def set_result(self, _: object) -> None:
        """One was taken."""
        self._left -= 1
        if not self._left and not self._all_said.done():
            self._all_said.set_result(None)

    def set_exception(self, error: BaseException) -> None:
        """One was refused, or sent back."""
        self.refusal = self.refusal or error
        self.set_result(error)


def waves(envelopes: Sequence[Envelope]) -> list[list[Envelope]]:
    """The first event of each key, then the second of each, and so on."""
    found: list[list[Envelope]] = []
    seen: dict[str, int] = {}
    for envelope in envelopes:
        wave = seen[envelope.key] = seen.get(envelope.key, -1) + 1
        if wave == len(found):
            found.append([])
        found[wave].append(envelope)
    return found


async def _closed(connection: AbstractConnection) -> None:
    with suppress(Exception):  # it is given up; what is wrong with it was said where it was used
        async with asyncio.timeout(_CLOSE_S):
            await connection.close()
