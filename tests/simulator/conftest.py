"""One simulator for all tests of a worker; tests never reset it and look only at what they made."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.simulator import Client, SimulatorProcess, client, running_simulator


@pytest.fixture(scope="session")
def shared_simulator() -> Iterator[SimulatorProcess]:
    with running_simulator() as process:
        yield process


@pytest_asyncio.fixture
async def psp(shared_simulator: SimulatorProcess) -> AsyncIterator[Client]:
    async with client(shared_simulator.url) as each:
        yield each


@pytest.fixture
def own_simulator(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """A simulator of the test's own, with state, to kill or reset."""
    with running_simulator(tmp_path / "state", visibility_lag_s=0.0) as process:
        yield process
