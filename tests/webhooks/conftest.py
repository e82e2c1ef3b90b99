"""A world of its own for each test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.webhooks.world import World, opened_world


@pytest_asyncio.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with opened_world(database_url) as world:
        yield world
