"""`bezant verify` for tests: of the database of a test, in this process."""

from bezant.base.db import Database
from bezant.base.master_key import derived
from bezant.base.sealed import Sealer
from bezant.verify.report import Report
from bezant.verify.run import verify
from tests.support.databases import run
from tests.support.platform import MASTER_KEY
from tests.support.schemas import assert_events_are_as_published

TEST_SEALER = Sealer([derived(MASTER_KEY)])
"""Opens what the platforms of tests seal."""


async def verified(url: str, sealer: Sealer = TEST_SEALER) -> Report:
    """What `verify` finds in the database, with the master key of `sealer`."""
    database = Database(url, connections_max=1, application="bezant test")
    await database.open()
    try:
        return await verify(database, sealer=sealer)
    finally:
        await database.close()


async def assert_verified_async(url: str) -> None:
    """Fails with every violation by name if anything that must hold does not, or an event is not as published."""
    report = await verified(url)
    assert report.ok, "\n" + describe(report)
    await assert_events_are_as_published(url)


def assert_verified(url: str) -> None:
    """`assert_verified_async` for tests that are no coroutines."""
    run(assert_verified_async(url))


def describe(report: Report) -> str:
    """The violations, one a line."""
    return "\n".join(
        f"{check.name} ({check.count}): {violation.id}: {violation.detail}"
        for check in report.broken
        for violation in check.violations
    )
