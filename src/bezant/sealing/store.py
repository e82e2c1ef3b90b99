"""Every SQL statement about sealed columns, the same ones for each table that has them."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from bezant.base.db import Connection, Row, Transaction

TABLES: Final = ("psp_accounts", "webhook_endpoints")

_COUNTS: Final = " UNION ALL ".join(
    f"SELECT '{table}' AS name, s.key_id, count(*) FROM {table} AS s GROUP BY s.key_id" for table in TABLES
)
_UNDER_OTHER_KEYS: Final = {
    table: f"""
    SELECT s.id, s.key_id, s.sealed FROM {table} AS s
    WHERE s.key_id <> $1 AND ($2::uuid IS NULL OR s.id > $2) ORDER BY s.id LIMIT $3 FOR NO KEY UPDATE
    """
    for table in TABLES
}
# Processes that run find changed accounts by their time; merchants see the time of their endpoints, which stays.
_AND: Final = {"psp_accounts": ", updated_at = clock_timestamp()"}
_SEAL_AGAIN: Final = {
    table: f"""
    UPDATE {table} AS s SET key_id = $1, sealed = n.sealed{_AND.get(table, "")}
    FROM unnest($2::uuid[], $3::bytea[]) AS n (id, sealed) WHERE s.id = n.id
    """
    for table in TABLES
}


async def counts(connection: Connection) -> Sequence[Row]:
    """(table, key, rows) of all sealed rows."""
    return await connection.fetch(f"{_COUNTS} ORDER BY 1, 2")


async def lock_rows_under_other_keys(
    transaction: Transaction, table: str, key_id: str, after: UUID | None, limit: int
) -> Sequence[Row]:
    """(id, key, sealed) of the next rows that another key sealed, locked until the transaction ends."""
    return await transaction.connection.fetch(_UNDER_OTHER_KEYS[table], key_id, after, limit)


async def seal_again(
    transaction: Transaction, table: str, key_id: str, row_ids: Sequence[UUID], sealed: Sequence[bytes]
) -> None:
    """The same secrets under another key."""
    await transaction.connection.execute(_SEAL_AGAIN[table], key_id, row_ids, sealed)
