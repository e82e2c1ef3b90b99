"""Whatever does not hold is named: the check that looks at it, and the very rows."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from bezant.verify.report import Report
from tests.support.databases import copied_database, run
from tests.support.verification import describe, verified
from tests.verify.breaking import Breaking
from tests.verify.breaks import ALL


@pytest.mark.parametrize("breaking", ALL, ids=lambda b: f"{b.check} {b.what}".strip())
def test_what_is_broken_is_named(server_url: str, traded: str, breaking: Breaking) -> None:
    with copied_database(server_url, urlsplit(traded).path.removeprefix("/")) as url:
        expected = {
            f"{breaking.prefix}_{row[0].hex if hasattr(row[0], 'hex') else row[0]}" for row in do(url, breaking)
        }
        report = run(verified(url))

    assert expected, "the break hit nothing"
    assert {check.name for check in report.broken} == {breaking.check, *breaking.also}, describe(report)
    assert named(report, breaking.check) == expected, describe(report)


def test_each_check_is_broken_by_a_test(traded: str) -> None:
    report = run(verified(traded))

    assert {check.name for check in report.checks} == {breaking.check for breaking in ALL}
    assert len({check.name for check in report.checks}) == len(report.checks)


def do(url: str, breaking: Breaking) -> Sequence[Any]:
    return run(_do(url, breaking))


async def _do(url: str, breaking: Breaking) -> Sequence[Any]:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        if breaking.drop:
            table, name = breaking.drop
            await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}" if table else f"DROP INDEX {name}")
        return await connection.fetch(breaking.sql)
    finally:
        await connection.close()


def named(report: Report, name: str) -> set[str]:
    (check,) = (check for check in report.checks if check.name == name)
    assert check.count == len(check.violations)
    return {violation.id for violation in check.violations}
