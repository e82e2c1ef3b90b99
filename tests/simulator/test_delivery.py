"""How the simulator delivers: the words for it, receivers that fail, hang or are away, restarts."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from bezant_simulator.courier import WAITING_MAX, Courier
from bezant_simulator.events import custom_event
from bezant_simulator.settings import Settings
from tests.support.processes import free_port
from tests.support.simulator import Client, SimulatorProcess, client, running_simulator
from tests.support.waiting import wait_until_async
from tests.support.webhook_receiver import Received, Receiver, receiving

RETRY_S = 0.05
SHUFFLED = ["operation.succeeded", "operation.pending", "charge.approved", "charge.pending"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        yield each


@pytest.fixture
def simulator(receiver: Receiver, tmp_path: Path) -> Iterator[SimulatorProcess]:
    with running_simulator(tmp_path / "state", webhook_url=receiver.url) as process:
        yield process


@pytest_asyncio.fixture
async def psp(simulator: SimulatorProcess) -> AsyncIterator[Client]:
    async with client(simulator.url) as each:
        await each.settings(retry_s=RETRY_S)
        yield each


async def told(psp: Client, charge_id: str) -> bool:
    found = (await psp.call("GET", f"/_simulator/events?charge={charge_id}")).body["data"]
    return all(each["told"] for each in found)


async def test_webhook_first_comes_before_the_answer(psp: Client, receiver: Receiver) -> None:
    came, may_go_on = threading.Event(), threading.Event()

    def hold(_: Received) -> int:
        came.set()
        return 200 if may_go_on.wait(1.0) else 500

    receiver.answer = hold
    call = asyncio.create_task(psp.create("pm_card_webhook_first"))
    assert await asyncio.to_thread(came.wait, 5)
    await psp.call("GET", "/healthz")
    assert not call.done()
    may_go_on.set()
    charge = (await call).body
    (request,) = receiver.received
    assert request.json["data"] == charge
    await wait_until_async(lambda: told(psp, charge["id"]))


@pytest.mark.parametrize("operation", ["capture", "cancel", "refund"])
async def test_any_operation_can_be_told_first(psp: Client, receiver: Receiver, operation: str) -> None:
    charge = (await psp.create(capture=operation == "refund")).body
    answer = await psp.attempt(charge["id"], operation, metadata={"simulate": f"{operation}:webhook_first"})
    assert answer is not None
    assert [each.json["data"] for each in receiver.of("operation.succeeded", charge["id"])] == [answer.body]


async def test_the_customer_returns_after_the_webhook_that_was_to_be_first(psp: Client, receiver: Receiver) -> None:
    charge = (await psp.create("pm_card_3ds", metadata={"simulate": "authorize:webhook_first"})).body
    await psp.decide(charge, "approve")
    assert len(receiver.of("charge.approved", charge["id"])) == 1


async def test_a_receiver_that_hangs_delays_the_answer_only_so_long(psp: Client, receiver: Receiver) -> None:
    release = threading.Event()
    receiver.answer = lambda _: 200 if release.wait(10) else 500
    start = time.monotonic()
    assert (await psp.create("pm_card_webhook_first")).status == 201
    assert 1.0 < time.monotonic() - start < 5.0
    start = time.monotonic()
    assert (await psp.create()).status == 201
    assert time.monotonic() - start < 1.0, "any other answer does not wait at all"
    release.set()


async def test_webhook_twice_comes_twice(psp: Client, receiver: Receiver) -> None:
    charge = (await psp.create("pm_card_webhook_twice")).body
    await psp.modify(charge["id"], "capture")
    for event_type in ("charge.approved", "operation.succeeded"):
        first, second = await receiver.wait_for(event_type, charge["id"], times=2)
        assert first.body == second.body
    await wait_until_async(lambda: told(psp, charge["id"]))
    assert len(receiver.received) == 4


async def test_webhook_shuffled_comes_in_the_wrong_order(psp: Client, receiver: Receiver) -> None:
    charge = (await psp.create("pm_card_webhook_shuffled")).body
    await psp.modify(charge["id"], "capture")
    await receiver.wait_for("charge.pending", charge["id"])
    assert [request.json["type"] for request in receiver.received] == SHUFFLED


async def test_shuffled_stays_shuffled_while_the_receiver_is_away() -> None:
    port = free_port()
    with running_simulator(webhook_url=f"http://127.0.0.1:{port}/hooks", async_delay_s=0.1) as process:
        async with client(process.url) as psp:
            await psp.settings(retry_s=RETRY_S)
            charge = (await psp.create("pm_card_webhook_shuffled")).body
            await psp.modify(charge["id"], "capture")
            await until_tried(psp)
            with receiving(port) as receiver:
                await receiver.wait_for("charge.pending", charge["id"])
                assert [request.json["type"] for request in receiver.received] == SHUFFLED


async def test_webhook_never_is_never_told(psp: Client) -> None:
    charge = (await psp.create(metadata={"simulate": "authorize:webhook_never capture:webhook_never"})).body
    assert (await psp.modify(charge["id"], "capture")).status == 201
    assert (await psp.call("GET", "/_simulator/events")).body == {"data": [], "given_up": 0}


async def test_what_is_refused_is_sent_again_with_the_same_bytes_until_it_is_taken(
    psp: Client, receiver: Receiver
) -> None:
    answers = [500, 400, 307, 204]
    receiver.answer = lambda request: answers[len(receiver.received) - 1]
    receiver.answer_headers = {"location": "/elsewhere"}
    charge = (await psp.create()).body
    await wait_until_async(lambda: told(psp, charge["id"]))
    assert len(receiver.received) == len(answers)
    assert len({request.body for request in receiver.received}) == 1
    assert {request.path for request in receiver.received} == {"/hooks"}, "a redirect is not followed"


async def test_what_is_refused_holds_nobody_back(psp: Client, receiver: Receiver) -> None:
    receiver.answer = lambda request: 500 if request.json["data"].get("amount") == 666 else 200
    refused = [(await psp.create(amount=666)).body["id"] for _ in range(40)]
    charge = (await psp.create()).body
    await wait_until_async(lambda: told(psp, charge["id"]))
    assert not await told(psp, refused[0])


async def test_one_that_hangs_holds_nobody_back(psp: Client, receiver: Receiver) -> None:
    release = threading.Event()
    receiver.answer = lambda request: 200 if request.json["data"].get("amount") != 666 or release.wait(10) else 500
    slow = (await psp.create(amount=666)).body
    charge = (await psp.create()).body
    await wait_until_async(lambda: told(psp, charge["id"]), 5.0)
    assert not await told(psp, slow["id"])
    release.set()
    await wait_until_async(lambda: told(psp, slow["id"]))


async def test_a_receiver_that_comes_later_is_told_everything() -> None:
    port = free_port()
    with running_simulator(webhook_url=f"http://127.0.0.1:{port}/hooks") as process:
        async with client(process.url) as psp:
            await psp.settings(retry_s=RETRY_S)
            charges = [(await psp.create()).body["id"] for _ in range(50)]
            assert (await psp.create("pm_card_webhook_first")).status == 201, "nobody there is no reason to wait"
            await until_tried(psp)
            with receiving(port) as receiver:
                for charge_id in charges:
                    await receiver.wait_for("charge.approved", charge_id)
                assert len(receiver.of("charge.approved")) == len({each.json["id"] for each in receiver.received}) == 51


async def test_what_was_not_told_survives_sigkill_and_what_was_is_not_repeated(
    simulator: SimulatorProcess, receiver: Receiver
) -> None:
    async with client(simulator.url) as psp:
        done = (await psp.create()).body
        await wait_until_async(lambda: told(psp, done["id"]))
        receiver.answer = lambda _: 500
        waiting = (await psp.create()).body
        (before, *_) = await receiver.wait_for("charge.approved", waiting["id"])
        pending = (await psp.create("pm_card_async")).body
    simulator.kill()
    receiver.answer = lambda _: 200
    receiver.received.clear()
    simulator.start()
    (after,) = await receiver.wait_for("charge.approved", waiting["id"])
    assert after.body == before.body
    assert len(await receiver.wait_for("charge.pending", pending["id"])) == 1
    assert len(await receiver.wait_for("charge.approved", pending["id"])) == 1
    async with client(simulator.url) as psp:
        await wait_until_async(lambda: told(psp, pending["id"]))
    simulator.kill()
    simulator.start()
    async with client(simulator.url) as psp:
        last = (await psp.create()).body
    await receiver.wait_for("charge.approved", last["id"])
    assert receiver.of(about=done["id"]) == []
    assert len(receiver.received) == 4


async def test_no_event_is_lost_when_the_simulator_is_killed_under_load(
    simulator: SimulatorProcess, receiver: Receiver
) -> None:
    answered: list[str] = []
    receiver.answer = lambda _: 500 if len(receiver.received) % 5 == 0 else 200

    async def buy(psp: Client) -> None:
        while True:
            answered.append((await psp.create(capture=True)).body["id"])

    for _ in range(3):
        async with client(simulator.url) as psp:
            wanted = len(answered) + 100
            buyers = [asyncio.create_task(buy(psp)) for _ in range(8)]

            async def enough(wanted: int = wanted) -> bool:
                return len(answered) >= wanted

            await wait_until_async(enough)
            simulator.kill()
            await asyncio.gather(*buyers, return_exceptions=True)
        simulator.start()
    async with client(simulator.url) as psp:
        await psp.settings(retry_s=RETRY_S)

        async def nothing_waits() -> bool:
            return all(each["told"] for each in (await psp.call("GET", "/_simulator/events")).body["data"])

        await wait_until_async(nothing_waits, 20.0)
        facts = (await psp.call("GET", "/_simulator/charges")).body["data"]
    about = [request.json["data"]["id"] for request in receiver.received]
    assert set(answered) <= set(about)
    assert set(about) == {fact["id"] for fact in facts}, "none is invented"
    by_charge = {(request.json["data"]["id"], request.json["id"]) for request in receiver.received}
    assert len(by_charge) == len(facts), "a fact has one event id"


async def test_reset_forgets_what_waits(psp: Client, receiver: Receiver, simulator: SimulatorProcess) -> None:
    receiver.answer = lambda _: 500
    charge = (await psp.create("pm_card_async")).body
    await receiver.wait_for("charge.pending", charge["id"])
    await psp.call("POST", "/_simulator/reset")
    assert (await psp.call("GET", "/_simulator/events")).body["data"] == []
    simulator.kill()
    receiver.answer = lambda _: 200
    receiver.received.clear()
    simulator.start()
    async with client(simulator.url) as again:
        last = (await again.create()).body
        await receiver.wait_for("charge.approved", last["id"])
    assert len(receiver.received) == 1


async def test_events_wait_while_there_is_no_url(psp: Client, receiver: Receiver) -> None:
    await psp.settings(webhook_url=None)
    charge = (await psp.create("pm_card_webhook_first")).body
    assert not await told(psp, charge["id"])
    assert receiver.received == []
    await psp.settings(webhook_url=receiver.url)
    await receiver.wait_for("charge.approved", charge["id"])
    assert (await psp.call("POST", "/_simulator/settings", {"webhook_url": "not a URL"})).status == 400


async def test_without_a_secret_there_are_no_webhooks() -> None:
    with running_simulator() as process:
        async with client(process.url) as psp:
            await psp.create()
            assert (await psp.call("GET", "/_simulator/events")).body["data"] == []
    with pytest.raises(AssertionError, match="webhooks need a secret"):
        SimulatorProcess(webhook_url="http://127.0.0.1:1/", webhook_secret="").start()


async def test_only_so_many_events_wait(capfd: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    settings = Settings(webhook_url=f"http://127.0.0.1:{free_port()}/")
    courier = Courier(lambda: settings, ("secret",), told.append)
    courier.start()
    events = [custom_event("some.thing", {}, 0.0) for _ in range(WAITING_MAX + 200)]
    for event in events:
        courier.post([event])
    assert courier.waiting() == events[200:]
    assert (told, courier.given_up) == ([event.id for event in events[:200]], 200)
    lined_up = courier._ready  # pyright: ignore[reportPrivateUsage]
    assert len(lined_up) <= WAITING_MAX, "what is given up is not lined up any more"
    await courier.close()
    assert capfd.readouterr().err.count("the oldest are given up") == 1


async def until_tried(psp: Client) -> None:
    """Until the receiver was found away at least twice."""

    async def tried() -> bool:
        found = (await psp.call("GET", "/_simulator/events")).body["data"]
        return any(each["tries"] >= 2 for each in found)

    await wait_until_async(tried)
