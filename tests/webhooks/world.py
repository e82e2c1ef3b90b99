"""A merchant with events, the relay and the workers that deliver them, and the merchant's servers: all real."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID

from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from bezant.base import ids
from bezant.base.db import Database
from bezant.base.sealed import Sealer
from bezant.jobs.schedule import Schedule
from bezant.merchants.service import Merchants
from bezant.outbox.jobs import relay_jobs
from bezant.outbox.metrics import RelayMetrics
from bezant.outbox.relay import Relay
from bezant.webhooks.addresses import Network
from bezant.webhooks.deliveries import Deliveries
from bezant.webhooks.endpoints import Endpoints
from bezant.webhooks.guard import Guard, Lookup, SystemLookup
from bezant.webhooks.setup import MerchantWebhooks
from bezant.webhooks.views import CreateWebhookEndpoint
from tests.support.events import Author
from tests.support.waiting import wait_until_async

LOOPBACK = (ip_network("127.0.0.0/8"),)
TIMEOUT_S = 1.0


class Request:
    """What came: header names in lower case."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body
        self.event: dict[str, Any] = json.loads(body)

    @property
    def id(self) -> str:
        return self.event["id"]

    @property
    def name(self) -> str:
        """Which event of its payment it is, as the author named it."""
        return self.event["data"].get("name", "")


Answer = Callable[[Request], Awaitable[web.StreamResponse]]


