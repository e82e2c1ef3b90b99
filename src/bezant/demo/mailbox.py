"""The shop's own server on loopback: its webhook endpoint, and the page to which customers come back.

It believes what is signed and nothing else. Now and then it fails, as servers do, so that the same event comes again.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import aiohttp
import msgspec
from aiohttp import web

from bezant.demo.kept import LOOPBACK
from bezant.demo.orders import Event, Orders
from bezant.demo.shop import Shop, StoryFailed
from bezant.demo.signature import is_signed

_EVERY: Final = 13
_FIRST: Final = 5


class Fault(StrEnum):
    """How the shop's server fails."""

    ERROR = "answered 500"
    DROPPED = "dropped the connection"
    LOST = "took it, then dropped the connection"


class Trouble:
    """Which events fail at their first coming: every 13th of the first ones, one of a payment at most.

    The next try comes 5 s later, the one after it a minute: so none fails twice, and none near the end.
    """

    def __init__(self, among_first: int) -> None:
        self.counts: Counter[str] = Counter()
        self._among_first = among_first
        self._seen: set[str] = set()
        self._struck: set[str] = set()

    def strikes(self, event: Event) -> Fault | None:
        """How this coming of an event fails, if it does."""
        if event.id in self._seen:
            return None
        self._seen.add(event.id)
        number = len(self._seen)
        if number > self._among_first or number % _EVERY != _FIRST or event.subject in self._struck:
            return None
        self._struck.add(event.subject)
        fault = list(Fault)[len(self._struck) % len(Fault)]
        self.counts[fault] += 1
        return fault


class Mailbox:
    """Takes what comes. `tries`: requests, `forged`: those that nobody who knows the secret has signed."""

    def __init__(self, orders: Orders, trouble: Trouble) -> None:
        self.orders = orders
        self.trouble = trouble
        self.url = ""
        self.endpoint_id = ""
        self.tries = 0
        self.forged = 0
        self.secret = ""

    def return_url(self, order_id: str) -> str:
        """Where banks and wallets send the customer back to."""
        return f"{self.url}/back/{order_id}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Mailbox"]:
        """Listen for as long as the block lasts."""
        app = web.Application()
        app.router.add_post("/webhooks", self._take)
        app.router.add_get("/back/{order_id}", _thank)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, 0).start()
            self.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def registered(self, shop: Shop) -> AsyncIterator["Mailbox"]:
        """Have all events sent here; no more once the block has ended, as far as anybody still answers."""
        answer = await shop.post("/webhook_endpoints", {"url": f"{self.url}/webhooks", "description": "Demo Shop"})
        if answer.status != 200:
            raise StoryFailed(f"the webhook endpoint was not made: {answer}")
        self.secret, self.endpoint_id = answer.body["secret"], answer.body["webhook_endpoint_id"]
        try:
            yield self
        finally:
            with suppress(StoryFailed, aiohttp.ClientError, TimeoutError):
                await shop.delete(f"/webhook_endpoints/{self.endpoint_id}")

    async def _take(self, request: web.Request) -> web.Response:
        self.tries += 1
        body = await request.read()
        if not is_signed(self.secret, request.headers, body, time.time()):
            self.forged += 1
            return web.Response(status=400)
        event = msgspec.json.decode(body, type=Event)
        fault = self.trouble.strikes(event)
        if fault is Fault.ERROR:
            return web.Response(status=500)
        if fault is not Fault.DROPPED:
            self.orders.learn(event, datetime.now(UTC))
        if fault is not None and request.transport is not None:
            request.transport.close()
        return web.Response(status=204)


async def _thank(request: web.Request) -> web.Response:
    return web.Response(text=f"Thank you for your order {request.match_info['order_id']}.")
