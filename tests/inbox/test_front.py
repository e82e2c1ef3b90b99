"""A look at what is due begins where the last one ended, and now and then at the start."""

import asyncio
from datetime import datetime, timedelta
from uuid import uuid4

from bezant.base.db import Database
from bezant.inbox.apply import Apply
from bezant.inbox.front import START, Front
from bezant.inbox.metrics import InboxMetrics
from bezant.inbox.rules import Kept
from tests.inbox.acme import AT, WEBHOOKS, body_of, event
from tests.inbox.conftest import Acme
from tests.inbox.served import World
from tests.support.waiting import wait_until

MINUTE = timedelta(minutes=1)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def due(*times: datetime) -> list[Kept]:
    return [Kept(uuid4(), "acme", None, None, "evt_1", "op.done", b"", AT, 0, at) for at in times]


def test_the_first_look_begins_at_the_start_and_the_next_where_it_ended():
    front = Front(Clock())
    assert front.begin_at() == START
    assert front.begin_at() == START, "a look that was not finished is none"
    front.looked(due(AT, AT + MINUTE), is_all=False, now=AT + 5 * MINUTE)
    assert front.begin_at() == AT + MINUTE


def test_after_all_was_seen_what_commits_late_is_still_found():
    front = Front(Clock())
    front.begin_at()
    front.looked(due(AT), is_all=True, now=AT + 5 * MINUTE)
    assert front.begin_at() == AT + 4 * MINUTE
    front.looked([], is_all=True, now=AT + 4 * MINUTE)
    assert front.begin_at() == AT + 4 * MINUTE, "it never moves back by itself"


def test_now_and_then_and_when_told_it_begins_at_the_start():
    clock = Clock()
    front = Front(clock)
    for again in (lambda: None, front.go_back, lambda: setattr(clock, "now_s", clock.now_s + 10)):
        again()
        assert front.begin_at() == START
        front.looked([], is_all=True, now=AT)
        assert front.begin_at() == AT - MINUTE
    clock.now_s += 9
    assert front.begin_at() == AT - MINUTE


def test_what_another_process_left_behind_the_front_is_found(deaf: Acme):
    """Rows that are older than what was applied last become visible later: they are not lost behind the front."""
    assert deaf.post(body_of(*(event(f"old{n}", f"a{n}") for n in range(3)))).status == 200
    deaf.sql("UPDATE inbox_events SET next_try_at = next_try_at - interval '1 hour'")
    deaf.says("a1", "wait")
    with deaf.server() as deaf.url:
        kept = deaf.becomes("old1", "waiting")
        deaf.tells("new")
        wait_until(lambda: deaf.booked() == ["a0", "a2", "new"])
        deaf.says("a1", "apply")
        deaf.sql("UPDATE inbox_events SET next_try_at = now() - interval '2 hours' WHERE id = $1", kept["id"])
        deaf.becomes("old1", "applied")


async def test_a_look_that_finds_nothing_is_not_taken_from_the_start_again(deaf: Acme):
    """While nothing comes, what was applied before is stepped over now and then only, and not at each look."""
    database = Database(deaf.database_url, connections_max=2)
    await database.open()
    try:
        apply = Apply(
            database,
            WEBHOOKS,
            {},
            World(database).ask,
            InboxMetrics(),
            batch_max=64,
            lease_s=30,
            more_is_due=lambda: None,
            committed=lambda: None,
        )
        assert not await apply.is_due()
        await asyncio.to_thread(deaf.tells, "r1")
        for age, is_due in (("2 minutes", False), ("0 minutes", True)):
            await asyncio.to_thread(deaf.sql, f"UPDATE inbox_events SET next_try_at = now() - interval '{age}'")
            assert await apply.is_due() is is_due
    finally:
        await database.close()
