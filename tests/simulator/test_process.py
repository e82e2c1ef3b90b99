"""The simulator as a process: what survives SIGKILL, reset, settings, the visibility lag, bad HTTP."""

import asyncio
import json
import re
import time
from pathlib import Path

import aiohttp
import pytest

from tests.support.simulator import Client, SimulatorProcess, charge_body, client, new_reference, running_simulator

DEADLINE_S = 5.0


async def test_what_was_answered_survives_sigkill(own_simulator: SimulatorProcess) -> None:
    async with client(own_simulator.url) as psp:
        body = charge_body()
        created = (await psp.call("POST", "/v1/charges", body, body["reference"])).body
        await psp.modify(created["id"], "capture", amount=700, final=False)
        refund = {"reference": new_reference(), "amount": 200}
        await psp.modify(created["id"], "refunds", **refund)
        waiting = (await psp.create("pm_card_3ds")).body
        before = (await psp.call("GET", "/_simulator/charges")).body
    for _ in range(2):
        own_simulator.kill()
        own_simulator.start()
    async with client(own_simulator.url) as psp:
        assert (await psp.call("GET", "/_simulator/charges")).body == before
        again = await psp.call("POST", "/v1/charges", body, body["reference"])
        assert (again.replayed, again.body) == (True, created)
        assert (await psp.modify(created["id"], "refunds", **refund)).replayed
        assert (await psp.modify(created["id"], "capture", amount=301)).error["code"] == "over_capture"
        (found,) = (await psp.call("GET", f"/v1/operations?reference={refund['reference']}")).body["data"]
        assert found["amount"] == 200
        assert (await psp.call("GET", f"/v1/charges/{waiting['id']}")).body["status"] == "customer_action"


async def test_nothing_that_was_answered_is_lost_under_load(own_simulator: SimulatorProcess) -> None:
    answered: list[str] = []
    async with client(own_simulator.url) as psp:

        async def buy() -> None:
            while True:
                answer = await psp.create(capture=True)
                answered.append(answer.body["reference"])

        buyers = [asyncio.create_task(buy()) for _ in range(16)]
        while len(answered) < 200:
            await asyncio.sleep(0.005)
        own_simulator.kill()
        results = await asyncio.gather(*buyers, return_exceptions=True)
    assert all(isinstance(result, aiohttp.ClientError | ConnectionError) for result in results)
    own_simulator.start()
    async with client(own_simulator.url) as psp:
        kept = {fact["reference"] for fact in (await psp.call("GET", "/_simulator/charges")).body["data"]}
    assert set(answered) <= kept


async def test_a_fault_strikes_a_key_once_also_across_a_restart(own_simulator: SimulatorProcess) -> None:
    body = charge_body("pm_card_500_before")
    async with client(own_simulator.url) as psp:
        assert (await psp.call("POST", "/v1/charges", body, body["reference"])).status == 500
    own_simulator.kill()
    own_simulator.start()
    async with client(own_simulator.url) as psp:
        assert (await psp.call("POST", "/v1/charges", body, body["reference"])).status == 201


async def test_reset_is_a_reset_and_not_an_end(psp: Client) -> None:
    reader, writer = await _connect(psp)
    body = json.dumps(charge_body("pm_card_reset_after"))
    head = f"POST /v1/charges HTTP/1.1\r\nAuthorization: Bearer sim_x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_line_cut_short_by_a_crash_is_dropped(own_simulator: SimulatorProcess, tmp_path: Path) -> None:
    async with client(own_simulator.url) as psp:
        created = (await psp.create()).body
    own_simulator.kill()
    with (tmp_path / "state" / "journal.jsonl").open("a") as journal:
        journal.write('{"charge":{"id":"ch_half')
    own_simulator.start()
    async with client(own_simulator.url) as psp:
        facts = (await psp.call("GET", "/_simulator/charges")).body["data"]
    assert [fact["id"] for fact in facts] == [created["id"]]


async def test_a_state_belongs_to_one_process(own_simulator: SimulatorProcess, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match=r"^bezant simulator: another"),
        running_simulator(tmp_path / "state"),
    ):
        pass


