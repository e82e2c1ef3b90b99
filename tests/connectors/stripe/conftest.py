"""localstripe as a process of its own: a Stripe double that was not written here (GPL: never imported)."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.connectors.stripe.stripe_support import Http

START_S = 30.0


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def localstripe_url() -> Iterator[str]:
    """The base URL of a fresh localstripe."""
    program = shutil.which("localstripe", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("localstripe is not installed in this environment")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen(
        [program, "--from-scratch", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + START_S
    while not _listens(port):
        assert process.poll() is None, "localstripe stopped at once"
        assert time.monotonic() < deadline, "localstripe does not listen"
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=10)


@pytest_asyncio.fixture
async def http(localstripe_url: str) -> AsyncIterator[Http]:
    """A send to localstripe."""
    async with aiohttp.ClientSession() as session:
        yield Http(session, localstripe_url)
