"""Seal everything anew under the newest master key, in small transactions.

It may be killed at any point and repeated: what was done is not done again. Other writers are waited for row by row.
"""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

import msgspec

from bezant.audit.record import By, record
from bezant.base.db import Database
from bezant.base.errors import OperatorError
from bezant.base.failpoints import reach
from bezant.base.sealed import SealBroken, Sealer, bound_to
from bezant.sealing import store

_AT_ONCE: Final = 50

Counted = Callable[[int], None]
"""Told how many more rows were looked at."""


class SealedRows(msgspec.Struct, frozen=True):
    """How many rows of a table one key has sealed. `key`: newest, former or missing."""

    table: str
    key_id: str
    key: str
    rows: int


class Unopened(msgspec.Struct, frozen=True):
    """A row that no given key opens."""

    table: str
    id: UUID
    reason: str


class Rotated(msgspec.Struct, frozen=True):
    """What came of it."""

    key_id: str
    rows: Mapping[str, int]
    unopened: list[Unopened]


async def sealed_rows(database: Database, sealer: Sealer) -> list[SealedRows]:
    """How many rows each key has sealed."""
    newest, *former = sealer.key_ids
    async with database.connection() as connection:
        found = await store.counts(connection)
    return [
        SealedRows(table, key_id, "newest" if key_id == newest else "former" if key_id in former else "missing", rows)
        for table, key_id, rows in found
    ]


async def rotate(database: Database, sealer: Sealer, on_count: Counted) -> Rotated:
    """Seal every row under the newest key. Rows that do not open are left as they are, and named."""
    key_id = sealer.key_id
    done: dict[str, int] = {}
    unopened: list[Unopened] = []
    for table in store.TABLES:
        after: UUID | None = None
        done[table] = 0
        while True:
            count, after, broken = await _next(database, sealer, key_id, table, after)
            done[table] += count
            unopened += broken
            on_count(count + len(broken))
            if after is None:
                break
    return Rotated(key_id, done, unopened)


async def _next(
    database: Database, sealer: Sealer, key_id: str, table: str, after: UUID | None
) -> tuple[int, UUID | None, list[Unopened]]:
    """One transaction: how many rows it sealed anew, the last row that it looked at, and what did not open."""
    row_ids: list[UUID] = []
    sealed_anew: list[bytes] = []
    unopened: list[Unopened] = []
    async with database.transaction() as transaction:
        rows = await store.lock_rows_under_other_keys(transaction, table, key_id, after, _AT_ONCE)
        for row_id, its_key_id, sealed in rows:
            place = bound_to(table, row_id)
            try:
                plaintext = sealer.open(its_key_id, sealed, place)
            except SealBroken as broken:
                unopened.append(Unopened(table, row_id, str(broken)))
                continue
            used_key_id, anew = sealer.seal(plaintext, place)
            if used_key_id != key_id:
                raise OperatorError("The master key was changed meanwhile: run this again.")
            row_ids.append(row_id)
            sealed_anew.append(anew)
        if row_ids:
            await store.seal_again(transaction, table, key_id, row_ids, sealed_anew)
        reach("rotate.before_commit", (table,))
    reach("rotate.after_commit", (table,))
    return len(row_ids), rows[-1][0] if rows else None, unopened


async def audit_key_change(database: Database, by: By, action: str, detail: Mapping[str, object], key_id: str) -> None:
    """Write down that the master key is changed, before it is."""
    async with database.transaction() as transaction:
        await record(transaction, by, action, key_id, None, detail)
