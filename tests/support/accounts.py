"""Merchants' accounts at the simulator, made as an operator makes them, before a witness of the keys in use."""

from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from bezant.audit.record import By
from bezant.base.db import Database
from bezant.base.sealed import Sealer
from bezant.psp.account_secrets import AccountSecrets
from bezant.psp.desk import AccountDesk, AccountView
from bezant.supported import CONNECTORS
from tests.support.databases import run
from tests.support.keys_seen import KeysSeen, keys_seen
from tests.support.platform import Api, Merchant, Platform
from tests.support.simulator import running_simulator
from tests.support.verification import TEST_SEALER

T = TypeVar("T")

OWN_KEY = "sim_of_the_platform"
SOMEBODY = By("os:tests", "as the test wants it")


class Accountable:
    """A running platform; `psp` remembers with which keys its PSP is called."""

    def __init__(self, platform: Platform, psp: KeysSeen) -> None:
        self.platform = platform
        self.psp = psp

    def at_desk(self, work: Callable[[AccountDesk], Coroutine[Any, Any, T]], sealer: Sealer = TEST_SEALER) -> T:
        """Do what the operator's command does, in this process."""
        return run(at_desk(self.platform.database_url, work, sealer))

    def account_of(self, shop: Merchant, name: str, key: str, *, psp: str = "simulator") -> AccountView:
        """A new account of the merchant, called with this key."""
        field = "api_key" if psp == "simulator" else "secret_key"
        secrets = AccountSecrets({field: key}, ())
        return self.at_desk(lambda desk: desk.create(name, psp, shop.merchant_id, secrets, SOMEBODY))

    def close(self, name: str) -> None:
        """Close an account."""
        self.at_desk(lambda desk: desk.close(name, SOMEBODY))


async def at_desk(
    database_url: str, work: Callable[[AccountDesk], Coroutine[Any, Any, T]], sealer: Sealer = TEST_SEALER
) -> T:
    """`work` at a desk on the database."""
    database = Database(database_url, connections_max=1, application="bezant test")
    await database.open()
    try:
        return await work(AccountDesk(database, CONNECTORS, sealer))
    finally:
        await database.close()


def added_to(environment: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    """The environment with `env`; what is empty there is left out."""
    return {name: value for name, value in {**environment, **env}.items() if value}


@contextmanager
def accountable(
    database_url: str, home: Path, *options: str, envs: Sequence[Mapping[str, str]] = ({},), state: Path | None = None
) -> Generator[Accountable]:
    """A simulator, a witness before it, and an API for each of `envs`, added to its environment."""
    with running_simulator(state) as simulator, keys_seen(simulator.url) as psp:
        own = {
            "BEZANT_PSP_SIMULATOR_URL": psp.url,
            "BEZANT_PSP_SIMULATOR_API_KEY": OWN_KEY,
            "BEZANT_PSP_STRIPE_URL": psp.url,
        }
        platform = Platform(database_url, home, simulator, own)
        platform.apis = [Api(added_to(platform.env, env), *options) for env in envs]
        try:
            for api in platform.apis:
                api.launch()
            for api in platform.apis:
                api.wait_until_ready()
            yield Accountable(platform, psp)
        finally:
            for api in platform.apis:
                api.kill()
