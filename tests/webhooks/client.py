"""The webhook calls of the API, served by uvicorn, and a merchant's client of them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import uvicorn

from bezant import web
from bezant.base import ids
from bezant.merchants.service import Merchants
from bezant.webhooks.setup import MerchantWebhooks
from tests.support.waiting import wait_until_async
from tests.webhooks.world import World

Json = dict[str, Any]


class Answer(msgspec.Struct, frozen=True):
    """A reply, with every byte of it."""

    status: int
    raw: bytes
    replayed: bool

    @property
    def json(self) -> Json:
        return msgspec.json.decode(self.raw)

    @property
    def code(self) -> str | None:
        return self.json.get("code") if self.status >= 400 else None

    def __getitem__(self, name: str) -> Any:
        return self.json[name]


class Client:
    """Calls with one key."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session = session
        self._url = url
        self.key = key

    def with_key(self, key: str) -> "Client":
        return Client(self._session, self._url, key)

    async def call(self, method: str, path: str, body: object = None, key: str | None = None) -> Answer:
        """One call; a POST without `key` gets a fresh one."""
        headers = {"Authorization": f"Bearer {self.key}"}
        if method == "POST":
            headers["Idempotency-Key"] = key or uuid4().hex
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else msgspec.json.encode(body)
        url = f"{self._url}{web.API}{path}"
        async with self._session.request(method, url, data=data, headers=headers) as response:
            replayed = response.headers.get("Idempotent-Replayed") == "true"
            return Answer(response.status, await response.read(), replayed)

    async def get(self, path: str) -> Answer:
        return await self.call("GET", path)

    async def post(self, path: str, key: str | None = None, **body: object) -> Answer:
        return await self.call("POST", path, body, key)

    async def create(self, url: str, **fields: object) -> Json:
        """A new endpoint, which is accepted."""
        made = await self.call("POST", "/webhook_endpoints", {"url": url, **fields})
        assert made.status == 200, made.raw
        return made.json

    async def deliveries(self, endpoint: Json, query: str = "limit=100") -> list[Json]:
        """The deliveries of an endpoint, newest first."""
        page = await self.get(f"/webhook_endpoints/{endpoint['webhook_endpoint_id']}/deliveries?{query}")
        assert page.status == 200, page.raw
        return page["data"]

    async def delivery(self, delivery: Json) -> Json:
        """A delivery with its tries."""
        return (await self.get(f"/webhook_deliveries/{delivery['webhook_delivery_id']}")).json

    async def tried(self, delivery: Json, times: int = 1) -> Json:
        """A delivery once it has been tried so often."""

        async def enough() -> Json | None:
            found = await self.delivery(delivery)
            return found if len(found["tries"]) >= times and found["status"] != "pending" else None

        found = await wait_until_async(enough, 10, f"{times} tries")
        assert found is not None
        return found


@asynccontextmanager
async def serving(world: World, webhooks: MerchantWebhooks | None = None) -> AsyncIterator[Client]:
    """A client of the world's merchant; the relay and a worker run beside the API."""
    merchants = Merchants(world.database, 10_000)
    merchant = ids.show(ids.MERCHANT, world.merchant_id)
    key = (await merchants.create_key(merchant, "secret", (), None)).key

    async def ready() -> None:
        return

    process = webhooks or world.webhooks()
    app = web.build(process.routes(), merchants.authenticate, version="1.2.3", ready=ready)
    listener = socket.create_server(("127.0.0.1", 0))
    options: dict[str, Any] = {**web.UVICORN_OPTIONS, "loop": "asyncio", "timeout_graceful_shutdown": 1}
    server = uvicorn.Server(uvicorn.Config(app, **options))
    serve = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with world.running(process), aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await wait_until_async(lambda: _is(server.started), 10, "the API")
            yield Client(session, f"http://127.0.0.1:{listener.getsockname()[1]}", key)
    finally:
        server.should_exit = True
        await serve
        listener.close()


async def _is(value: bool) -> bool:
    return value
