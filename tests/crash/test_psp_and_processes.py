"""The PSP goes away and comes back; a process is stopped in the middle of a call and woken too late."""

import asyncio
import os
import signal

import asyncpg
import pytest

from tests.crash.stories import STORIES, assert_done, order_of
from tests.support.agreement import assert_agreement, charge_of, charges, wait_until_resolved
from tests.support.shop import Installation, Server, Shop
from tests.support.simulator import SimulatorProcess
from tests.support.waiting import wait_until_async


async def test_psp_down_and_back(
    database_url: str, installation: Installation, psp: SimulatorProcess, shop: Shop
) -> None:
    shop.server = await installation.serve()
    victims = [await order_of(shop, story) for story in STORIES.values()]
    under_way = shop.payment("pm_card_slow_2s")
    asked = asyncio.create_task(shop.send(under_way))
    await _wait_for_attempts(database_url, "sending", 1)
    psp.kill()
    answers = [await shop.send(victim.order) for victim in victims]
    answers.append(await asked)
    assert [answer.status for answer in answers] == [202] * 6
    # Looked at several times in vain, by the client too.
    await _wait_for_checks(database_url, 3)
    for victim in victims:
        assert (await shop.send(victim.order)).status == 202
    await asyncio.to_thread(psp.start)
    await wait_until_resolved(database_url)
    for victim in victims:
        await assert_done(shop, psp.url, victim, await shop.send(victim.order))
    assert (await shop.send(under_way)).body["status"] == "captured"
    await assert_agreement(database_url, psp.url)


async def test_psp_killed_after_it_did_it(
    database_url: str, installation: Installation, psp: SimulatorProcess, shop: Shop
) -> None:
    shop.server = await installation.serve()
    order = shop.payment("pm_card_timeout_after")
    assert (await shop.send(order)).status == 202
    psp.kill()
    assert (await shop.send(order)).status == 202
    await asyncio.to_thread(psp.start)
    await wait_until_resolved(database_url)
    answer = await shop.send(order)
    assert (answer.status, answer.body["status"]) == (200, "captured")
    await assert_agreement(database_url, psp.url)


async def test_whoever_waited_too_long_for_a_free_connection_to_the_psp_sends_nothing(
    database_url: str, installation: Installation, psp: SimulatorProcess, shop: Shop
) -> None:
    narrow = await installation.serve(jobs=False, psp_concurrency=1, psp_timeout_s=3, authorize_window_s=1)
    # Both hold the one connection for 3 s; of 8 s of lease the last 3 are for the answer.
    ahead = [asyncio.create_task(shop.send(shop.payment("pm_card_timeout_before"), narrow)) for _ in range(2)]
    await _wait_for_attempts(database_url, "sending", 2)
    order = shop.payment()
    answer = await shop.send(order, narrow)
    assert (answer.status, answer.body["status"]) == (202, "pending")
    assert await charge_of(psp.url, answer.body) is None
    shop.server = await installation.serve(psp_timeout_s=3, authorize_window_s=1)
    await wait_until_resolved(database_url)
    assert [(await late).status for late in ahead] == [202, 202]
    answer = await shop.send(order)
    assert (answer.status, answer.body["status"]) == (200, "failed")
    assert not charges(psp.url)
    await assert_agreement(database_url, psp.url)


@pytest.mark.parametrize("window_s", [600, 1])
async def test_stopped_in_the_middle_of_a_call_and_woken_after_its_lease_died(
    window_s: int, database_url: str, installation: Installation, psp: SimulatorProcess, shop: Shop
) -> None:
    sleeper = installation.start(jobs=False, psp_timeout_s=3, authorize_window_s=window_s)
    other = installation.start(psp_timeout_s=3, authorize_window_s=window_s)
    await asyncio.gather(sleeper.ready(), other.ready())
    shop.server = other
    orders = [shop.payment("pm_card_slow_2s", capture_strategy=name) for name in ("automatic", "manual")]
    asked = [asyncio.create_task(shop.send(order, sleeper)) for order in orders]
    await _wait_for_attempts(database_url, "sending", 2)
    _signal(sleeper, signal.SIGSTOP)
    # While the lease lives, the key is in use, wherever the client asks.
    busy = await shop.send(orders[0])
    assert (busy.status, busy.code) == (409, "idempotency_key_in_use")
    assert int(busy.headers["Retry-After"]) >= 1
    await wait_until_resolved(database_url)
    await assert_agreement(database_url, psp.url)
    _signal(sleeper, signal.SIGCONT)
    statuses = ("captured", "authorized") if window_s > 1 else ("refunded", "canceled")
    for order, late, status in zip(orders, await asyncio.gather(*asked), statuses, strict=True):
        for answer in (late, await shop.send(order, sleeper), await shop.send(order, other)):
            assert (answer.status, answer.body["status"]) == (200, status)
        charge = await charge_of(psp.url, late.body)
        assert charge is not None
        assert [o["kind"] for o in charge["operations"]].count("authorize") == 1
    await assert_agreement(database_url, psp.url)


async def test_later_operations_stopped_in_the_middle_of_their_calls(
    database_url: str, installation: Installation, psp: SimulatorProcess, shop: Shop
) -> None:
    sleeper, other = installation.start(jobs=False, psp_timeout_s=3), installation.start(psp_timeout_s=3)
    await asyncio.gather(sleeper.ready(), other.ready())
    shop.server = other
    stories = [STORIES[name] for name in ("capture", "cancel", "refund")]
    slow = {"simulate": "capture:slow_2s cancel:slow_2s refund:slow_2s"}
    victims = [await order_of(shop, story, metadata=slow) for story in stories]
    asked = [asyncio.create_task(shop.send(victim.order, sleeper)) for victim in victims]
    await _wait_for_attempts(database_url, "sending", 3)
    _signal(sleeper, signal.SIGSTOP)
    await wait_until_resolved(database_url)
    _signal(sleeper, signal.SIGCONT)
    for victim, late in zip(victims, await asyncio.gather(*asked), strict=True):
        await assert_done(shop, psp.url, victim, late)
        await assert_done(shop, psp.url, victim, await shop.send(victim.order, sleeper))
    await assert_agreement(database_url, psp.url)


def _signal(server: Server, which: signal.Signals) -> None:
    os.kill(server.process.popen.pid, which)


async def _wait_for_attempts(database_url: str, status: str, count: int) -> None:
    await _wait_for(database_url, f"SELECT count(*) >= {count} FROM payment_attempts WHERE status = '{status}'")


async def _wait_for_checks(database_url: str, checks: int) -> None:
    await _wait_for(database_url, f"SELECT min(checks) >= {checks} FROM payment_attempts WHERE status = 'unknown'")


async def _wait_for(database_url: str, query: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:

        async def holds() -> bool:
            return await connection.fetchval(query)

        await wait_until_async(holds, 30, query)
    finally:
        await connection.close()
