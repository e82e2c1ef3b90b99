"""The double as tests use it: a process, and a way to steer it."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import aiohttp

from tests.support.processes import Process, free_port
from tests.support.stripe_wire.faults import Fault
from tests.support.stripe_wire.refusals import Json

KEY = "sk_test_51Bezant"


@contextmanager
def running_stripe_wire(search_lag_s: float = 0.0) -> Iterator[str]:
    """The base URL of a fresh double."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ("-m", "tests.support.stripe_wire", f"--port={port}", f"--search-lag={search_lag_s}")
    with Process(sys.executable, *arguments) as process:
        process.wait_for_http(f"{url}/_wire/health")
        yield url


class Wire:
    """Somebody else who uses the same Stripe: the dashboard, the bank, another program."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url

    async def steer(self, path: str, **body: Any) -> Json:
        """POST /_wire/..."""
        async with self._session.post(f"{self.url}/_wire/{path}", json=body) as response:
            assert response.status == 200, await response.text()
            return cast(Json, await response.json())

    async def fault(self, kind: Fault, on: str, times: int = 1) -> None:
        """What goes wrong with the next requests whose method and path contain the pattern `on`."""
        await self.steer("faults", fault=kind, on=on, times=times)

    async def call(
        self, method: str, path: str, form: dict[str, str] | None = None, account: str | None = None
    ) -> Json:
        """A call of Stripe's API without an idempotency key, as the dashboard would make it."""
        headers = {"Authorization": f"Bearer {KEY}"} | ({} if account is None else {"Stripe-Account": account})
        async with self._session.request(method, f"{self.url}/v1/{path}", data=form, headers=headers) as response:
            assert response.status == 200, await response.text()
            return cast(Json, await response.json())

    async def answer_the_bank(self, page: str, answer: str) -> str:
        """Be the customer on the bank's page; where the browser is sent then."""
        async with self._session.get(page) as shown:
            assert answer in await shown.text()
        async with self._session.post(page, data={"answer": answer}, allow_redirects=False) as response:
            assert response.status == 303, await response.text()
            return response.headers["Location"]


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """A `Wire` of its own connections."""
    async with aiohttp.ClientSession() as session:
        yield Wire(session, url)
