"""HTTP/1.1 on a socket: parse a request, route it, send the answer, or let it go wrong as asked.

A hand-written protocol over `httptools`, because it shares the machine with what it is used to measure, and because
resetting a connection after the work was done is its trade. One request at a time per connection; what is pipelined
waits.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final, cast

import httptools

from bezant_simulator import api, control, disputes_api, pages
from bezant_simulator.api import Answer, HttpRequest, Later, Told
from bezant_simulator.behaviours import Fault
from bezant_simulator.wire import Reply, error_reply
from bezant_simulator.world import World

BODY_MAX: Final = 64 * 1024
EVIDENCE_MAX: Final = 8 * 1024 * 1024
_EVIDENCE_PATH: Final = b"/v1/disputes/"
_STATUS_LINES: Final = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_HEADERS: Final = {b"host": "host", b"authorization": "authorization", b"idempotency-key": "idempotency_key"}


def route(world: World, request: HttpRequest) -> Answer:
    """Whose business a request is."""
    if request.path.startswith("/v1/disputes/"):
        return disputes_api.answer(world, request)
    if request.path.startswith("/v1/"):
        return api.answer(world, request)
    if request.path.startswith("/_simulator/"):
        return control.answer(world, request)
    if request.path.startswith(("/3ds/", "/wallet/")):
        return pages.answer(world, request)
    if request.path == "/healthz":
        return Reply(200, b'{"status":"ok"}')
    return error_reply(404, "invalid_request", "unknown_path", "There is nothing here.")


class Connections:
    """All connections of the server."""

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._empty = asyncio.Event()

    def enter(self, connection: "Connection") -> None:
        """A client has come."""
        self._open.add(connection)

    def leave(self, connection: "Connection") -> None:
        """A client has gone."""
        self._open.discard(connection)
        if not self._open:
            self._empty.set()

    async def drain(self, timeout_s: float) -> None:
        """Lets what is being worked on finish, within bounds; calls that are never answered are dropped."""
        for connection in list(self._open):
            connection.stop()
        if self._open:
            self._empty.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), timeout_s)


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, world: World, connections: Connections) -> None:
        self._world = world
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[tuple[HttpRequest, bool]] = deque()
        self._busy = False
        self._timers: list[asyncio.TimerHandle] = []
        self._closing = False
        self._begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._connections.leave(self)
        self._queue.clear()
        for timer in self._timers:
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                self._transport.close()

    def on_url(self, url: bytes) -> None:
        """Called by the parser."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        wanted = _HEADERS.get(name.lower())
        if wanted is not None:
            self._headers[wanted] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._size += len(body)
        if self._size <= self._body_max():
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser: the request is here."""
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode("latin-1")
        host = self._headers.pop("host", "127.0.0.1")
        request = HttpRequest(method, path, query, b"".join(self._body), host, **self._headers)
        keep_alive = self._parser.should_keep_alive()
        if self._size > self._body_max():
            request.path, keep_alive = "/_too_large", False
        self._begin()
        self._queue.append((request, keep_alive))
        if not self._busy:
            self._next()

    def stop(self) -> None:
        """Closes the connection once nothing is owed on it."""
        self._closing = True
        owes_an_answer = self._busy and not self._timers
        if not owes_an_answer and self._transport is not None:
            self._transport.close()

    def _body_max(self) -> int:
        """Files come as evidence alone."""
        return EVIDENCE_MAX if self._url.startswith(_EVIDENCE_PATH) else BODY_MAX

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    def _next(self) -> None:
        if self._queue:
            self._busy = True
            request, keep_alive = self._queue.popleft()
            if request.path == "/_too_large":
                self._deliver(error_reply(413, "invalid_request", "too_large", "This is too much."), keep_alive)
            else:
                self._deliver(route(self._world, request), keep_alive)

    def _deliver(self, answer: Answer, keep_alive: bool) -> None:
        match answer:
            case Later(delay_s, run):
                self._loop.call_later(delay_s, lambda: self._deliver(run(), keep_alive))
            case Told(event_ids, then):
                self._when_durable(
                    lambda: self._world.courier.after_first_try(event_ids, lambda: self._deliver(then, keep_alive))
                )
            case Reply():
                self._when_durable(lambda: self._send(answer, keep_alive))
            case Fault.TIMEOUT:
                self._when_durable(self._hold)
            case Fault.RESET:
                self._when_durable(self._reset)
            case Fault.ERROR:
                reply = error_reply(500, "api_error", "internal", "Something went wrong.")
                self._when_durable(lambda: self._send(reply, keep_alive))
            case Fault.RATE_LIMIT:
                reply = error_reply(429, "rate_limit", "rate_limited", "Not processed; try again.")
                self._when_durable(lambda: self._send(reply, keep_alive))

    def _when_durable(self, act: Callable[[], None]) -> None:
        self._world.journal.when_durable(act)

    def _send(self, reply: Reply, keep_alive: bool) -> None:
        transport = self._transport
        self._busy = False
        if transport is None:
            return
        head = [_STATUS_LINES[reply.status], f"content-type: {reply.content_type}\r\n".encode()]
        if reply.replayed:
            head.append(b"idempotent-replayed: true\r\n")
        if reply.location is not None:
            head.append(f"location: {reply.location}\r\n".encode("latin-1", "replace"))
        keep_alive = keep_alive and not self._closing
        if not keep_alive:
            head.append(b"connection: close\r\n")
        head.append(b"content-length: %d\r\n\r\n" % len(reply.body))
        transport.write(b"".join(head) + reply.body)
        if keep_alive:
            self._next()
        else:
            transport.close()

    def _hold(self) -> None:
        """Never answers: keeps the connection until the client leaves, or long enough."""
        if self._transport is not None:
            self._timers.append(self._loop.call_later(self._world.settings.hold_s, self._transport.abort))

    def _reset(self) -> None:
        """Resets the connection (RST instead of FIN)."""
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
