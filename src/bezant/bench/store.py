"""Every SQL statement of the benchmarks."""

from uuid import UUID

from bezant.base.db import Connection
from bezant.base.errors import OperatorError


async def require_durable(connection: Connection) -> None:
    """Raise OperatorError unless commits are durable: figures without fsync say nothing."""
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        if await connection.fetchval("SELECT current_setting($1)", setting) != "on":
            raise OperatorError("Benchmarks need durable commits, but the database runs without: " + setting)


async def create_database(connection: Connection, name: str) -> None:
    """A new database; `name` is of our own making."""
    await connection.execute(await connection.fetchval("SELECT format('CREATE DATABASE %I', $1::text)", name))


async def drop_database(connection: Connection, name: str) -> None:
    """Drop a database whoever is connected."""
    statement = await connection.fetchval("SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', $1::text)", name)
    await connection.execute(statement)


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
