"""The peers of the suite. Adding a connector is one fixture that yields its `Peer`, and its name in `PEERS`."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import pytest
import pytest_asyncio

from bezant.connectors import simulator, stripe
from bezant.psp.call import Caller, Endpoint, HttpTransport
from bezant.psp.connector import Connector
from bezant.psp.contract import Credentials
from tests.contract.peers import Lack, Peer, Told
from tests.support.processes import free_port
from tests.support.receiver import receiving
from tests.support.simulator import WEBHOOK_SECRET, SimulatorProcess, client, running_simulator
from tests.support.stripe_wire.client import KEY, running_stripe_wire, wire

PEERS: Final = ("simulator_peer", "stripe_peer")
LAG_S: Final = 0.3
RETRY_S: Final = 0.05


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
def simulator_told_at() -> int:
    """The port to which the simulator sends its webhooks: each test listens there in its turn."""
    return free_port()


@pytest.fixture(scope="session")
def lagging_simulator(simulator_told_at: int) -> Iterator[SimulatorProcess]:
    webhook_url = f"http://127.0.0.1:{simulator_told_at}/"
    with running_simulator(visibility_lag_s=LAG_S, webhook_url=webhook_url) as process:
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
async def simulator_peer(lagging_simulator: SimulatorProcess, simulator_told_at: int) -> AsyncIterator[Peer]:
    async with (
        caller(simulator.CONNECTOR, lagging_simulator.url, {}) as calls,
        client(lagging_simulator.url) as dashboard,
        receiving(simulator_told_at) as receiver,
    ):
        await dashboard.settings(retry_s=RETRY_S)

        async def refund(psp_reference: str, amount_minor: int) -> None:
            answer = await dashboard.call(
                "POST", f"/_simulator/charges/{psp_reference}/refund", {"amount": amount_minor}
            )
            assert answer.status in (200, 201), answer.body

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
            told=Told(receiver=receiver, secret=WEBHOOK_SECRET, credentials=Credentials(), refund=refund),
        )


@pytest.fixture(scope="session")
def lagging_stripe() -> Iterator[str]:
    with running_stripe_wire(search_lag_s=LAG_S) as url:
        yield url


@pytest_asyncio.fixture
async def stripe_peer(lagging_stripe: str) -> AsyncIterator[Peer]:
    credentials = {"secret_key": KEY}
    async with (
        caller(stripe.CONNECTOR, lagging_stripe, credentials) as calls,
        wire(lagging_stripe) as dashboard,
        receiving() as receiver,
    ):

        async def refund(psp_reference: str, amount_minor: int) -> None:
            await dashboard.call("POST", "refunds", {"payment_intent": psp_reference, "amount": str(amount_minor)})

        form = {"url": receiver.url, "enabled_events[]": "*"}
        endpoint = await dashboard.call("POST", "webhook_endpoints", form)
        yield Peer(
            connector=stripe.CONNECTOR,
            caller=calls,
            approve="pm_card_visa",
            declines={
                "pm_card_visa_chargeDeclined": "card_declined",
                "pm_card_visa_chargeDeclinedInsufficientFunds": "insufficient_funds",
                "pm_card_chargeDeclinedExpiredCard": "expired_card",
                "pm_card_visa_chargeDeclinedStolenCard": "stolen_card",
                "pm_card_of_nobody": "payment_method_invalid",
            },
            visibility_lag_s=LAG_S,
            told=Told(
                receiver=receiver, secret=endpoint["secret"], credentials=Credentials(credentials), refund=refund
            ),
        )
        await dashboard.call("DELETE", f"webhook_endpoints/{endpoint['id']}")
