"""The load generator: raw HTTP/1.1 on a protocol of its own, since a client library would cost more than the server."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import cast

import msgspec


class Load(msgspec.Struct):
    """What was measured: seconds of each request that was accepted, and how many were answered with which status."""

    latencies_s: list[float]
    statuses: Counter[int]
    elapsed_s: float

    @property
    def failures(self) -> int:
        """Requests that were not accepted; a broken connection counts as status 0."""
        return self.statuses.total() - len(self.latencies_s)

    @property
    def per_second(self) -> float:
        """Answered requests a second."""
        return len(self.latencies_s) / self.elapsed_s if self.elapsed_s else 0.0

    def percentile_ms(self, percent: float) -> float:
        """A percentile of the latencies in milliseconds."""
        if not self.latencies_s:
            return 0.0
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


class _Connection(asyncio.Protocol):
    """One keep-alive connection with one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._waiter: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lowered = head.lower()
        begin = lowered.index(b"content-length:") + 15
        end = lowered.find(b"\r\n", begin)
        if len(body) >= int(lowered[begin : end if end != -1 else None]):
            self._buffer = b""
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(0)

    async def request(self, raw: bytes) -> int:
        """Send and wait; the status code, 0 for a broken connection."""
        if self._transport is None or self._transport.is_closing():
            return 0
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return await self._waiter


def create_payment_request(host: str, key: str, payment_method: str = "pm_card_visa") -> Callable[[], bytes]:
    """Makes the bytes of a create with automatic capture, each with an order and a key of its own."""
    run = secrets.token_hex(6)
    number = 0

    def make() -> bytes:
        nonlocal number
        number += 1
        body = (
            b'{"order_id":"ord_%(run)s_%(number)d","amount":{"value":4999,"currency":"USD"},'
            b'"payment_method":"%(method)s","capture_strategy":"automatic",'
            b'"metadata":{"cart_id":"cart_%(number)d","channel":"web"}}'
        ) % {b"run": run.encode(), b"number": number, b"method": payment_method.encode()}
        return (
            f"POST /api/v1/payments HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nIdempotency-Key: {run}-{number}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    return make


async def closed_loop(
    port: int, make: Callable[[], bytes], *, connections: int, seconds: float, requests_max: int | None = None
) -> Load:
    """Each connection sends its next request as soon as the last one is answered."""
    clients = [await _connect(port) for _ in range(connections)]
    load = Load([], Counter(), 0.0)
    began = time.perf_counter()
    left = requests_max if requests_max is not None else 1 << 60

    async def drive(client: _Connection) -> None:
        nonlocal left
        while time.perf_counter() - began < seconds and left > 0:
            left -= 1
            await _one(client, make(), time.perf_counter(), load)

    await asyncio.gather(*map(drive, clients))
    load.elapsed_s = time.perf_counter() - began
    return load


async def open_loop(port: int, make: Callable[[], bytes], *, rate_per_s: float, seconds: float) -> Load:
    """Requests start on schedule whether or not earlier ones are answered; latency counts from the scheduled time."""
    free = [await _connect(port) for _ in range(64)]
    load = Load([], Counter(), 0.0)
    began = time.perf_counter()
    tasks: list[asyncio.Task[None]] = []

    async def send(scheduled: float) -> None:
        client = free.pop() if free else await _connect(port)
        await _one(client, make(), scheduled, load)
        free.append(client)

    for number in range(int(rate_per_s * seconds)):
        scheduled = began + number / rate_per_s
        pause_s = scheduled - time.perf_counter()
        if pause_s > 0:
            await asyncio.sleep(pause_s)
        tasks.append(asyncio.create_task(send(scheduled)))
    await asyncio.gather(*tasks)
    load.elapsed_s = time.perf_counter() - began
    return load


async def _one(client: _Connection, raw: bytes, began: float, load: Load) -> None:
    status = await client.request(raw)
    load.statuses[status] += 1
    if status in (200, 202):
        load.latencies_s.append(time.perf_counter() - began)


async def _connect(port: int) -> _Connection:
    _, protocol = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", port)
    return protocol