class Receiver:
    """A merchant's server. `answer` may be anything; by default all is taken."""

    def __init__(self) -> None:
        self.got: list[Request] = []
        self.in_flight = 0
        self.in_flight_most = 0
        self.answer: Answer = self.takes
        application = web.Application()
        application.router.add_post("/{path:.*}", self._take)
        self.server = TestServer(application)

    @property
    def url(self) -> str:
        return str(self.server.make_url("/hook"))

    async def takes(self, request: Request) -> web.StreamResponse:
        return web.Response(text="thanks")

    def refuses(self, status: int = 500) -> Answer:
        async def answer(request: Request) -> web.StreamResponse:
            return web.Response(status=status, text="no")

        return answer

    def hangs(self) -> Answer:
        async def answer(request: Request) -> web.StreamResponse:
            await asyncio.Event().wait()
            raise AssertionError

        return answer

    def ids(self) -> list[str]:
        return [request.id for request in self.got]

    def names(self) -> dict[str, list[str]]:
        """Of each payment what arrived, repeats of an event dropped as a receiver does."""
        seen: set[str] = set()
        found: dict[str, list[str]] = defaultdict(list)
        for request in self.got:
            if request.id not in seen:
                seen.add(request.id)
                found[request.event["subject"]].append(request.name)
        return found

    async def wait_for(self, count: int, timeout_s: float = 15.0) -> list[Request]:
        """The requests once there are so many."""

        async def enough() -> bool:
            return len(self.got) >= count

        await wait_until_async(enough, timeout_s, f"{count} requests")
        return self.got

    async def _take(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        got = Request(request.path, headers, await request.read())
        self.got.append(got)
        self.in_flight += 1
        self.in_flight_most = max(self.in_flight_most, self.in_flight)
        try:
            return await self.answer(got)
        finally:
            self.in_flight -= 1


class World:
    """A merchant and what delivers his events."""

    def __init__(self, database: Database, merchant_id: UUID, lookup: Lookup) -> None:
        self.database = database
        self.merchant_id = merchant_id
        self.author = Author(database, merchant_id)
        self.sealer = Sealer([b"k" * 32])
        self.lookup = lookup
        self.endpoints = Endpoints(database, self.sealer, Guard(LOOPBACK, lookup))
        self.deliveries = Deliveries(database)
        self.receivers: list[Receiver] = []

    def webhooks(
        self, timeout_s: float = TIMEOUT_S, allowed: Sequence[Network] = LOOPBACK, lookup: Lookup | None = None
    ) -> MerchantWebhooks:
        """What a process of its own would run."""
        return MerchantWebhooks(
            self.database,
            self.sealer,
            timeout_s=timeout_s,
            allowed=allowed,
            lookup=lookup or self.lookup,
        )

    async def receiver(self) -> Receiver:
        receiver = Receiver()
        await receiver.server.start_server(shutdown_timeout=0.1)
        self.receivers.append(receiver)
        return receiver

    async def endpoint(self, url: str, *event_types: str, merchant_id: UUID | None = None) -> UUID:
        """A new endpoint."""
        return (await self.endpoint_with_secret(url, *event_types, merchant_id=merchant_id))[0]

    async def endpoint_with_secret(
        self, url: str, *event_types: str, merchant_id: UUID | None = None
    ) -> tuple[UUID, str]:
        """A new endpoint and its secret."""
        wanted = CreateWebhookEndpoint(url=url, event_types=list(event_types))
        async with self.database.transaction() as transaction:
            made, secret = await self.endpoints.create(
                transaction, merchant_id or self.merchant_id, wanted, None, "a test"
            )
        return made.id, secret

    @asynccontextmanager
    async def running(self, *webhooks: MerchantWebhooks) -> AsyncIterator[MerchantWebhooks]:
        """The relay and the workers of so many processes; one by default."""
        processes = webhooks or (self.webhooks(),)
        schedules: list[Schedule] = []
        for process in processes:
            metrics = RelayMetrics(CollectorRegistry())
            relay = Relay(self.database, [process.sink], metrics)
            schedules.append(Schedule((*process.jobs(), *relay_jobs(self.database, relay, metrics))))
        for schedule in schedules:
            schedule.start()
        try:
            yield processes[0]
        finally:
            await asyncio.gather(*(schedule.close(10) for schedule in schedules))
            await asyncio.gather(*(process.drain(5) for process in processes))

    async def told(self) -> None:
        """The relay has told everything that was said so far: deliveries are made, nothing is sent."""
        metrics = RelayMetrics(CollectorRegistry())
        process = self.webhooks()
        schedule = Schedule(relay_jobs(self.database, Relay(self.database, [process.sink], metrics), metrics))
        schedule.start()
        try:
            await self.wait_until(
                "SELECT NOT EXISTS (SELECT FROM outbox_events AS o WHERE NOT EXISTS ("
                "SELECT FROM outbox_cursors AS c WHERE c.shard = o.shard AND c.sink = 'webhooks' "
                "AND (c.tx, c.position, c.event_id) >= (o.tx, o.position, o.id)))"
            )
        finally:
            await schedule.close(10)

    async def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        async with self.database.connection() as connection:
            return [tuple(row) for row in await connection.fetch(query, *parameters)]

    async def one(self, query: str, *parameters: object) -> Any:
        """The first value."""
        return (await self.sql(query, *parameters))[0][0]

    async def wait_until(self, query: str, *parameters: object, timeout_s: float = 15.0) -> None:
        """Wait until a query's first value is true."""

        async def holds() -> bool:
            return bool(await self.one(query, *parameters))

        await wait_until_async(holds, timeout_s, query)

    async def settled(self, timeout_s: float = 20.0) -> None:
        """Wait until nothing is pending."""
        await self.told()
        await self.wait_until(
            "SELECT NOT EXISTS (SELECT FROM webhook_deliveries WHERE status = 'pending')", timeout_s=timeout_s
        )

    async def statuses(self) -> dict[str, int]:
        """How many deliveries there are of each status."""
        return dict(await self.sql("SELECT status, count(*) FROM webhook_deliveries GROUP BY status"))  # type: ignore[arg-type]

    async def pass_time(self, by: timedelta) -> None:
        """As if everything that is known had happened earlier: only rows move, no clock does."""
        await self.sql(
            "UPDATE webhook_deliveries SET next_try_at = next_try_at - $1::interval, "
            "scheduled_at = scheduled_at - $1::interval, created_at = created_at - $1::interval, "
            "lease_until = lease_until - $1::interval, settled_at = settled_at - $1::interval",
            by,
        )
        await self.sql(
            "UPDATE webhook_endpoints SET failing_since = failing_since - $1::interval, "
            "created_at = created_at - $1::interval, backlog_until = backlog_until - $1::interval",
            by,
        )

    async def hasten(self) -> None:
        """What waits for its next try is due now."""
        await self.sql(
            "UPDATE webhook_deliveries SET next_try_at = now() WHERE next_try_at > now() AND lease_until IS NULL"
        )

    async def tries_of(self, event_id: str) -> list[tuple[int | None, str | None, bytes | None, bool]]:
        """What was tried of one event: (status, error, answer, manual)."""
        rows = await self.sql(
            "SELECT t.status, t.error, t.answer, t.manual FROM webhook_tries AS t "
            "JOIN webhook_deliveries AS d ON d.id = t.delivery_id WHERE d.event_id = $1 ORDER BY t.id",
            ids.parse(ids.EVENT, event_id),
        )
        return [(row[0], row[1], row[2], row[3]) for row in rows]


def payments(count: int) -> Sequence[UUID]:
    """So many payments."""
    return [ids.new_id() for _ in range(count)]


async def new_merchant(database: Database) -> UUID:
    """A merchant's id."""
    made = await Merchants(database, 1_000).create("Test shop", "USD", "simulator")
    merchant_id = ids.parse(ids.MERCHANT, made.merchant_id)
    assert merchant_id is not None
    return merchant_id


@asynccontextmanager
async def opened_world(database_url: str) -> AsyncIterator[World]:
    """A world on a database of its own."""
    database, lookup = Database(database_url, connections_max=8), SystemLookup(8)
    await database.open()
    world = World(database, await new_merchant(database), lookup)
    try:
        yield world
    finally:
        await asyncio.gather(*(receiver.server.close() for receiver in world.receivers))
        lookup.close()
        await database.close()
