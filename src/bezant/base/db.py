"""The database: a bounded pool, transactions with their number and time, and errors sorted by what may be done next.

A transaction carries its xid (the commit-safe order of what it writes) and the database's time, so that no two clocks
are compared. It also turns off the plans that are right only for empty tables: those plans stay cached and are
ruinous later.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol, cast

import asyncpg
import msgspec

from bezant.base.errors import BezantError

_CONNECT_TIMEOUT_S = 5.0
_STATEMENT_TIMEOUT_S = 30.0

WAIT_MAX_S = 5.0
"""How long a request waits for a database that says nothing before it is told to come back later."""

_AT_HAND_MAX = 2
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_SET_UP = """
SELECT pg_current_xact_id()::text::bigint, now(), set_config('enable_seqscan', 'off', true),
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
    set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true),
    set_config('plan_cache_mode', 'force_generic_plan', true)
"""
_SET_UP_BULK = """
SELECT pg_current_xact_id()::text::bigint, now(), set_config('jit', 'off', true), set_config('work_mem', '64MB', true),
    set_config('plan_cache_mode', 'force_custom_plan', true)
"""

_in_transaction: ContextVar[bool] = ContextVar("in_transaction", default=False)


class DatabaseError(BezantError):
    """Root of what the database may answer instead of rows."""


class DatabaseLost(DatabaseError):
    """No connection, or it broke: what was sent may or may not have been committed. Repeat where that is harmless."""


class DataRefused(DatabaseError):
    """A value or a constraint (SQLSTATE 22, 23): the transaction is gone; some item in it is at fault."""

    def __init__(self, message: str, sqlstate: str, constraint: str | None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.constraint = constraint


class TransactionRolledBack(DatabaseError):
    """A deadlock or serialisation failure (SQLSTATE 40): the same transaction may be run again as it is."""


Row = Sequence[Any]


class Connection(Protocol):
    """What a store may do with a connection. Parameters are positional; rows are read by position."""

    async def fetch(self, query: str, *args: object) -> list[Any]: ...
    async def fetchrow(self, query: str, *args: object) -> Any: ...
    async def fetchval(self, query: str, *args: object) -> Any: ...
    async def execute(self, query: str, *args: object) -> str: ...


class Transaction(msgspec.Struct, frozen=True):
    """An open transaction: its connection, its xid, and the database's time at its start."""

    connection: Connection
    xid: int
    now: datetime


