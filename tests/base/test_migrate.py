"""The schema: applied once, by any number of processes, and never over a schema that is not ours."""

import sys
from pathlib import Path

import asyncpg
import pytest

from bezant.base.errors import OperatorError
from bezant.base.migrate import load, migrate, require_current, schema_version
from tests.support.processes import Process

ONE = "CREATE TABLE one (id integer PRIMARY KEY);"
TWO = "CREATE TABLE two (id integer PRIMARY KEY); INSERT INTO one VALUES (1); SELECT pg_sleep(0.2);"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_one.sql").write_text(ONE)
    (folder / "0002_two.sql").write_text(TWO)
    return folder


async def count_ones(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT count(*) FROM one")
    finally:
        await connection.close()


async def test_migrate_applies_in_order_and_only_once(empty_database_url: str, folder: Path):
    assert await migrate(empty_database_url, folder) == ["0001_one", "0002_two"]
    assert await migrate(empty_database_url, folder) == []
    assert await count_ones(empty_database_url) == 1
    await require_current(empty_database_url, folder)


async def test_processes_that_migrate_at_once_apply_each_file_once(empty_database_url: str, folder: Path):
    program = (
        "import asyncio, pathlib, sys; from bezant.base.migrate import migrate; "
        "print('applied', *asyncio.run(migrate(sys.argv[1], pathlib.Path(sys.argv[2]))))"
    )
    command = (sys.executable, "-c", program, empty_database_url, str(folder))
    with Process(*command) as first, Process(*command) as second, Process(*command) as third:
        processes = (first, second, third)
        assert [process.wait() for process in processes] == [0, 0, 0], [process.output() for process in processes]
        applied = [
            name
            for process in processes
            for line in process.output().splitlines()
            if line.startswith("applied")
            for name in line.split()[1:]
        ]
    assert sorted(applied) == ["0001_one", "0002_two"]
    assert await count_ones(empty_database_url) == 1


async def test_failing_migration_leaves_nothing_behind_and_names_itself(empty_database_url: str, folder: Path):
    (folder / "0002_two.sql").write_text("INSERT INTO one VALUES (1); SELECT 1 / 0;")
    with pytest.raises(OperatorError, match="0002_two failed and was rolled back: division by zero"):
        await migrate(empty_database_url, folder)
    assert await count_ones(empty_database_url) == 0
    (folder / "0002_two.sql").write_text(TWO)
    assert await migrate(empty_database_url, folder) == ["0002_two"]


async def test_applied_file_that_changed_is_refused(empty_database_url: str, folder: Path):
    await migrate(empty_database_url, folder)
    (folder / "0001_one.sql").write_text(ONE + " -- changed")
    with pytest.raises(OperatorError, match="0001_one was changed after it was applied"):
        await migrate(empty_database_url, folder)
    with pytest.raises(OperatorError, match="0001_one was changed after it was applied"):
        await require_current(empty_database_url, folder)


async def test_database_that_is_newer_than_the_program_is_refused(empty_database_url: str, folder: Path):
    await migrate(empty_database_url, folder)
    (folder / "0002_two.sql").unlink()
    with pytest.raises(OperatorError, match="older than the database, which has 0002_two"):
        await migrate(empty_database_url, folder)
    with pytest.raises(OperatorError, match="older than the database, which has 0002_two"):
        await require_current(empty_database_url, folder)


async def test_database_that_is_older_than_the_program_asks_for_migrate(empty_database_url: str, folder: Path):
    with pytest.raises(OperatorError, match="empty: run `bezant migrate`"):
        await require_current(empty_database_url, folder)
    await migrate(empty_database_url, folder)
    (folder / "0003_three.sql").write_text("SELECT 1;")
    with pytest.raises(OperatorError, match="has schema 0002, this program needs 0003: run `bezant migrate`"):
        await require_current(empty_database_url, folder)


async def test_schema_version_is_the_newest_applied(empty_database_url: str, folder: Path):
    connection = await asyncpg.connect(empty_database_url)
    try:
        assert await schema_version(connection) == 0
        await migrate(empty_database_url, folder)
        assert await schema_version(connection) == 2
    finally:
        await connection.close()


async def test_unreachable_database_is_an_operator_error():
    with pytest.raises(OperatorError, match="cannot be reached"):
        await migrate("postgresql://bezant@127.0.0.1:1/bezant")


@pytest.mark.parametrize("name", ["0004_gap.sql", "three.sql", "0003_Upper.sql"])
def test_misnamed_migration_is_refused(folder: Path, name: str):
    (folder / name).write_text("SELECT 1;")
    with pytest.raises(OperatorError, match="numbered from 0001 without a gap"):
        load(folder)


async def test_shipped_migrations_make_the_current_schema(database_url: str):
    await require_current(database_url)
