"""A merchant as a client sees Bezant: servers as child processes, calls over HTTP, keys that are repeated."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import aiohttp
import msgspec

from bezant.base.db import Database
from bezant.merchants.service import Merchants
from tests.support.processes import Process, bezant, free_port
from tests.support.waiting import wait_until_async

MASTER_KEY = "test-master-key-" + "0" * 32
PSP_TIMEOUT_S = 1.0
LEASE_S = PSP_TIMEOUT_S + 5
"""How long an attempt belongs to its process, dead or alive, with these settings."""

Body = dict[str, Any]


class Server:
    """A `bezant serve` child on a port of its own, which it keeps when it is started again."""

    def __init__(self, env: Mapping[str, str], port: int, *, jobs: bool) -> None:
        arguments = ["serve", "--port", str(port), *([] if jobs else ["--no-jobs"])]
        self.url = f"http://127.0.0.1:{port}"
        self.process: Process = bezant(*arguments, env=env)

    async def ready(self) -> None:
        """Wait until it serves."""
        await asyncio.to_thread(self.process.wait_for_http, f"{self.url}/healthz", 60.0)

    async def died(self) -> None:
        """Wait for its end by SIGKILL: its failpoint was reached."""
        assert await asyncio.to_thread(self.process.wait, 30.0) == -9, self.process.output()

    def close(self) -> None:
        """End it, if it still runs."""
        self.process.__exit__(None, None, None)


class Installation:
    """The settings that all servers of a test share, and the servers, which end with the test."""

    def __init__(self, database_url: str, psp_url: str, home: Path, **settings: object) -> None:
        self._env = {
            "BEZANT_HOME": str(home),
            "BEZANT_DATABASE_URL": database_url,
            "BEZANT_MASTER_KEY": MASTER_KEY,
            "BEZANT_LOG": "json",
            "BEZANT_PSP_SIMULATOR_URL": psp_url,
            "BEZANT_PSP_TIMEOUT_S": str(PSP_TIMEOUT_S),
            "BEZANT_SYNC_INTERVAL_S": "0.2",
            "BEZANT_RATE_LIMIT_PER_S": "100000",
            **_variables(settings),
        }
        self._servers: list[Server] = []

    def start(self, *, jobs: bool = True, **settings: object) -> Server:
        """Start a server; await its `ready()`. `failpoints="accept.after_commit:capture=kill"` arms it."""
        server = Server({**self._env, **_variables(settings)}, free_port(), jobs=jobs)
        self._servers.append(server)
        return server

    async def serve(self, *, jobs: bool = True, **settings: object) -> Server:
        """Start a server and wait until it serves."""
        server = self.start(jobs=jobs, **settings)
        await server.ready()
        return server

    def close(self) -> None:
        """End every server."""
        for server in self._servers:
            server.close()


def _variables(settings: Mapping[str, object]) -> dict[str, str]:
    return {f"BEZANT_{name.upper()}": str(value) for name, value in settings.items()}


class Answer(msgspec.Struct, frozen=True):
    """An answer as the client got it."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Body:
        return msgspec.json.decode(self.raw, type=dict[str, Any])

    @property
    def code(self) -> str | None:
        """The code of a problem document."""
        return cast(str | None, self.body.get("code")) if self.status >= 400 else None

    @property
    def replayed(self) -> bool:
        return self.headers.get("Idempotent-Replayed") == "true"


class Order(msgspec.Struct, frozen=True):
    """One request that may be repeated: same path, same body, same key."""

    path: str
    body: Body
    key: str


class Shop:
    """A merchant's client. It speaks to whichever server it is told to."""

    def __init__(self, session: aiohttp.ClientSession, secret_key: str, server: Server | None = None) -> None:
        self._session = session
        self._headers = {"Authorization": f"Bearer {secret_key}"}
        self._numbers = itertools.count(1)
        self.server = server

    def order(self, path: str, **body: Any) -> Order:
        """A request under a key that is new."""
        return Order(path, body, f"key-{next(self._numbers)}-{uuid4().hex[:8]}")

    def payment(self, payment_method: str = "pm_card_visa", **body: Any) -> Order:
        """The order of a new payment of 100.00, captured at once."""
        amount = {"value": body.pop("value", 10_000), "currency": "USD"}
        order_id = f"ord_{uuid4().hex}"
        return self.order("/payments", order_id=order_id, amount=amount, payment_method=payment_method, **body)

    async def send(self, order: Order, server: Server | None = None, timeout_s: float = 30.0) -> Answer:
        """Send it, for the first time or again."""
        return await self.call("POST", order.path, order.body, order.key, server=server, timeout_s=timeout_s)

    async def settle(self, order: Order, server: Server | None = None, timeout_s: float = 30.0) -> Answer:
        """Repeat the order until it is neither in flight nor undecided."""

        async def known() -> Answer | None:
            answer = await self.send(order, server)
            assert answer.status in (200, 202, 409), answer.raw
            if answer.status == 409 and answer.code not in ("idempotency_key_in_use", "attempt_in_progress"):
                return answer
            return answer if answer.status == 200 else None

        return await wait_until_async(known, timeout_s, f"the outcome of {order.path}")  # pyright: ignore[reportReturnType]

    async def created(self, payment_method: str = "pm_card_visa", **body: Any) -> Body:
        """A payment that was made without trouble."""
        answer = await self.send(self.payment(payment_method, **body))
        assert answer.status == 200, answer.raw
        return answer.body

    async def get(self, path: str, server: Server | None = None) -> Body:
        """Read something."""
        answer = await self.call("GET", path, server=server)
        assert answer.status == 200, answer.raw
        return answer.body

    async def call(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        key: str | None = None,
        *,
        server: Server | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """Any call of the API. Raises aiohttp.ClientError where the server dies under it."""
        at = server or self.server
        assert at is not None
        headers = self._headers | ({} if key is None else {"Idempotency-Key": key})
        async with self._session.request(
            method,
            f"{at.url}/api/v1{path}",
            data=None if body is None else msgspec.json.encode(body),
            headers=headers | ({} if body is None else {"Content-Type": "application/json"}),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        ) as response:
            return Answer(response.status, response.headers, await response.read())


@asynccontextmanager
async def open_shop(database_url: str) -> AsyncGenerator[Shop]:
    """The client of a new merchant with the default fee of 2.9 % + 30."""
    secret_key = await new_merchant(database_url)
    # No connection is kept: those to a server that was killed would only be found dead by the next request.
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Shop(session, secret_key)


async def new_merchant(database_url: str) -> str:
    """Make a merchant; its secret key."""
    database = Database(database_url, connections_max=1)
    await database.open()
    try:
        return (await Merchants(database, 1_000).create("Test shop", "USD", "simulator")).secret_key
    finally:
        await database.close()
