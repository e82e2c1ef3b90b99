"""localstripe as a process of its own: a Stripe double that was not written here (GPL: never imported)."""

import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.connectors.stripe.stripe_support import Http
from tests.support.processes import Process, free_port


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
