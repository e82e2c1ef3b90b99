"""Doubles of Stripe as processes of their own: localstripe (not written here, GPL: never imported), and ours."""

import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.connectors.stripe.stripe_shop import Shop
from tests.connectors.stripe.stripe_support import Http
from tests.support.processes import Process, free_port
from tests.support.stripe_wire.client import Wire, running_stripe_wire, wire


@pytest.fixture(scope="session")
def localstripe_url() -> Iterator[str]:
    """The base URL of a fresh localstripe."""
    program = shutil.which("localstripe", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("localstripe is not installed in this environment")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Process(program, "--from-scratch", "--port", str(port)) as process:
        process.wait_for_http(f"{url}/v1/balance")
        yield url


@pytest_asyncio.fixture
async def http(localstripe_url: str) -> AsyncIterator[Http]:
    """A send to localstripe."""
    async with aiohttp.ClientSession() as session:
        yield Http(session, localstripe_url)


@pytest.fixture(scope="session")
def stripe_wire_url() -> Iterator[str]:
    with running_stripe_wire() as url:
        yield url


@pytest_asyncio.fixture
async def dashboard(stripe_wire_url: str) -> AsyncIterator[Wire]:
    async with wire(stripe_wire_url) as somebody:
        yield somebody


@pytest_asyncio.fixture
async def shop(stripe_wire_url: str) -> AsyncIterator[Shop]:
    made = Shop(stripe_wire_url, None, 1.0)
    yield made
    await made.transport.close()


@pytest_asyncio.fixture
async def connected(stripe_wire_url: str) -> AsyncIterator[Shop]:
    made = Shop(stripe_wire_url, "acct_1Tea", 10)
    yield made
    await made.transport.close()
