"""The database goes away: between two messages, in the answer to a COMMIT, for a while, by SIGKILL under load."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from bezant.base.migrate import migrate
from bezant.base.postgres import Embedded
from tests.crash.stories import STORIES, Victim, assert_done, order_of
from tests.support.agreement import assert_agreement, charge_of, charges, wait_until_resolved
from tests.support.proxy import Loss, Proxy, open_proxy
from tests.support.shop import Answer, Installation, Order, Shop, open_shop
from tests.support.simulator import SimulatorProcess
from tests.support.waiting import wait_until_async

ACCEPT, RECORD = 1, 2
"""Which COMMIT of a command it is."""
REFUSED_WITHIN_S = 6.0
LOAD = 150
"""Orders that are served between one kill and the next."""


@pytest_asyncio.fixture
async def line(database_url: str) -> AsyncIterator[Proxy]:
    """The line between the servers and the database."""
    async with open_proxy(database_url) as proxy:
        yield proxy


@pytest.mark.parametrize("loss", [Loss.BEFORE, Loss.AFTER])
@pytest.mark.parametrize("commit", [ACCEPT, RECORD])
async def test_line_breaks_at_commit_and_the_command_is_answered_all_the_same(
    commit: int,
    loss: Loss,
    database_url: str,
    installation: Installation,
    line: Proxy,
    psp: SimulatorProcess,
    shop: Shop,
) -> None:
    shop.server = await installation.serve(jobs=False, database_url=line.url)
    for story in STORIES.values():
        victim = await order_of(shop, story)
        line.lose_commit(commit, loss)
        answer = await shop.send(victim.order)
        assert line.lost.is_set()
        await assert_done(shop, psp.url, victim, answer)
        again = await shop.send(victim.order)
        assert again.replayed
        assert again.body == answer.body
    await assert_agreement(database_url, psp.url)


async def test_accepted_but_the_database_stays_away_and_the_key_finds_out(
    database_url: str, installation: Installation, line: Proxy, psp: SimulatorProcess, shop: Shop
) -> None:
    shop.server = await installation.serve(database_url=line.url)
    victims: list[Victim] = []
    for story in STORIES.values():
        victim = await order_of(shop, story)
        line.lose_commit(ACCEPT, Loss.GONE)
        asked = asyncio.create_task(shop.send(victim.order))
        await asyncio.wait_for(line.lost.wait(), 10)
        _is_refused(await asked)
        await line.open()
        victims.append(victim)
    answers = await asyncio.gather(*(shop.settle(victim.order) for victim in victims))
    for victim, answer in zip(victims, answers, strict=True):
        await assert_done(shop, psp.url, victim, answer)
    await wait_until_resolved(database_url)
    await assert_agreement(database_url, psp.url)


@pytest.mark.parametrize("how", ["refuses", "silent"])
async def test_database_unreachable_for_ten_seconds(
    how: str, database_url: str, installation: Installation, line: Proxy, psp: SimulatorProcess, shop: Shop
) -> None:
    shop.server = await installation.serve(database_url=line.url, psp_timeout_s=3)
    payment = await shop.created(capture_strategy="manual")
    under_way = shop.payment("pm_card_slow_2s")
    asked = asyncio.create_task(shop.send(under_way))
    await _is_being_sent(database_url)
    began_at = time.monotonic()
    await _cut(line, how)
    refused: list[Order] = []
    while (elapsed_s := time.monotonic() - began_at) < 10:
        capture = shop.order(f"/payments/{payment['payment_id']}/capture")
        refused += (order := shop.payment(), capture)
        look = shop.call("GET", f"/payments/{payment['payment_id']}")
        for answer in await asyncio.gather(*(_in_time(a) for a in (shop.send(order), shop.send(capture), look))):
            _is_refused(answer)
        await wait_until_async(_is_past(began_at + elapsed_s + 1))
    lost = await asked
    assert (lost.status, lost.code) == (504, "outcome_unknown")
    assert int(lost.headers["Retry-After"]) >= 1
    await _restore(line, how)
    # One capture of the one payment succeeds, the others find nothing left: each key tells what is so.
    outcomes = await asyncio.gather(*(shop.settle(order) for order in (under_way, *refused)))
    assert outcomes[0].body["status"] == "captured"
    charge = await charge_of(psp.url, outcomes[0].body)
    assert charge is not None
    assert charge["amount_captured"] == 10_000
    creates = [a for order, a in zip(refused, outcomes[1:], strict=True) if order.path == "/payments"]
    captures = [a for order, a in zip(refused, outcomes[1:], strict=True) if order.path != "/payments"]
    assert {a.body["status"] for a in creates} == {"captured"}
    assert sorted(a.status for a in captures) == [200] + [409] * (len(captures) - 1)
    await wait_until_resolved(database_url)
    await assert_agreement(database_url, psp.url)


async def test_process_that_waits_too_long_for_its_commit_sends_nothing_any_more(
    database_url: str, installation: Installation, line: Proxy, psp: SimulatorProcess, shop: Shop
) -> None:
    slow = await installation.serve(jobs=False, database_url=line.url, authorize_window_s=1)
    shop.server = await installation.serve(authorize_window_s=1)
    order = shop.payment()
    line.lose_commit(ACCEPT, Loss.HELD)
    asked = asyncio.create_task(shop.send(order, slow))
    await asyncio.wait_for(line.lost.wait(), 10)
    # The other process finds that the lease is dead, the window passed, and the PSP knows nothing.
    await wait_until_resolved(database_url)
    line.release()
    _is_refused(await asked)
    for server in (slow, shop.server):
        answer = await shop.send(order, server)
        assert (answer.status, answer.body["status"]) == (200, "failed")
        assert answer.body["failure"]["code"] == "not_processed"
    assert not charges(psp.url)
    await assert_agreement(database_url, psp.url)


@pytest.mark.parametrize("asks_again", [True, False])
async def test_command_accepted_after_its_client_was_refused_is_executed_only_if_the_client_asks_again(
    asks_again: bool, database_url: str, installation: Installation, line: Proxy, psp: SimulatorProcess, shop: Shop
) -> None:
    shop.server = await installation.serve(jobs=False, database_url=line.url)  # whose commits are its commands'
    order = shop.payment()
    line.lose_commit(ACCEPT, Loss.HELD)
    _is_refused(await shop.send(order))
    line.release()
    if asks_again:
        answer = await shop.settle(order)
        assert answer.body["status"] == "captured"
    else:
        await installation.serve()
        await wait_until_resolved(database_url)
        answer = await shop.send(order)
        assert (answer.body["status"], answer.body["failure"]["code"]) == ("failed", "not_processed")
    assert len(charges(psp.url)) == asks_again
    await assert_agreement(database_url, psp.url)


async def test_postgresql_killed_under_load(psp: SimulatorProcess, tmp_path: Path) -> None:
    home = tmp_path / "database"
    embedded = Embedded(home)
    url = embedded.ensure_running()
    installation = Installation(url, psp.url, tmp_path / "home")
    try:
        await migrate(url)
        async with open_shop(url) as shop:
            shop.server = await installation.serve()
            customers = [_Customer(shop, number) for number in range(16)]
            buying = [asyncio.create_task(customer.buy()) for customer in customers]
            for _ in range(2):
                done = _served(customers)
                await wait_until_async(_reached(customers, done + LOAD), 60, "load")
                _kill_server(embedded)
                assert await asyncio.to_thread(embedded.ensure_running) == url
            done = _served(customers)
            await wait_until_async(_reached(customers, done + LOAD), 60, "load after the restart")
            for customer in customers:
                customer.is_done = True
            await asyncio.gather(*buying)
            await wait_until_resolved(url)
            # What was answered is still so; what was not is found out by its key.
            await asyncio.gather(*(customer.ask_again() for customer in customers))
            await assert_agreement(url, psp.url)
    finally:
        installation.close()
        await asyncio.to_thread(embedded.stop)


class _Customer:
    """Buys one thing after the other and gives some of it back, whatever the answers are."""

    def __init__(self, shop: Shop, number: int) -> None:
        self._shop = shop
        self._dice = random.Random(number)
        self.orders: list[tuple[Order, Answer | None]] = []
        self.is_done = False

    async def buy(self) -> None:
        while not self.is_done:
            story = self._dice.choice(list(STORIES.values()))
            answer = await self._send(self._shop.payment(capture_strategy=story.strategy))
            if answer is not None and answer.status == 200 and story.verb != "create":
                path = "refunds" if story.verb == "refund" else story.verb
                await self._send(self._shop.order(f"/payments/{answer.body['payment_id']}/{path}"))

    async def ask_again(self) -> None:
        for order, answer in self.orders:
            if answer is None or answer.status != 200:
                await self._shop.settle(order)
            else:
                again = await self._shop.send(order)
                assert (again.status, again.body) == (200, answer.body)

    async def _send(self, order: Order) -> Answer | None:
        try:
            answer = await self._shop.send(order)
        except (aiohttp.ClientError, TimeoutError):
            answer = None
        assert answer is None or answer.status in (200, 202, 409, 503, 504), answer.raw
        self.orders.append((order, answer))
        return answer


def _is_past(moment: float) -> Callable[[], Awaitable[bool]]:
    async def is_past() -> bool:
        return time.monotonic() >= moment

    return is_past


def _reached(customers: list[_Customer], count: int) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return _served(customers) >= count

    return reached


def _served(customers: list[_Customer]) -> int:
    return sum(answer is not None and answer.status == 200 for c in customers for _, answer in c.orders)


def _kill_server(embedded: Embedded) -> None:
    place = embedded.place()
    assert place is not None
    pid = int((next(place.rglob("postmaster.pid"))).read_text().split("\n", 1)[0])
    os.kill(pid, signal.SIGKILL)


async def _cut(line: Proxy, how: str) -> None:
    if how == "refuses":
        await line.cut()
    else:
        line.stall()


async def _restore(line: Proxy, how: str) -> None:
    if how == "refuses":
        await line.open()
    else:
        line.release()


async def _in_time(asked: Awaitable[Answer]) -> Answer:
    began_at = time.monotonic()
    answer = await asked
    elapsed_s = time.monotonic() - began_at
    assert elapsed_s < REFUSED_WITHIN_S, answer
    return answer


def _is_refused(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "unavailable"), answer.raw
    assert int(answer.headers["Retry-After"]) >= 1


async def _is_being_sent(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:

        async def is_sending() -> bool:
            return await connection.fetchval("SELECT count(*) FROM payment_attempts WHERE status = 'sending'") > 0

        await wait_until_async(is_sending)
    finally:
        await connection.close()
