"""Reports and statements are fetched from a PSP that has them ready, each once."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from bezant.connectors.simulator import CONNECTOR
from bezant.psp.call import Endpoint
from bezant.psp.contract import Credentials
from bezant.psp.pulling import HttpDownload, Pulls
from bezant.psp.reports import Reports
from bezant.reconciliation.files.csv_mappings import bank_formats
from tests.reconciliation.files.readers import FORMATS, acme_line, acme_report, read_acme
from tests.reconciliation.files.world import World, world_on
from tests.support.platform import request
from tests.support.processes import free_port
from tests.support.simulator import SimulatorProcess, charge_body, new_reference, running_simulator


class Psp:
    """A simulator, and a process that fetches from it."""

    def __init__(self, simulator: SimulatorProcess, world: World) -> None:
        self.simulator = simulator
        self.world = world

    def settles(self) -> None:
        """A charge is made, and everything so far settled and paid out."""
        body = json.dumps(charge_body(capture=True)).encode()
        made = request(
            f"{self.simulator.url}/v1/charges",
            "POST",
            body,
            {"Authorization": "Bearer sim_test", "Idempotency-Key": new_reference()},
        )
        assert made.status < 300, made
        assert request(f"{self.simulator.url}/_simulator/settle", "POST", b"{}").status == 201

    async def look(self) -> int:
        assert self.world.files.pull is not None
        return await self.world.files.pull.look()


def pulls_from(url: str) -> Pulls:
    endpoint = Endpoint(CONNECTOR, url, Credentials({}))
    return Pulls({"simulator": endpoint}, HttpDownload(), timeout_s=10)


@pytest.fixture
async def psp(database_url: str) -> AsyncIterator[Psp]:
    assert CONNECTOR.reports is not None
    with running_simulator() as simulator:
        async with world_on(
            database_url,
            reports={"simulator": CONNECTOR.reports},
            formats=bank_formats(None),
            pulls=pulls_from(simulator.url),
        ) as world:
            yield Psp(simulator, world)


async def test_reports_and_statements_are_fetched_once_and_loaded(psp: Psp):
    assert await psp.look() == 0
    psp.settles()
    found = request(f"{psp.simulator.url}/_simulator/statements", "GET").json["data"]
    for number, account in enumerate({each["account"] for each in found}):
        await psp.world.bank_account(f"bank-{number}", account, None)
    assert await psp.look() == 2
    assert await psp.look() == 0
    while await psp.world.files.load.next() is not None:
        pass
    files = "SELECT source, state, refusal, lines, uploaded_by FROM report_files ORDER BY source"
    assert await psp.world.sql(files) == [
        ("bank", "loaded", None, 1, "pulled:simulator"),
        ("psp", "loaded", None, 2, "pulled:simulator"),
    ]
    (paid,) = await psp.world.sql("SELECT amount_minor, payout_reference FROM psp_payouts")
    (deposit,) = await psp.world.sql("SELECT amount_minor, content || refs::text FROM bank_lines")
    assert paid[0] == deposit[0] > 0
    assert paid[1] in deposit[1]
    psp.settles()
    assert await psp.look() == 2


async def test_what_was_refused_is_not_fetched_again_and_again(psp: Psp):
    psp.settles()
    assert await psp.look() == 2
    while await psp.world.files.load.next() is not None:
        pass
    assert await psp.world.sql("SELECT refusal FROM report_files WHERE state = 'refused'") != [], "no account is known"
    assert await psp.look() == 0


async def test_a_psp_that_is_silent_is_asked_the_next_time(database_url: str):
    pulls = pulls_from(f"http://127.0.0.1:{free_port()}")
    async with world_on(database_url, pulls=pulls) as world:
        assert world.files.pull is not None
        assert await world.files.pull.look() == 0


async def test_a_download_that_is_cut_short_leaves_nothing(database_url: str):
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        listed = b'{"data": [{"id": "rep_1"}]}'
        if b"/rep_1" in asked:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"report_id," * 200_000)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(listed), listed))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        reports = {"simulator": Reports(formats={"acme_csv": read_acme}, recognise=lambda _head: "acme_csv")}
        async with world_on(database_url, reports=reports, formats=FORMATS, pulls=pulls_from(url)) as world:
            assert world.files.pull is not None
            assert await world.files.pull.look() == 0
            assert await world.one("SELECT count(*) FROM report_files") == 0
            assert await world.one("SELECT count(*) FROM report_file_parts") == 0


async def test_reports_that_do_not_come_stand_in_the_way_of_no_other(database_url: str):
    body, names = acme_report(acme_line(1)), [f"rep_{number}" for number in range(5)]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        if path.endswith(("reports", "statements")):
            found = [{"id": name} for name in names if path.endswith("reports")]
            content = json.dumps({"data": found}).encode()
        else:
            content = body + path.encode() if path.endswith(("_3", "_4")) else b""
        status = b"200 OK" if content else b"404 Not Found"
        writer.write(b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n" % status)
        writer.write(b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        reports = {"simulator": Reports(formats={"acme_csv": read_acme}, recognise=lambda _head: "acme_csv")}
        async with world_on(database_url, reports=reports, formats=FORMATS, pulls=pulls_from(url)) as world:
            assert world.files.pull is not None
            assert await world.files.pull.look() == 0, "after three in a row the PSP is left alone"
            assert await world.files.pull.look() == 2
            files = "SELECT name FROM report_files WHERE state = 'received' ORDER BY name"
            assert [name for (name,) in await world.sql(files)] == ["rep_3.csv", "rep_4.csv"]
