"""A process that receives and loads, on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest

from bezant.base.log import configure
from tests.reconciliation.files.world import World, world_on


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """Logs as a server writes them: without this a traceback is drawn for eyes, which takes seconds."""
    configure("json")


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with world_on(database_url) as world:
        yield world
