"""The change of the master key: every sealed row, in small transactions, beside others, killed and repeated."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from bezant.base.db import Database
from bezant.base.master_key import derived
from bezant.base.sealed import Sealer, bound_to
from bezant.merchants.service import Merchants
from bezant.psp.account_secrets import AccountSecrets
from bezant.psp.desk import AccountDesk
from bezant.sealing.rotate import rotate, sealed_rows
from bezant.supported import CONNECTORS
from tests.support.accounts import SOMEBODY
from tests.support.verification import describe, verified

OLD, NEW, LOST = (derived(text * 16) for text in ("old", "new", "lost"))
ACCOUNTS = 120


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, connections_max=4)
    await database.open()
    yield database
    await database.close()


async def accounts(database: Database, number: int, *keys: bytes, prefix: str = "acc") -> list[str]:
    """So many merchants with an account each; the accounts' names."""
    merchants, desk = Merchants(database, 100), AccountDesk(database, CONNECTORS, Sealer(keys))
    names = [f"{prefix}-{n}" for n in range(number)]
    for name in names:
        made = await merchants.create(name, "USD", "simulator")
        held = AccountSecrets({"secret_key": f"sk_test_{name}"}, (f"whsec_{name}_0123456789",))
        await desk.create(name, "stripe", made.merchant_id, held, SOMEBODY)
    return names


async def endpoint(database: Database, key: bytes) -> None:
    """A row of another table, sealed for it."""
    made = await Merchants(database, 100).create("with an endpoint", "USD", "simulator")
    merchant_id = made.merchant_id.partition("_")[2]
    async with database.transaction() as transaction:
        row_id = await transaction.connection.fetchval("SELECT gen_random_uuid()")
        key_id, sealed = Sealer([key]).seal(b"a signing secret", bound_to("webhook_endpoints", row_id))
        await transaction.connection.execute(
            "INSERT INTO webhook_endpoints (id, merchant_id, url, key_id, sealed, created_at, updated_at)"
            " VALUES ($1, $2::text::uuid, 'https://shop.example/hooks', $3, $4, now(), now())",
            row_id, merchant_id, key_id, sealed,
        )  # fmt: skip


async def test_every_row_opens_under_the_new_key_alone_afterwards(database: Database, database_url: str) -> None:
    await accounts(database, ACCOUNTS, OLD)
    await endpoint(database, OLD)
    counted: list[int] = []
    rotated = await rotate(database, Sealer([NEW, OLD]), counted.append)
    assert rotated.rows == {"psp_accounts": ACCOUNTS, "webhook_endpoints": 1}
    assert (rotated.unopened, sum(counted)) == ([], ACCOUNTS + 1)
    assert max(counted) <= 50, "a transaction is small"
    report = await verified(database_url, Sealer([NEW]))
    assert report.ok, describe(report)
    assert [(rows.key, rows.rows) for rows in await sealed_rows(database, Sealer([NEW]))] == [
        ("newest", ACCOUNTS),
        ("newest", 1),
    ]


async def test_accounts_carry_the_time_of_the_change_and_merchants_endpoints_do_not(database: Database) -> None:
    """Processes that run look for changed accounts by their time; what merchants see of theirs has not changed."""
    await accounts(database, 1, OLD)
    await endpoint(database, OLD)
    before = await times(database)
    await rotate(database, Sealer([NEW, OLD]), lambda _: None)
    after = await times(database)
    assert after[0] > before[0]
    assert after[1] == before[1]


async def times(database: Database) -> tuple[datetime, datetime]:
    async with database.connection() as connection:
        return (
            await connection.fetchval("SELECT updated_at FROM psp_accounts"),
            await connection.fetchval("SELECT updated_at FROM webhook_endpoints"),
        )


async def test_a_repeat_finds_nothing_to_do(database: Database) -> None:
    await accounts(database, 3, OLD)
    await rotate(database, Sealer([NEW, OLD]), lambda _: None)
    before = await contents(database)
    again = await rotate(database, Sealer([NEW, OLD]), lambda _: None)
    assert sum(again.rows.values()) == 0
    assert await contents(database) == before


async def contents(database: Database) -> list[bytes]:
    async with database.connection() as connection:
        return [row[0] for row in await connection.fetch("SELECT sealed FROM psp_accounts ORDER BY id")]


async def test_rows_that_no_key_opens_are_named_and_left_and_hold_up_nobody(database: Database) -> None:
    lost = await accounts(database, 60, LOST, prefix="lost")
    await accounts(database, 60, OLD, LOST, prefix="kept")
    rotated = await rotate(database, Sealer([NEW, OLD]), lambda _: None)
    assert rotated.rows["psp_accounts"] == 60
    assert len(rotated.unopened) == len(lost)
    assert {row.key for row in await sealed_rows(database, Sealer([NEW, OLD]))} == {"newest", "missing"}
    assert (await rotate(database, Sealer([NEW, LOST]), lambda _: None)).rows["psp_accounts"] == 60


async def test_what_is_changed_meanwhile_is_not_undone(database: Database) -> None:
    """Operators change credentials while the key is changed: the last word of each stands, under some given key."""
    names = await accounts(database, 40, OLD)
    both = Sealer([NEW, OLD])
    desk = AccountDesk(database, CONNECTORS, both)

    async def change(name: str) -> None:
        await desk.rotate_credentials(name, {"secret_key": f"sk_test_{name}_changed"}, SOMEBODY)
        await desk.add_webhook_secret(name, f"whsec_{name}_another_one", SOMEBODY)

    await asyncio.gather(
        *(change(name) for name in names),
        *(rotate(database, both, lambda _: None) for _ in range(3)),
    )
    await rotate(database, both, lambda _: None)
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT id, name, key_id, sealed FROM psp_accounts")
    assert len(rows) == len(names)
    for row_id, name, key_id, sealed in rows:
        opened = Sealer([NEW]).open(key_id, sealed, bound_to("psp_accounts", row_id))
        assert f"sk_test_{name}_changed".encode() in opened
        assert f"whsec_{name}_another_one".encode() in opened


async def test_a_row_copied_over_another_does_not_open(database: Database) -> None:
    await accounts(database, 2, OLD)
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE psp_accounts SET sealed = (SELECT sealed FROM psp_accounts WHERE name = 'acc-0')"
            " WHERE name = 'acc-1'"
        )
    rotated = await rotate(database, Sealer([NEW, OLD]), lambda _: None)
    assert (rotated.rows["psp_accounts"], len(rotated.unopened)) == (1, 1)