class Database:
    """A bounded pool of connections to one PostgreSQL database."""

    def __init__(self, url: str, *, connections_max: int, application: str = "bezant") -> None:
        self._url = url
        self._connections_max = connections_max
        self._application = application
        self._opened: asyncpg.Pool[asyncpg.Record] | None = None
        self._at_hand: list[Any] = []
        self._at_hand_max = max(0, min(_AT_HAND_MAX, connections_max - 2))

    async def open(self) -> None:
        """Open the pool; connections are made when they are needed, so the server may be away at this moment."""
        with _sorted_errors():
            self._opened = await asyncpg.create_pool(
                self._url,
                min_size=0,
                max_size=self._connections_max,
                timeout=_CONNECT_TIMEOUT_S,
                command_timeout=_STATEMENT_TIMEOUT_S,
                max_inactive_connection_lifetime=300,
                reset=_nothing_to_reset,
                server_settings={
                    "application_name": self._application,
                    "idle_in_transaction_session_timeout": "60s",
                },
            )

    @property
    def _pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        if self._opened is None:
            raise DatabaseLost("the database is not open")
        return self._opened

    async def close(self) -> None:
        """Close every connection, waiting for those in use, at most 10 s."""
        if self._opened is None:
            return
        while self._at_hand:
            await self._opened.release(self._at_hand.pop())
        try:
            await asyncio.wait_for(self._opened.close(), 10)
        except TimeoutError:
            self._opened.terminate()

    @asynccontextmanager
    async def connection(self, timeout_s: float | None = None) -> AsyncIterator[Connection]:
        """A connection in autocommit mode, for reads; with `timeout_s` for those that somebody waits for.

        Raises DatabaseLost, also when the block takes longer than that.
        """
        with _sorted_errors():
            async with self._pool.acquire(timeout=_CONNECT_TIMEOUT_S) as connection, _hung_up_if_cut_short(connection):
                async with asyncio.timeout(timeout_s):
                    yield cast(Connection, connection)

    @asynccontextmanager
    async def snapshot(self, timeout_s: float | None = None) -> AsyncIterator[Connection]:
        """A connection whose reads all see the database as it was at the first of them.

        For what is read by several queries and shown as one thing: else a change that commits between them shows a
        state that never was. Raises DatabaseLost as `connection` does.
        """
        async with (
            self.connection(timeout_s) as connection,
            cast(Any, connection).transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[Any]:
        """A connection for one transaction, which then stays at hand for the next one.

        The pool's way of handing over makes two tasks each time, a tenth of what a lone command costs.
        """
        pool, connection = self._pool, None
        while self._at_hand and connection is None:
            connection = self._at_hand.pop()
            if _is_gone(connection):
                await pool.release(connection)
                connection = None
        if connection is None:
            connection = await pool.acquire(timeout=_CONNECT_TIMEOUT_S)
        try:
            yield connection
        finally:
            if _is_gone(connection) or len(self._at_hand) >= self._at_hand_max:
                await pool.release(connection)
            else:
                self._at_hand.append(connection)

    @asynccontextmanager
    async def statement(self, timeout_s: float = WAIT_MAX_S) -> AsyncIterator[Connection]:
        """A connection for one statement, which is a transaction of its own: a quarter of a transaction's round trips.

        Raises as `transaction` does; DatabaseLost also when the block takes longer than that.
        """
        with _sorted_errors():
            async with self._held() as connection, _hung_up_if_cut_short(connection):
                async with asyncio.timeout(timeout_s):
                    yield cast(Connection, connection)

    @asynccontextmanager
    async def transaction(self, *, bulk: bool = False) -> AsyncIterator[Transaction]:
        """A transaction that commits when the block ends and rolls back when it raises.

        `bulk`: for statements over many thousand rows, which the planner knows best.

        Raises DatabaseLost (also where the connection broke during COMMIT: then nobody knows), DataRefused or
        TransactionRolledBack.
        """
        with _sorted_errors():
            async with self._held() as connection, _hung_up_if_cut_short(connection):
                await connection.execute(_BEGIN, timeout=WAIT_MAX_S)
                token = _in_transaction.set(True)
                try:
                    xid, now, *_ = cast(
                        Row, await connection.fetchrow(_SET_UP_BULK if bulk else _SET_UP, timeout=WAIT_MAX_S)
                    )
                    yield Transaction(cast(Connection, connection), xid, now)
                    await connection.execute("COMMIT")
                except (TimeoutError, asyncio.CancelledError):
                    raise
                except BaseException:
                    if not connection.is_closed():
                        await connection.execute("ROLLBACK")
                    raise
                finally:
                    _in_transaction.reset(token)


@asynccontextmanager
async def _hung_up_if_cut_short(connection: Any) -> AsyncIterator[None]:
    """Drop the connection when a statement was cut short.

    Nobody knows what state it is in, and over a line that says nothing every polite word would be waited for again.
    The server rolls back when it notices.
    """
    try:
        yield
    except (TimeoutError, asyncio.CancelledError):
        connection.terminate()
        raise


def _is_gone(connection: Any) -> bool:
    """Whether a connection of the pool is closed, or was hung up, after which the pool has taken it back."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


async def _nothing_to_reset(_: object) -> None:
    """What a transaction sets is local to it, so the driver's round trip at each release is spared."""


def transaction_is_open() -> bool:
    """Whether the calling task is inside `Database.transaction`."""
    return _in_transaction.get()


class _sorted_errors:  # noqa: N801 - a context manager that reads as a function
    """Turns the driver's exceptions into the three kinds that callers act on."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, asyncpg.PostgresError):
            sqlstate = error.sqlstate or ""
            if sqlstate[:2] in ("22", "23"):
                constraint = cast(str | None, getattr(error, "constraint_name", None))
                raise DataRefused(str(error), sqlstate, constraint) from error
            if sqlstate[:2] == "40":
                raise TransactionRolledBack(str(error)) from error
            if sqlstate[:2] in ("08", "3D", "53", "57", "58") or sqlstate in ("25P03", "XX000"):
                raise DatabaseLost(str(error)) from error
        elif isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError):
            raise DatabaseLost(str(error) or type(error).__name__) from error
