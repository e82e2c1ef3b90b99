"""The relay: every committed event reaches every sink, in order per payment, whoever else is slow, stuck or gone."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from bezant.base import ids
from bezant.base.db import Database
from bezant.jobs.schedule import Schedule
from bezant.outbox.jobs import relay_jobs
from bezant.outbox.metrics import RelayMetrics
from bezant.outbox.relay import Relay, RelayTerms
from bezant.outbox.status import CursorView, by_sink, cursors
from bezant.sinks.contract import Sink
from tests.support.events import Author, KeepingSink, names_of
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until_async

AT_ONCE = RelayTerms(gather_s=0.0, back_off_s=(0.0, 0.0))


def relay_of(database: Database, *sinks: Sink, terms: RelayTerms = AT_ONCE) -> Relay:
    return Relay(database, sinks, RelayMetrics(), terms)


async def tell_all(relay: Relay, sink: Sink) -> int:
    """Rounds until nothing is left."""
    told = 0
    while count := await relay.run(sink):
        told += count
    return told


async def is_at_it(sink: KeepingSink) -> bool:
    """Whether it has been given something and waits at its gate."""
    return sink.waiting > 0


async def of(database: Database, sink: Sink) -> list[CursorView]:
    return [view for view in await cursors(database) if view.sink == sink.name]


async def delivered(database: Database, sink: Sink) -> int:
    return sum(view.delivered for view in await of(database, sink))


async def test_every_event_is_told_once_and_those_of_a_payment_in_order(database: Database, author: Author) -> None:
    sink = KeepingSink()
    payments = [ids.new_id() for _ in range(40)]
    for _ in range(3):
        await author.say(*payments, None, times=2)
    relay = relay_of(database, sink, terms=msgspec.structs.replace(AT_ONCE, events_max=5))
    assert await tell_all(relay, sink) == 41 * 6
    assert names_of(sink.bodies()) == author.said
    assert len(sink.taken) == 41 * 6
    assert await delivered(database, sink) == 41 * 6
    assert await relay.run(sink) == 0


async def test_event_of_an_open_transaction_is_waited_for_and_not_skipped(database: Database, author: Author) -> None:
    sink = KeepingSink()
    relay = relay_of(database, sink)
    slow, fast = ids.new_id(), ids.new_id()
    fast = fast if fast.int % 16 == slow.int % 16 else type(fast)(int=(fast.int & ~0xF) | (slow.int & 0xF))
    async with database.transaction() as older:
        await author.write(older, slow)
        async with database.transaction() as younger:
            assert younger.xid > older.xid
            await author.write(younger, fast)
        assert await relay.run(sink) == 0
    await author.until_shown(older, younger)
    assert await tell_all(relay, sink) == 2
    assert [envelope.key for envelope in sink.taken] == [ids.show(ids.PAYMENT, each) for each in (slow, fast)]


async def test_rolled_back_events_are_told_to_nobody(database: Database, author: Author) -> None:
    sink = KeepingSink()

    async def given_up() -> None:
        async with database.transaction() as transaction:
            await author.write(transaction, ids.new_id())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await given_up()
    assert await relay_of(database, sink).run(sink) == 0


async def test_two_relays_share_the_work_and_tell_nothing_twice(database: Database, author: Author) -> None:
    one, two = KeepingSink(), KeepingSink()
    payments = [ids.new_id() for _ in range(100)]
    await author.say(*payments, times=3)
    half = msgspec.structs.replace(AT_ONCE, shards_max=8)
    relays = (relay_of(database, one, terms=half), relay_of(database, two, terms=half))
    one.gate.clear()
    two.gate.clear()
    rounds = [asyncio.create_task(relay.run(sink)) for relay, sink in zip(relays, (one, two), strict=True)]
    await wait_until_async(lambda: is_at_it(one))
    await wait_until_async(lambda: is_at_it(two))
    one.gate.set()
    two.gate.set()
    assert all(await asyncio.gather(*rounds))
    await asyncio.gather(*(tell_all(relay, sink) for relay, sink in zip(relays, (one, two), strict=True)))
    assert one.taken
    assert two.taken
    assert len(one.taken) + len(two.taken) == 300
    assert names_of(one.bodies() + two.bodies()) == author.said


async def test_stuck_sink_does_not_hold_back_another(database: Database, author: Author) -> None:
    stuck, healthy = KeepingSink("stuck"), KeepingSink("healthy")
    stuck.gate.clear()
    terms = RelayTerms(publish_max_s=0.3, back_off_s=(0.05, 0.1))
    metrics = RelayMetrics()
    relay = Relay(database, (stuck, healthy), metrics, terms)
    schedule = Schedule(relay_jobs(database, relay, metrics))
    schedule.start()
    payments = [ids.new_id() for _ in range(30)]
    for _ in range(5):
        await author.say(*payments)
        relay.wake()

    async def healthy_has_all() -> bool:
        return len(healthy.taken) == 150

    async def stuck_has_failed() -> bool:
        (view,) = by_sink(await of(database, stuck))
        return view.failing > 0 and view.last_error == "not acknowledged in time" and view.waiting == 150

    await wait_until_async(healthy_has_all)
    await wait_until_async(stuck_has_failed)
    assert stuck.taken == []
    stuck.gate.set()

    async def stuck_has_caught_up() -> bool:
        return await delivered(database, stuck) == 150

    await wait_until_async(stuck_has_caught_up)
    await schedule.close(5)
    await relay.close()
    assert names_of(stuck.bodies()) == names_of(healthy.bodies()) == author.said
    assert not any(view.last_error for view in await of(database, stuck))


async def test_what_is_refused_holds_back_its_own_shard_alone(database: Database, author: Author) -> None:
    sink = KeepingSink()
    payments = [ids.new_id() for _ in range(64)]
    await author.say(*payments, times=2)
    bad = ids.show(ids.PAYMENT, payments[0])
    sink.refused.add(bad)
    relay = relay_of(database, sink, terms=msgspec.structs.replace(AT_ONCE, back_off_s=(3600.0, 3600.0)))
    await tell_all(relay, sink)
    shard = payments[0].int % 16
    views = {view.shard: view for view in await of(database, sink)}
    assert views[shard].delivered == 0
    assert views[shard].last_error == f"{bad} is refused"
    assert views[shard].next_try_at is not None
    others = [payment for payment in payments if payment.int % 16 != shard]
    assert await delivered(database, sink) == 2 * len(others)
    sink.refused.clear()
    assert await relay.run(sink) == 0, "it is tried again before its time"
    async with database.connection() as connection:
        await connection.execute("UPDATE outbox_cursors SET next_try_at = now()")
    await tell_all(relay, sink)
    assert names_of(sink.bodies()) == author.said


async def test_what_lies_before_a_refused_event_is_told_and_nothing_behind_it(
    database: Database, author: Author
) -> None:
    sink = KeepingSink()
    before, bad, behind = (type(each)(int=each.int & ~0xF) for each in (ids.new_id(), ids.new_id(), ids.new_id()))
    await author.say(*[before] * 37)
    await author.say(bad)
    await author.say(behind, before)
    sink.refused.add(ids.show(ids.PAYMENT, bad))
    relay = relay_of(database, sink)
    for _ in range(24):
        await relay.run(sink)
    assert await delivered(database, sink) == 37
    assert set(names_of(sink.bodies())) == {ids.show(ids.PAYMENT, before)}
    sink.refused.clear()
    await tell_all(relay, sink)
    assert names_of(sink.bodies()) == author.said


async def test_fault_of_a_sink_is_kept_and_what_is_secret_in_it_is_not(database: Database, author: Author) -> None:
    class Faulty(KeepingSink):
        async def publish(self, envelopes: Sequence[Any]) -> None:
            raise ValueError("amqp://user:hunter2@broker refused")

    sink = Faulty()
    await author.say(ids.new_id())
    assert await relay_of(database, sink).run(sink) == 0
    (error,) = {view.last_error for view in await of(database, sink)} - {None}
    assert error is not None
    assert error.startswith("ValueError: amqp://user:")
    assert "hunter2" not in error


async def test_relay_that_has_lost_its_lease_moves_nothing(database: Database, author: Author) -> None:
    late, prompt = KeepingSink(), KeepingSink()
    payment = ids.new_id()
    await author.say(payment)
    late.gate.clear()
    slow = relay_of(database, late, terms=msgspec.structs.replace(AT_ONCE, lease_s=0.2, margin_s=-30.0))
    other = relay_of(database, prompt)
    round_of_the_late = asyncio.create_task(slow.run(late))
    await wait_until_async(lambda: is_at_it(late))

    async def lease_is_over() -> bool:
        return await other.run(prompt) > 0

    await wait_until_async(lease_is_over)
    await author.say(payment)
    await tell_all(other, prompt)
    late.gate.set()
    assert await round_of_the_late == 0
    assert len(late.taken) == 1
    assert await delivered(database, prompt) == 2
    assert names_of(prompt.bodies() + late.bodies()) == author.said
    await author.say(payment)
    assert await slow.run(late) == 1, "it goes on from where the other one was"
    assert len(late.taken) == 2


async def test_publishing_stops_before_the_lease_can_end(database: Database, author: Author) -> None:
    sink = KeepingSink()
    await author.say(ids.new_id())
    sink.gate.clear()
    relay = relay_of(database, sink, terms=msgspec.structs.replace(AT_ONCE, lease_s=4.5, margin_s=4.3))
    assert await asyncio.wait_for(relay.run(sink), 4.0) == 0
    assert sink.waiting == 0
    sink.gate.set()
    assert await relay.run(sink) == 1


async def test_relay_that_closes_gives_back_what_it_holds(database: Database, author: Author) -> None:
    sink, other = KeepingSink(), KeepingSink()
    await author.say(ids.new_id())
    sink.gate.clear()
    closing = relay_of(database, sink)
    round_ = asyncio.create_task(closing.run(sink))
    await wait_until_async(lambda: is_at_it(sink))
    round_.cancel()
    await asyncio.gather(round_, return_exceptions=True)
    successor = relay_of(database, other)
    assert await successor.run(other) == 0
    await closing.close()
    assert sink.closed
    assert await successor.run(other) == 1


async def test_relay_that_is_woken_does_not_wait_for_its_turn(database: Database, author: Author) -> None:
    sink = KeepingSink()
    relay = relay_of(database, sink)
    (tell, _) = relay_jobs(database, relay, RelayMetrics())
    schedule = Schedule([msgspec.structs.replace(tell, every_s=3600.0)])
    schedule.start()
    await relay.run(sink)

    async def has(count: int) -> bool:
        return len(sink.taken) == count

    for count in (1, 2, 3):
        await author.say(ids.new_id())
        relay.wake()
        await wait_until_async(lambda wanted=count: has(wanted))
    await schedule.close(5)


async def test_new_sink_is_told_from_the_beginning_and_an_old_one_goes_on(database: Database, author: Author) -> None:
    old, new = KeepingSink("old"), KeepingSink("new")
    payment = ids.new_id()
    await author.say(payment)
    await tell_all(relay_of(database, old), old)
    await author.say(payment)
    both = relay_of(database, old, new)
    assert await tell_all(both, old) == 1
    assert await tell_all(both, new) == 2


async def test_database_that_is_lost_and_comes_back_is_all_the_relay_waits_for(
    database: Database, author: Author, database_url: str
) -> None:
    proxy = Proxy(database_url)
    await proxy.open()
    behind_proxy = Database(proxy.url, connections_max=4)
    await behind_proxy.open()
    sink = KeepingSink()
    metrics = RelayMetrics()
    relay = Relay(behind_proxy, (sink,), metrics, RelayTerms(shards_max=16, database_pause_s=0.05))
    schedule = Schedule(relay_jobs(behind_proxy, relay, metrics)[:1])
    schedule.start()
    payments = [ids.new_id() for _ in range(20)]
    await author.say(*payments)

    async def has(count: int) -> bool:
        return len(set(sink.taken)) == count

    await wait_until_async(lambda: has(20))
    sink.gate.clear()
    await author.say(*payments)
    await wait_until_async(lambda: is_at_it(sink))
    await proxy.cut()
    sink.gate.set()
    await author.say(*payments)
    await wait_until_async(lambda: has(40))
    await proxy.open()
    async with database.connection() as connection:
        await connection.execute("UPDATE outbox_cursors SET lease_until = '-infinity'")
    await wait_until_async(lambda: has(60), 20)
    await schedule.close(5)
    await relay.close()
    await behind_proxy.close()
    await proxy.close()
    assert names_of(sink.bodies()) == author.said


async def test_database_refuses_a_cursor_that_goes_back(database: Database, author: Author) -> None:
    sink = KeepingSink()
    await author.say(ids.new_id())
    await tell_all(relay_of(database, sink), sink)
    with pytest.raises(Exception, match="cannot go back"):
        async with database.connection() as connection:
            await connection.execute("UPDATE outbox_cursors SET tx = 0 WHERE tx > 0")
