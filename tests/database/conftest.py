"""A database with two merchants' books, kept by hand in SQL: each attack is a transaction that is rolled back."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.books import Books


@pytest.fixture
async def books(module_database_url: str) -> AsyncIterator[Books]:
    """Books on an open transaction, so that attacks of one module share a database."""
    connection = await asyncpg.connect(module_database_url, timeout=30)
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield await Books.open(connection)
    finally:
        await transaction.rollback()
        await connection.close()
