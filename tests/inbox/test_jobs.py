"""The inbox's background work: woken at once, measured, and rid of what is old."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from bezant.base.db import Database
from bezant.inbox.jobs import expire_events
from bezant.inbox.records import Records
from bezant.inbox.rules import Status
from bezant.inbox.service import Inbox
from bezant.jobs.schedule import Job, Schedule
from bezant.psp.notices import Notice
from tests.inbox.acme import WEBHOOKS
from tests.inbox.conftest import Acme
from tests.inbox.served import World
from tests.support.platform import request
from tests.support.proxy import open_proxy
from tests.support.waiting import wait_until, wait_until_async


async def test_a_job_that_is_woken_runs_at_once_and_again_for_what_came_meanwhile():
    wake, gate, runs = asyncio.Event(), asyncio.Event(), 0

    async def run() -> int:
        nonlocal runs
        runs += 1
        await gate.wait()
        return 0

    async def has_run(times: int) -> bool:
        return runs == times

    schedule = Schedule([Job("job", run, every_s=3600, wake=wake)])
    schedule.start()
    await wait_until_async(lambda: has_run(1))
    wake.set()  # while it runs
    gate.set()
    await wait_until_async(lambda: has_run(2))
    wake.set()
    await wait_until_async(lambda: has_run(3))
    async with asyncio.timeout(5):
        await schedule.close(60)
    assert runs == 3


async def test_a_job_that_fails_is_not_hurried():
    wake, runs = asyncio.Event(), 0

    async def run() -> int:
        nonlocal runs
        runs += 1
        wake.set()
        raise OSError

    async def has_run() -> bool:
        return runs > 0

    schedule = Schedule([Job("job", run, every_s=3600, wake=wake)])
    schedule.start()
    await wait_until_async(has_run)
    async with asyncio.timeout(5):
        await schedule.close(60)
    assert runs == 1


async def test_what_was_settled_long_ago_is_deleted_and_what_stands_open_stays(quiet: Acme):
    def fill() -> None:
        for status in ("applied", "unknown", "aside", "waiting", "received"):
            for days in (89, 91):
                quiet.sql(
                    "INSERT INTO inbox_events (id, psp, event_id, type, body, status, reason, next_try_at,"
                    " occurred_at, received_at, settled_at)"
                    " SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')"
                    "     || substr(md5($1), 1, 20))::uuid, 'acme', $1, 'op.done', '{}', $2, 'r',"
                    " CASE WHEN $2 IN ('waiting', 'received') THEN now() END, at, at,"
                    " CASE WHEN $2 NOT IN ('waiting', 'received') THEN at END"
                    " FROM (SELECT now() - $3 * interval '1 day' AS at) AS moment",
                    f"{status} {days}", status, days,
                )  # fmt: skip

    await asyncio.to_thread(fill)
    database = Database(quiet.database_url, connections_max=1)
    await database.open()
    try:
        assert await expire_events(database, 90) == 2
        assert await expire_events(database, 90) == 0
    finally:
        await database.close()
    left = await asyncio.to_thread(quiet.sql, "SELECT event_id FROM inbox_events")
    assert {row[0] for row in left} == {
        "applied 89", "unknown 89", "aside 89", "aside 91", "waiting 89", "waiting 91", "received 89", "received 91",
    }  # fmt: skip


def test_what_waits_is_measured(quiet: Acme):
    quiet.says("w", "wait")
    quiet.says("a", "aside")
    with quiet.server(jobs=False) as quiet.url:
        quiet.tells("w")
        quiet.tells("a")
    with quiet.server() as quiet.url:
        quiet.becomes(quiet.sql("SELECT event_id FROM inbox_events LIMIT 1")[0][0], "waiting", "aside")

        def shown() -> bool:
            text = request(f"{quiet.url}/metrics", "GET").body.decode()
            return all(
                f'bezant_inbox_waiting_events{{psp="acme",status="{status}"}} 1.0' in text
                for status in ("waiting", "aside")
            )

        wait_until(shown, 20)
        assert "bezant_inbox_lag_seconds" in request(f"{quiet.url}/metrics", "GET").body.decode()


async def test_a_database_that_is_lost_is_all_that_applying_waits_for(deaf: Acme):
    async with open_proxy(deaf.database_url) as proxy:
        database = Database(proxy.url, connections_max=2)
        await database.open()
        world = World(database)
        inbox = Inbox(
            database,
            accounts=world.account,
            webhooks=WEBHOOKS,
            handlers={Notice: world.book},
            ask=world.ask,
            ask_timeout_s=5,
            rate_per_s=1,
            retention_days=90,
        )
        apply = next(job for job in inbox.jobs() if job.name == "inbox.apply")
        await asyncio.to_thread(deaf.tells, "r1")
        await proxy.cut()
        for _ in range(2):
            assert await apply.run() == 0, "a job that fails would be put off, each time for longer"
        await proxy.open()
        assert await apply.run() == 1
        await database.close()
    assert await asyncio.to_thread(deaf.booked) == ["r1"]


async def retry_all(database: Database) -> int:
    """What `bezant inbox retry --status waiting` does."""
    return await Records(database).retry_all(Status.WAITING, psp=None, type_=None, since=None)


async def expire(database: Database) -> int:
    """What the job does."""
    return await expire_events(database, 90)


WAITING = "status = 'waiting', next_try_at = now(), reason = 'early', settled_at = null"
RECEIVED = "status = 'received', next_try_at = now(), reason = null, settled_at = null"
APPLIED = "status = 'applied', next_try_at = null, reason = null, settled_at = now()"
UNKNOWN_LONG_AGO = "status = 'unknown', next_try_at = null, settled_at = now() - interval '91 days'"


@pytest.mark.parametrize(
    ("stands", "becomes", "work"),
    [(WAITING, APPLIED, retry_all), (UNKNOWN_LONG_AGO, RECEIVED, expire)],
    ids=["tried again", "deleted"],
)
async def test_what_becomes_something_else_meanwhile_is_left_alone(
    quiet: Acme, stands: str, becomes: str, work: Callable[[Database], Awaitable[int]]
):
    """Whoever applies an event, or has it tried again, holds its row at the moment at which all are looked through."""
    insert = (
        "INSERT INTO inbox_events (id, psp, event_id, type, body, status, next_try_at, occurred_at, received_at)"
        " VALUES ('019a0000-0000-7000-8000-000000000000', 'acme', 'evt_1', 'op.done', '{}', 'received', now(),"
        " now(), now())"
    )
    await asyncio.to_thread(quiet.sql, insert)
    await asyncio.to_thread(quiet.sql, f"UPDATE inbox_events SET {stands}")
    database = Database(quiet.database_url, connections_max=2)
    await database.open()
    holder, watcher = [await asyncpg.connect(quiet.database_url) for _ in range(2)]
    held = holder.transaction()
    await held.start()
    await holder.execute(f"UPDATE inbox_events SET {becomes}")
    working = asyncio.ensure_future(work(database))

    async def waits_or_is_done() -> bool:
        waits = (
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return working.done() or await watcher.fetchval(waits)

    await wait_until_async(waits_or_is_done)
    await held.commit()
    assert await working == 0
    assert await watcher.fetchval("SELECT status FROM inbox_events") == becomes.split("'")[1]
    for connection in (holder, watcher, database):
        await connection.close()
