"""A database with an author of events."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bezant.base.db import Database
from tests.support.events import Author


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, connections_max=6)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def author(database: Database) -> Author:
    return Author(database)
