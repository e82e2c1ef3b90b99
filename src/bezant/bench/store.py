"""Every SQL statement of the benchmarks."""

from uuid import UUID

from bezant.base.db import Connection
from bezant.base.errors import OperatorError


async def require_durable(connection: Connection) -> None:
    """Raise OperatorError unless commits are durable: figures without fsync say nothing."""
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        if await connection.fetchval("SELECT current_setting($1)", setting) != "on":
            raise OperatorError(f"The database runs with {setting} off: benchmarks need durable commits.")


async def create_database(connection: Connection, name: str) -> None:
    """A new database; `name` is of our own making."""
    await connection.execute(f'CREATE DATABASE "{name}"')


async def drop_database(connection: Connection, name: str) -> None:
    """Drop a database whoever is connected."""
    await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def backend_pid(connection: Connection) -> int:
    """The process id of the server process behind this connection."""
    return await connection.fetchval("SELECT pg_backend_pid()")


async def settle(connection: Connection) -> None:
    """Begin from a quiet server: nothing of an earlier run left to write."""
    await connection.execute("CHECKPOINT")


async def rows(connection: Connection) -> int:
    """How many payments there are."""
    return await connection.fetchval("SELECT count(*) FROM payments")


async def insert_merchant(connection: Connection, merchant_id: UUID) -> None:
    """A merchant for the ledger to post for."""
    await connection.execute(
        "INSERT INTO merchants (id, name, currency, psp) VALUES ($1, 'Bench', 'USD', 'simulator')", merchant_id
    )
