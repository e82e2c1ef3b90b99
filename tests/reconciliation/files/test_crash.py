"""A process dies anywhere while it receives or loads: whoever comes next ends where it would have ended."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TEMPLATE
from tests.reconciliation.files.process import BATCH_LINES
from tests.reconciliation.files.readers import acme_line, acme_report, entry, statement
from tests.reconciliation.files.world import World, world_on
from tests.support.databases import copied_database, run
from tests.support.processes import Process

_LINES = 150
_BEFORE = acme_report(*(acme_line(n) for n in range(20)))
_REPORT = acme_report(
    *(acme_line(n) for n in range(10, _LINES)), "nonsense", acme_line(3, gross=5), acme_line(500, kind="payout")
)
_STATEMENT = statement(*(entry("2026-04-01", n % 7, f"N{n}" if n % 2 else "") for n in range(_LINES)), "bad")
_BODIES = {"psp": _REPORT, "bank": _STATEMENT}
_ROWS = (
    """SELECT f.name, l.line, l.id, l.gross_minor, l.payout_id
    FROM psp_lines AS l JOIN report_files AS f ON f.id = l.file_id ORDER BY l.id""",
    "SELECT line_id FROM open_lines ORDER BY 1",
    "SELECT id, amount_minor FROM psp_payouts ORDER BY 1",
    "SELECT line, amount_minor, content FROM bank_lines ORDER BY line",
    "SELECT count(*) FROM open_bank_lines",
    "SELECT line, reason FROM quarantined_lines ORDER BY line",
    "SELECT name, state, refusal, lines, repeated, quarantined, summary FROM report_files ORDER BY name",
    "SELECT count(*), sum(part) FROM report_file_parts",
)
_POINTS = (
    "receive.after_part",
    "receive.before_commit",
    "receive.after_commit",
    "load.before_batch_commit",
    "load.after_batch_commit",
    "load.before_loaded",
    "load.after_loaded",
)


async def rows(world: World) -> list[Any]:
    return [await world.sql(query) for query in _ROWS]


async def prepared(world: World) -> None:
    """An account at the bank, and a file of which the one that is to be loaded repeats and contradicts lines."""
    await world.bank_account()
    await world.loaded(_BEFORE, name="before.csv")


def dies(database_url: str, path: Path, source: str, point: str) -> None:
    arguments = (sys.executable, "-m", "tests.reconciliation.files.process", str(path), source, f"{point}=kill")
    with Process(*arguments, env={"FILES_DATABASE_URL": database_url}) as process:
        assert process.wait(60) == -9, process.output()


async def taken_up(world: World, body: bytes, source: Any) -> None:
    """What whoever comes next does: waits out the lease, is sent the file again, and loads it."""
    await world.sql("UPDATE report_files SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL")
    await world.files.receive.forget_abandoned()
    await world.send(body, source=source, name="it.csv")
    while await world.files.load.next() is not None:
        pass


@pytest.fixture(scope="module", params=["psp", "bank"], ids=["report", "statement"])
def case(request: pytest.FixtureRequest, server_url: str) -> Iterator[tuple[str, list[Any]]]:
    """Where a file comes from, and the rows that are there once it was loaded without a crash."""

    async def uneventful(url: str) -> list[Any]:
        async with world_on(url) as world:
            await prepared(world)
            await world.loaded(_BODIES[request.param], source=request.param, name="it.csv")
            return await rows(world)

    with copied_database(server_url, TEMPLATE) as url:
        yield request.param, run(uneventful(url))


@pytest.mark.parametrize("point", _POINTS)
async def test_whoever_comes_next_ends_where_the_dead_one_would_have(
    database_url: str, case: tuple[str, list[Any]], tmp_path: Path, point: str
):
    source, expected = case
    path = tmp_path / "it.csv"
    path.write_bytes(_BODIES[source])
    assert _LINES > 3 * BATCH_LINES
    async with world_on(database_url) as world:
        await prepared(world)
        dies(database_url, path, source, point)
        if point == "load.after_batch_commit":
            there = await world.one("SELECT count(*) FROM open_lines") + await world.one(_ROWS[4])
            assert there > 20, "it died with something of the file in the database"
        await taken_up(world, _BODIES[source], source)
        assert await rows(world) == expected


async def test_a_file_that_is_refused_leaves_nothing_though_the_one_who_takes_it_back_dies(
    database_url: str, tmp_path: Path
):
    body = acme_report(*(acme_line(n) for n in range(10, _LINES)), total=1)
    path = tmp_path / "it.csv"
    path.write_bytes(body)
    async with world_on(database_url) as world:
        await prepared(world)
        before = (await rows(world))[:5]
        dies(database_url, path, "psp", "load.after_taking_back")
        assert await world.one("SELECT count(*) FROM open_lines") > 20
        await world.sql("UPDATE report_files SET lease_until = now() - interval '1 second' WHERE state = 'loading'")
        assert await world.files.load.next() is not None
        assert await world.one("SELECT state FROM report_files WHERE name = 'it.csv'") == "refused"
        assert (await rows(world))[:5] == before
