"""What every crash test starts with: a PSP that outlives the servers, the installation, a merchant."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.shop import Installation, Shop, open_shop
from tests.support.simulator import SimulatorProcess, running_simulator


@pytest.fixture
def psp(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """A simulator whose state survives a restart."""
    with running_simulator(tmp_path / "psp") as process:
        yield process


@pytest.fixture
def installation(database_url: str, psp: SimulatorProcess, tmp_path: Path) -> Iterator[Installation]:
    """Servers on the test's own database."""
    servers = Installation(database_url, psp.url, tmp_path / "home")
    yield servers
    servers.close()


@pytest_asyncio.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    """A merchant's client."""
    async with open_shop(database_url) as client:
        yield client
