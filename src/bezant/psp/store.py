"""Every SQL statement about accounts at PSPs and the log of requests to them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Connection, Row, Transaction
from bezant.psp.records import RequestLog


class AccountRow(msgspec.Struct, frozen=True):
    """A row of `psp_accounts`."""

    id: UUID
    name: str
    psp: str
    merchant_id: UUID
    status: str
    key_id: str
    sealed: bytes
    created_at: datetime
    updated_at: datetime


_ACCOUNT = ", ".join(f"a.{field}" for field in AccountRow.__struct_fields__)
_ACCOUNTS = f"""
SELECT {_ACCOUNT} FROM psp_accounts AS a WHERE $1::uuid IS NULL OR a.merchant_id = $1 ORDER BY a.name
"""
_CHANGED_ACCOUNTS = f"""
SELECT {_ACCOUNT} FROM psp_accounts AS a WHERE a.updated_at >= coalesce($1::timestamptz, '-infinity')
"""
_ACCOUNT_BY_NAME = f"SELECT {_ACCOUNT} FROM psp_accounts AS a WHERE a.name = $1"
_LOCKED_ACCOUNT = f"SELECT {_ACCOUNT} FROM psp_accounts AS a WHERE a.name = $1 FOR NO KEY UPDATE"
_NOW = "SELECT clock_timestamp()"
_INSERT_ACCOUNT = """
INSERT INTO psp_accounts (id, name, psp, merchant_id, key_id, sealed) VALUES ($1, $2, $3, $4, $5, $6)
"""
_SEAL_ACCOUNT = "UPDATE psp_accounts SET key_id = $2, sealed = $3, updated_at = clock_timestamp() WHERE id = $1"
_CLOSE_ACCOUNT = "UPDATE psp_accounts SET status = 'closed', updated_at = clock_timestamp() WHERE id = $1"

_INSERT = """
INSERT INTO psp_requests (id, merchant_id, attempt_id, psp, method, path, request, status, response, error,
    duration_ms, sent_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::integer[],
    $9::text[], $10::text[], $11::integer[], $12::timestamptz[])
"""

_OF_FAMILY = """
SELECT r.attempt_id, r.psp, r.method, r.path, r.status, r.error, r.duration_ms, r.sent_at FROM psp_requests AS r
WHERE r.merchant_id = $1 AND r.id BETWEEN $2 AND $3 AND r.attempt_id = ANY($4::uuid[]) ORDER BY r.sent_at, r.id
"""


async def insert_requests(transaction: Transaction, logs: Sequence[tuple[UUID, UUID, RequestLog]]) -> None:
    """Requests as (merchant, attempt, log), in one statement."""
    await transaction.connection.execute(
        _INSERT,
        [ids.child_of(attempt_id) for _, attempt_id, _ in logs],
        [merchant_id for merchant_id, _, _ in logs],
        [attempt_id for _, attempt_id, _ in logs],
        [log.psp for _, _, log in logs],
        [log.method for _, _, log in logs],
        [log.path for _, _, log in logs],
        [log.request for _, _, log in logs],
        [log.status for _, _, log in logs],
        [log.response for _, _, log in logs],
        [log.error for _, _, log in logs],
        [log.duration_ms for _, _, log in logs],
        [log.sent_at for _, _, log in logs],
    )


async def requests_of(
    connection: Connection, merchant_id: UUID, id_range: tuple[UUID, UUID], attempt_ids: Sequence[UUID]
) -> Sequence[Row]:
    """(attempt, psp, method, path, status, error, duration, time) of the requests made for these attempts."""
    return await connection.fetch(_OF_FAMILY, merchant_id, *id_range, attempt_ids)


async def accounts(connection: Connection, merchant_id: UUID | None) -> list[AccountRow]:
    """All accounts by name; of one merchant where one is given."""
    return [AccountRow(*row) for row in await connection.fetch(_ACCOUNTS, merchant_id)]


async def changed_accounts(connection: Connection, since: datetime | None) -> list[AccountRow]:
    """The accounts that were changed since then, or all."""
    return [AccountRow(*row) for row in await connection.fetch(_CHANGED_ACCOUNTS, since)]


async def account_by_name(connection: Connection, name: str) -> AccountRow | None:
    """One account."""
    row = await connection.fetchrow(_ACCOUNT_BY_NAME, name)
    return None if row is None else AccountRow(*row)


async def lock_account(transaction: Transaction, name: str) -> AccountRow | None:
    """One account, locked until the transaction ends."""
    row = await transaction.connection.fetchrow(_LOCKED_ACCOUNT, name)
    return None if row is None else AccountRow(*row)


async def database_time(connection: Connection) -> datetime:
    """The database's clock."""
    return await connection.fetchval(_NOW)


async def insert_account(
    transaction: Transaction, account_id: UUID, name: str, psp: str, merchant_id: UUID, key_id: str, sealed: bytes
) -> None:
    """A new account, active."""
    await transaction.connection.execute(_INSERT_ACCOUNT, account_id, name, psp, merchant_id, key_id, sealed)


async def seal_account(transaction: Transaction, account_id: UUID, key_id: str, sealed: bytes) -> None:
    """What the account holds from now on."""
    await transaction.connection.execute(_SEAL_ACCOUNT, account_id, key_id, sealed)


async def close_account(transaction: Transaction, account_id: UUID) -> None:
    """No new payments."""
    await transaction.connection.execute(_CLOSE_ACCOUNT, account_id)
