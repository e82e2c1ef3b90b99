"""The peers of the suite. Adding a connector is one fixture that yields its `Peer`, and its name in `PEERS`."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import pytest
import pytest_asyncio

from bezant.connectors import simulator
from bezant.psp.call import Caller, Endpoint, HttpTransport
from bezant.psp.connector import Connector
from bezant.psp.contract import Credentials
from tests.contract.peers import Lack, Peer
from tests.support.simulator import SimulatorProcess, running_simulator

PEERS: Final = ("simulator_peer",)
LAG_S: Final = 0.3


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*lacks): skipped where the peer's server lacks one of these")


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> Peer:
    """Each peer in turn, for tests that its server can serve."""
    chosen: Peer = request.getfixturevalue(request.param)
    for marker in request.node.iter_markers("needs"):
        needed: tuple[Lack, ...] = marker.args
        for lack in needed:
            if lack in chosen.lacks:
                pytest.skip(f"{chosen.connector.manifest.name}'s test server {lack}")
    return chosen


@pytest.fixture(scope="session")
def lagging_simulator() -> Iterator[SimulatorProcess]:
    with running_simulator(visibility_lag_s=LAG_S) as process:
        yield process


@asynccontextmanager
async def caller(connector: Connector, url: str, credentials: Mapping[str, str]) -> AsyncIterator[Caller]:
    """The product's own caller, set up for one PSP at `url`."""
    transport = HttpTransport(connections_max=16)
    endpoint = Endpoint(connector, url, Credentials(credentials))
    try:
        yield Caller({connector.manifest.name: endpoint}, transport, timeout_s=10.0, concurrency=16)
    finally:
        await transport.close()


@pytest_asyncio.fixture
async def simulator_peer(lagging_simulator: SimulatorProcess) -> AsyncIterator[Peer]:
    async with caller(simulator.CONNECTOR, lagging_simulator.url, {}) as calls:
        yield Peer(
            connector=simulator.CONNECTOR,
            caller=calls,
            approve="pm_card_visa",
            declines={
                "pm_card_declined": "card_declined",
                "pm_card_insufficient_funds": "insufficient_funds",
                "pm_card_expired": "expired_card",
                "pm_card_stolen": "stolen_card",
                "pm_card_of_nobody": "payment_method_invalid",
            },
            visibility_lag_s=LAG_S,
        )