async def test_reset_clears_everything_also_on_disk(own_simulator: SimulatorProcess) -> None:
    async with client(own_simulator.url) as psp:
        body = charge_body()
        await psp.call("POST", "/v1/charges", body, body["reference"])
        assert (await psp.call("POST", "/_simulator/reset")).status == 200
        assert (await psp.call("GET", "/_simulator/charges")).body == {"data": []}
        assert not (await psp.call("POST", "/v1/charges", body, body["reference"])).replayed
        await psp.call("POST", "/_simulator/reset")
    own_simulator.kill()
    own_simulator.start()
    async with client(own_simulator.url) as psp:
        assert (await psp.call("GET", "/_simulator/charges")).body == {"data": []}


async def test_look_up_by_reference_lags_and_by_id_does_not() -> None:
    with running_simulator(visibility_lag_s=1.0) as process:
        async with client(process.url) as psp:
            start = time.monotonic()
            created = (await psp.create()).body
            path = f"/v1/charges?reference={created['reference']}"
            assert (await psp.call("GET", path)).body["data"] == []
            assert (await psp.call("GET", f"/v1/charges/{created['id']}")).status == 200
            while not (await psp.call("GET", path)).body["data"]:
                assert time.monotonic() - start < DEADLINE_S
                await asyncio.sleep(0.02)
            assert time.monotonic() - start >= 1.0


@pytest.mark.parametrize(("outage", "status"), [("reset", None), ("timeout", None), ("500", 500), ("rate_limit", 429)])
async def test_outage_executes_nothing(own_simulator: SimulatorProcess, outage: str, status: int | None) -> None:
    async with client(own_simulator.url) as psp:
        await psp.settings(outage=outage)
        body = charge_body()
        try:
            seen = (await psp.call("POST", "/v1/charges", body, body["reference"], 0.3)).status
        except (aiohttp.ClientError, TimeoutError):
            seen = None
        assert seen == status
        assert await psp.facts(body["reference"]) == []
        await psp.settings(outage=None)
        assert (await psp.call("POST", "/v1/charges", body, body["reference"])).status == 201


async def test_settings_are_checked(psp: Client) -> None:
    assert (await psp.call("POST", "/_simulator/settings", {"no_such": 1})).status == 400
    assert (await psp.call("POST", "/_simulator/settings", {"visibility_lag_s": "long"})).status == 400


async def test_the_key_must_be_a_simulator_key(psp: Client) -> None:
    async with aiohttp.ClientSession() as session, session.get(psp.url + "/v1/charges?reference=x") as response:
        assert response.status == 401


async def test_sigterm_lets_the_call_in_flight_finish(own_simulator: SimulatorProcess) -> None:
    async with client(own_simulator.url) as psp:
        reader, writer = await _connect(psp)
        body = json.dumps(charge_body("pm_card_slow_2s"))
        head = f"POST /v1/charges HTTP/1.1\r\nAuthorization: Bearer sim_x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()
        await psp.call("GET", "/healthz")  # by now the slow call has been read
        code = await asyncio.to_thread(own_simulator.stop)
        assert (await reader.read()).startswith(b"HTTP/1.1 201")
        writer.close()
        assert code == 0


async def test_bad_http_and_oversized_bodies_are_refused(psp: Client) -> None:
    reader, writer = await _connect(psp)
    writer.write(b"NOT HTTP\r\n\r\n")
    assert (await reader.read(64)).startswith(b"HTTP/1.1 400")
    writer.close()
    assert (await psp.call("POST", "/v1/charges", {"reference": "x" * 70_000})).status == 413


async def test_pipelined_requests_are_answered_in_order(psp: Client) -> None:
    reader, writer = await _connect(psp)
    ask = "GET {} HTTP/1.1\r\nHost: x\r\n{}\r\n"
    last = ask.format("/healthz", "Connection: close\r\n")
    writer.write((ask.format("/healthz", "") + ask.format("/nothing", "") + last).encode())
    answer = await reader.read()
    writer.close()
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"404", b"200"]


async def _connect(psp: Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = psp.url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))
