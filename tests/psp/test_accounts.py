"""What one process knows of accounts: by id, by the name in an address, and how it hears of changes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bezant.base import ids
from bezant.base.config import Settings
from bezant.base.db import Database, DatabaseLost
from bezant.base.errors import OperatorError
from bezant.base.master_key import add_kept_key, derived
from bezant.base.sealed import Sealer
from bezant.merchants.service import Merchants
from bezant.psp.account_secrets import AccountSecrets
from bezant.psp.accounts import Accounts
from bezant.psp.call import Endpoint
from bezant.psp.desk import AccountDesk
from bezant.psp.registry import endpoints
from bezant.sealing.rotate import rotate
from bezant.supported import CONNECTORS
from tests.support.accounts import SOMEBODY
from tests.support.proxy import Proxy
from tests.support.verification import TEST_SEALER

OWN = endpoints(CONNECTORS, {}, {"simulator": {"webhook_secret": "of the platform"}})


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, connections_max=4)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def desk(database: Database) -> AccountDesk:
    return AccountDesk(database, CONNECTORS, TEST_SEALER)


def known(database: Database, sealer: Sealer = TEST_SEALER) -> Accounts:
    """What a process that has just started knows."""
    return Accounts(database, CONNECTORS, OWN, {}, sealer)


async def merchant(database: Database) -> str:
    return (await Merchants(database, 100).create("Acme", "USD", "simulator")).merchant_id


async def opened(database: Database, desk: AccountDesk, name: str, key: str = "sim_acme") -> str:
    """A new account of a new merchant."""
    held = AccountSecrets({"api_key": key}, (f"whsec_of_{name}_0123",))
    return (await desk.create(name, "simulator", await merchant(database), held, SOMEBODY)).account_id


def key_of(endpoint: Endpoint | None) -> str | None:
    return None if endpoint is None else endpoint.credentials.fields["api_key"]


async def by_id(accounts: Accounts, account_id: str) -> Endpoint | None:
    parsed = ids.parse(ids.PSP_ACCOUNT, account_id)
    assert parsed is not None
    return await accounts.find("simulator", parsed)


async def test_an_address_without_a_name_is_the_platforms_own(database: Database) -> None:
    own = await known(database).by_name("simulator", None)
    assert own is not None
    assert (own.webhook_secrets, own.account_id, own.merchant_id) == (("of the platform",), None, None)
    assert await known(database).by_name("stripe", None) is None
    assert await known(database).by_name("nobody", None) is None


async def test_a_named_account_is_found_by_name_and_id_at_its_own_psp_alone(
    database: Database, desk: AccountDesk
) -> None:
    account_id = await opened(database, desk, "acme")
    accounts = known(database)
    found = await accounts.by_name("simulator", "acme")
    assert found is not None
    assert (key_of(found), found.webhook_secrets, found.name) == ("sim_acme", ("whsec_of_acme_0123",), "acme")
    assert ids.show(ids.PSP_ACCOUNT, found.account_id or ids.new_id()) == account_id
    assert await by_id(accounts, account_id) is found
    assert await accounts.by_name("stripe", "acme") is None
    assert await accounts.find("stripe", found.account_id or ids.new_id()) is None
    assert await accounts.by_name("simulator", "other") is None
    assert await accounts.find("simulator", ids.new_id()) is None


async def test_an_account_that_was_made_just_now_is_found_at_once_by_its_id(
    database: Database, desk: AccountDesk
) -> None:
    """A payment may name it a millisecond later, in a process that has just looked."""
    accounts = known(database)
    for number in range(5):
        await accounts.refresh()
        account_id = await opened(database, desk, f"acme-{number}", f"sim_{number}")
        assert key_of(await by_id(accounts, account_id)) == f"sim_{number}"


async def test_many_who_ask_at_once_are_answered_by_one_reading(database: Database, desk: AccountDesk) -> None:
    account_id = await opened(database, desk, "acme")
    accounts = known(database)
    found = await asyncio.gather(*(by_id(accounts, account_id) for _ in range(200)))
    assert {key_of(endpoint) for endpoint in found} == {"sim_acme"}


async def test_names_that_nobody_has_are_not_looked_for_each_time(database_url: str, desk: AccountDesk) -> None:
    """Whoever guesses names does not keep the database busy: with the line cut, only a reading would raise."""
    proxy = Proxy(database_url)
    await proxy.open()
    database = Database(proxy.url, connections_max=2)
    await database.open()
    try:
        accounts = known(database)
        await accounts.refresh()
        await proxy.cut()
        for number in range(100):
            assert await accounts.by_name("simulator", f"guess-{number}") is None
    finally:
        await database.close()
        await proxy.close()


async def test_without_the_database_the_known_are_found_and_strangers_are_an_outage(
    database_url: str, database: Database, desk: AccountDesk
) -> None:
    account_id = await opened(database, desk, "acme")
    proxy = Proxy(database_url)
    await proxy.open()
    behind = Database(proxy.url, connections_max=2)
    await behind.open()
    try:
        accounts, cold = known(behind), known(behind)
        await accounts.refresh()
        await proxy.cut()
        assert key_of(await by_id(accounts, account_id)) == "sim_acme"
        assert key_of(await accounts.by_name("simulator", "acme")) == "sim_acme"
        assert await by_id(cold, account_id) is None
        outcomes = await asyncio.gather(*(cold.by_name("simulator", "acme") for _ in range(50)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {DatabaseLost}
        with pytest.raises(DatabaseLost):
            await accounts.refresh()
        await proxy.open()
        assert key_of(await by_id(cold, account_id)) == "sim_acme"
    finally:
        await behind.close()
        await proxy.close()


def test_credentials_of_accounts_do_not_travel_in_the_clear_either(database_url: str) -> None:
    """At a PSP of which the platform has no credentials itself."""
    database, urls = Database(database_url, connections_max=1), {"stripe": "http://10.0.0.1"}
    with pytest.raises(OperatorError, match=r"^BEZANT_PSP_STRIPE_URL: credentials are sent over https only"):
        Accounts(database, CONNECTORS, endpoints(CONNECTORS, urls, {}), urls, TEST_SEALER)


async def test_changes_are_heard_of_at_the_next_reading_and_only_they_count(
    database: Database, desk: AccountDesk
) -> None:
    for name in ("acme", "other"):
        await opened(database, desk, name)
    accounts = known(database)
    assert await accounts.refresh() == 2
    assert await accounts.refresh() == 0
    await desk.rotate_credentials("acme", {"api_key": "sim_next"}, SOMEBODY)
    await desk.add_webhook_secret("acme", "whsec_another_0123456", SOMEBODY)
    await desk.close("other", SOMEBODY)
    assert await accounts.refresh() == 1
    acme, other = await accounts.by_name("simulator", "acme"), await accounts.by_name("simulator", "other")
    assert acme is not None
    assert (key_of(acme), acme.webhook_secrets) == ("sim_next", ("whsec_another_0123456", "whsec_of_acme_0123"))
    assert key_of(other) == "sim_acme", "closed, it still hears of what it holds"


async def test_an_account_that_does_not_open_is_not_usable_until_it_does(database: Database, desk: AccountDesk) -> None:
    strange = Sealer([derived("strange" * 16)])
    account_id = await opened(database, AccountDesk(database, CONNECTORS, strange), "acme")
    accounts = known(database)
    assert await by_id(accounts, account_id) is None
    assert await accounts.by_name("simulator", "acme") is None
    await desk.rotate_credentials("acme", {"api_key": "sim_mended"}, SOMEBODY, discard=True)
    assert await accounts.refresh() == 1
    assert key_of(await by_id(accounts, account_id)) == "sim_mended"


async def test_a_kept_key_that_comes_late_opens_what_did_not(database: Database, tmp_path: Path) -> None:
    """The row is read before the key: it is tried again without having been changed."""
    settings, elsewhere = Settings(home=tmp_path / "a"), Settings(home=tmp_path / "b")
    running = known(database, Sealer(settings.master_keys()))
    newer = Sealer(elsewhere.master_keys())
    account_id = await opened(database, AccountDesk(database, CONNECTORS, newer), "acme")
    assert await by_id(running, account_id) is None
    assert settings.kept_master_key is not None
    assert elsewhere.kept_master_key is not None
    elsewhere.kept_master_key.replace(settings.kept_master_key)
    assert await running.refresh() == 1
    assert key_of(await by_id(running, account_id)) == "sim_acme"


async def test_a_change_of_the_master_key_is_not_noticed_by_who_uses_an_account(
    database: Database, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path)
    sealer = Sealer(settings.master_keys())
    account_id = await opened(database, AccountDesk(database, CONNECTORS, sealer), "acme")
    accounts = known(database, Sealer(settings.master_keys()))
    assert key_of(await by_id(accounts, account_id)) == "sim_acme"
    assert settings.kept_master_key is not None
    add_kept_key(settings.kept_master_key)
    await rotate(database, sealer, lambda _: None)
    await accounts.refresh()
    assert key_of(await by_id(accounts, account_id)) == "sim_acme"
