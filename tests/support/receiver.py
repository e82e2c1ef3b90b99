"""An HTTP server that keeps the webhooks that it gets."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from bezant.psp.notices import WebhookRequest
from tests.support.waiting import wait_until_async


class Receiver:
    """Keeps what it gets, and answers with `status`."""

    def __init__(self, port: int | None) -> None:
        self.got: list[WebhookRequest] = []
        self.status = 200
        application = web.Application()
        application.router.add_post("/", self._take)
        self.server = TestServer(application, port=port)

    @property
    def url(self) -> str:
        """Where it listens."""
        return str(self.server.make_url("/"))

    async def get(self, wanted: Callable[[WebhookRequest], bool], number: int = 1) -> list[WebhookRequest]:
        """The first so many that are wanted, once they are there."""

        async def enough() -> list[WebhookRequest]:
            found = [request for request in self.got if wanted(request)]
            return found[:number] if len(found) >= number else []

        return await wait_until_async(enough, 10, f"{number} such webhooks")

    async def _take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append(WebhookRequest(await request.read(), headers))
        return web.Response(status=self.status)


@asynccontextmanager
async def receiving(port: int | None = None) -> AsyncIterator[Receiver]:
    """A receiver that is up, on a free port unless one is named."""
    receiver = Receiver(port)
    await receiver.server.start_server()
    try:
        yield receiver
    finally:
        await receiver.server.close()
