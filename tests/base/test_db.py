"""The database: errors by what may be done next, transactions that leave nothing behind, none across a PSP call."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime

import asyncpg
import pytest
import pytest_asyncio

from bezant.base.db import Database, DatabaseLost, DataRefused, TransactionRolledBack, transaction_is_open
from bezant.connectors import simulator
from bezant.psp.call import Caller, Endpoint
from bezant.psp.contract import Ask, Credentials, Operation, PspRequest
from tests.support.processes import free_port
from tests.support.waiting import wait_until_async

SETTINGS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_bitmapscan", "jit")
SHOW = "SELECT " + ", ".join(f"current_setting('{name}')" for name in SETTINGS)


@pytest_asyncio.fixture
async def database(empty_database_url: str) -> AsyncIterator[Database]:
    """With one connection only: what a transaction leaves behind, the next one meets."""
    opened = Database(empty_database_url, connections_max=1, application="test db")
    await opened.open()
    yield opened
    await opened.close()


async def count(database: Database) -> int:
    async with database.connection() as connection:
        return await connection.fetchval("SELECT count(*) FROM facts")


@pytest_asyncio.fixture
async def facts(database: Database) -> Database:
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE facts (id integer, CONSTRAINT facts_positive CHECK (id > 0))")
        await connection.execute(
            "ALTER TABLE facts ADD CONSTRAINT facts_once UNIQUE (id) DEFERRABLE INITIALLY DEFERRED"
        )
    return database


async def in_transaction(database: Database, *statements: str) -> None:
    async with database.transaction() as transaction:
        for statement in statements:
            await transaction.connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "sqlstate", "constraint"),
    [
        ("SELECT 1 / 0", "22012", None),
        ("SELECT 'x'::text::integer", "22P02", None),
        ("INSERT INTO facts VALUES (-1)", "23514", "facts_positive"),
        ("INSERT INTO facts VALUES (1), (1); SET CONSTRAINTS ALL IMMEDIATE", "23505", "facts_once"),
    ],
)
async def test_data_refused(facts: Database, statement: str, sqlstate: str, constraint: str | None) -> None:
    with pytest.raises(DataRefused) as refused:
        await in_transaction(facts, statement)
    assert (refused.value.sqlstate, refused.value.constraint) == (sqlstate, constraint)
    assert await count(facts) == 0


async def test_promise_that_is_checked_at_commit_refuses_there(facts: Database) -> None:
    with pytest.raises(DataRefused) as refused:
        await in_transaction(facts, "INSERT INTO facts VALUES (1), (1)")
    assert refused.value.constraint == "facts_once"
    assert not transaction_is_open()
    assert await count(facts) == 0


async def test_refusals_outside_of_transactions_are_sorted_too(facts: Database) -> None:
    with pytest.raises(DataRefused):
        async with facts.connection() as connection:
            await connection.execute("INSERT INTO facts VALUES (-1)")


async def test_one_statement_commits_by_itself_and_leaves_the_connection_as_it_was(facts: Database) -> None:
    async with facts.statement() as connection:
        await connection.execute("INSERT INTO facts VALUES (1)")
    with pytest.raises(DataRefused):
        async with facts.statement() as connection:
            await connection.execute("INSERT INTO facts VALUES (-1)")
    await in_transaction(facts, "INSERT INTO facts VALUES (2)")
    assert await count(facts) == 2


async def test_one_statement_that_takes_too_long_is_lost_and_the_next_one_works(facts: Database) -> None:
    with pytest.raises(DatabaseLost):
        async with facts.statement(timeout_s=0.2) as connection:
            await connection.execute("SELECT pg_sleep(30)")
    async with facts.statement() as connection:
        assert await connection.fetchval("SELECT count(*) FROM facts") == 0


async def test_serialisation_failure_may_be_run_again(facts: Database, empty_database_url: str) -> None:
    rival = await asyncpg.connect(empty_database_url)
    await rival.execute("INSERT INTO facts VALUES (1)")

    async def overtaken() -> None:
        async with facts.transaction() as transaction:
            await transaction.connection.execute("ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ")
            await transaction.connection.fetch("SELECT * FROM facts")
            await rival.execute("UPDATE facts SET id = 2")
            await transaction.connection.execute("UPDATE facts SET id = 3")

    with pytest.raises(TransactionRolledBack):
        await overtaken()
    await rival.close()
    async with facts.connection() as connection:
        assert await connection.fetchval("SELECT id FROM facts") == 2


async def test_connection_that_breaks_is_lost_and_the_next_one_works(facts: Database) -> None:
    with pytest.raises(DatabaseLost):
        await in_transaction(facts, "INSERT INTO facts VALUES (1)", "SELECT pg_terminate_backend(pg_backend_pid())")
    assert await count(facts) == 0


async def test_connection_that_breaks_before_commit_is_lost(facts: Database, empty_database_url: str) -> None:
    rival = await asyncpg.connect(empty_database_url)

    async def cut_off() -> None:
        async with facts.transaction() as transaction:
            await transaction.connection.execute("INSERT INTO facts VALUES (1)")
            pid = await transaction.connection.fetchval("SELECT pg_backend_pid()")
            await rival.execute("SELECT pg_terminate_backend($1, 5000)", pid)

    with pytest.raises(DatabaseLost):
        await cut_off()
    await rival.close()
    assert await count(facts) == 0


async def test_server_that_is_not_there_is_lost() -> None:
    away = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing", connections_max=1)
    with pytest.raises(DatabaseLost):
        async with away.connection() as connection:
            await connection.fetchval("SELECT 1")
    await away.open()
    for use in (away.connection, away.transaction, away.statement):
        with pytest.raises(DatabaseLost):
            async with use():
                pytest.fail("there is no server")
    await away.close()


async def test_mistake_in_a_statement_is_a_defect(database: Database) -> None:
    with pytest.raises(asyncpg.PostgresSyntaxError):
        async with database.transaction() as transaction:
            await transaction.connection.execute("SELEKT 1")


async def test_settings_are_of_the_transaction_only(database: Database) -> None:
    async with database.connection() as connection:
        before = await connection.fetchrow(SHOW)
    async with database.transaction() as transaction:
        assert list(await transaction.connection.fetchrow(SHOW)) == ["off"] * len(SETTINGS)
    with pytest.raises(RuntimeError):
        async with database.transaction():
            raise RuntimeError
    async with database.connection() as connection:
        assert await connection.fetchrow(SHOW) == before
        assert before[0] == "on"


async def test_transaction_knows_its_number_and_the_databases_time(facts: Database) -> None:
    async with facts.transaction() as first:
        assert await first.connection.fetchval("SELECT pg_current_xact_id()::text::bigint") == first.xid
        assert await first.connection.fetchval("SELECT now()") == first.now
        assert first.now.tzinfo is not None
        await first.connection.execute("INSERT INTO facts VALUES (1)")
    async with facts.transaction() as second:
        assert second.xid > first.xid
        later: datetime = second.now
        assert later >= first.now
    assert await count(facts) == 1


async def test_what_raises_rolls_back(facts: Database) -> None:

    async def gives_up() -> None:
        async with facts.transaction() as transaction:
            await transaction.connection.execute("INSERT INTO facts VALUES (1)")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await gives_up()
    assert await count(facts) == 0


async def test_task_that_is_cancelled_in_a_statement_leaves_a_usable_connection(facts: Database) -> None:
    is_in = asyncio.Event()

    async def work() -> None:
        async with facts.transaction() as transaction:
            await transaction.connection.execute("INSERT INTO facts VALUES (1)")
            is_in.set()
            await transaction.connection.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(work())
    await is_in.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(facts) == 0
    assert not transaction_is_open()


async def test_whether_a_transaction_is_open_is_known_per_task(database: Database) -> None:
    async def elsewhere() -> bool:
        return transaction_is_open()

    assert not transaction_is_open()
    begun = asyncio.Event()

    async def waits() -> bool:
        await begun.wait()
        return transaction_is_open()

    other = asyncio.create_task(waits())
    async with database.transaction():
        assert transaction_is_open()
        assert await elsewhere()
        begun.set()
        assert not await other
    assert not transaction_is_open()
    with pytest.raises(RuntimeError):
        async with database.transaction():
            raise RuntimeError
    assert not transaction_is_open()


async def test_no_psp_is_called_while_a_transaction_is_open(database: Database) -> None:
    sent: list[PspRequest] = []

    async def transport(_: str, request: PspRequest, __: object) -> tuple[int, bytes]:
        sent.append(request)
        return 404, b"{}"

    endpoint = Endpoint(simulator.CONNECTOR, "http://psp.invalid", Credentials())
    caller = Caller({"simulator": endpoint}, transport, timeout_s=1, concurrency=1)
    ask = Ask(
        operation=Operation.AUTHORIZE,
        reference="att_1",
        payment_reference="order",
        amount_minor=1,
        currency="USD",
        payment_method="pm_card_visa",
    )
    async with database.transaction():
        with pytest.raises(AssertionError, match="transaction is open"):
            await caller.perform("simulator", ask, time.monotonic() + 10)
        with pytest.raises(AssertionError, match="transaction is open"):
            await caller.fetch("simulator", ask)
    assert sent == []
    await caller.perform("simulator", ask, time.monotonic() + 10)
    assert len(sent) == 1


async def test_pool_is_bounded(empty_database_url: str) -> None:
    database = Database(empty_database_url, connections_max=2, application="bounded")
    await database.open()
    release = asyncio.Event()

    async def hold() -> None:
        async with database.connection() as connection:
            await connection.fetchval("SELECT 1")
            await release.wait()

    tasks = [asyncio.create_task(hold()) for _ in range(5)]
    watcher = await asyncpg.connect(empty_database_url)
    mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bounded'"

    async def two_are_there() -> bool:
        return await watcher.fetchval(mine) == 2

    await wait_until_async(two_are_there)
    release.set()
    await asyncio.gather(*tasks)
    assert await watcher.fetchval(mine) == 2
    await watcher.close()
    await database.close()
