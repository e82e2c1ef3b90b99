"""One read-only snapshot of the whole database, for statements that take as long as they take."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg

from bezant.base.db import Database, Row
from bezant.verify.report import VIOLATIONS_MAX, Check

_STATEMENT_TIMEOUT_S = 4 * 3600.0
_ROWS_AT_ONCE = 2_000

# Every check reads whole tables. Where there are no statistics yet, the planner would join them by nested loops.
_SET_UP = """
SET LOCAL enable_nestloop = off;
SET LOCAL jit = off;
SET LOCAL work_mem = '96MB';
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
"""


class Snapshot:
    """The rows as they all were at one moment."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def violations(self, check: Check) -> Sequence[Row]:
        """The first violations of a check as (subject, detail, count of all)."""
        return cast(Sequence[Row], await self._connection.fetch(bounded(check.sql), timeout=_STATEMENT_TIMEOUT_S))

    async def stream(self, query: str) -> AsyncIterator[Row]:
        """The rows of a query, never more than a few thousand of them in memory."""
        cursor = await self._connection.cursor(query, timeout=_STATEMENT_TIMEOUT_S)
        while rows := await cursor.fetch(_ROWS_AT_ONCE, timeout=_STATEMENT_TIMEOUT_S):
            for row in rows:
                yield cast(Row, row)


def bounded(sql: str) -> str:
    """The statement of a check, with the count of its rows and only the first of them."""
    return (
        f"SELECT f.subject, f.detail, count(*) OVER () FROM ({sql}) AS f (subject, detail) "
        f"ORDER BY f.subject LIMIT {VIOLATIONS_MAX}"
    )


@asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Snapshot]:
    """Open a snapshot. Raises DatabaseLost."""
    async with database.connection() as pooled:
        connection = cast("asyncpg.Connection[asyncpg.Record]", cast(Any, pooled))
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(_SET_UP)
            yield Snapshot(connection)
