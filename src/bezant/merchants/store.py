"""Every SQL statement about merchants and keys."""

from collections.abc import Sequence
from uuid import UUID

from bezant.base.db import Connection, Row

_ACCESS = """
SELECT k.id, k.merchant_id, k.revoked_at IS NULL, m.status, m.psp, m.fee_basis_points, m.fee_fixed_minor,
    ARRAY(SELECT a.psp || ' ' || a.id::text FROM psp_accounts AS a WHERE a.merchant_id = m.id AND a.status = 'active')
FROM unnest($1::uuid[]) AS wanted (id)
INNER JOIN api_keys AS k ON k.id = wanted.id
INNER JOIN merchants AS m ON m.id = k.merchant_id
"""

_BY_HASH = """
SELECT k.id, k.merchant_id, k.kind, k.scopes, k.rate_per_s, m.status FROM api_keys AS k
INNER JOIN merchants AS m ON m.id = k.merchant_id
WHERE k.key_hash = $1 AND k.revoked_at IS NULL
"""

_INSERT_MERCHANT = """
INSERT INTO merchants (id, name, currency, psp, kind, fee_basis_points, fee_fixed_minor)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

_INSERT_KEY = """
INSERT INTO api_keys (id, merchant_id, kind, scopes, display, key_hash, rate_per_s) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

_KEYS = """
SELECT id, kind, scopes, display, created_at, last_used_at, revoked_at FROM api_keys WHERE merchant_id = $1 ORDER BY id
"""

_REVOKE = """
UPDATE api_keys SET revoked_at = now() WHERE id = $2 AND merchant_id = $1 AND revoked_at IS NULL RETURNING id
"""

_SET_STATUS = "UPDATE merchants SET status = $2, updated_at = now() WHERE id = $1 RETURNING id"

_USED = """
UPDATE api_keys AS k SET last_used_at = now() FROM unnest($1::uuid[]) AS used (id) WHERE k.id = used.id
"""

_MERCHANT = "SELECT id, name, kind, status, currency, psp FROM merchants WHERE id = $1"


async def access(connection: Connection, key_ids: Sequence[UUID]) -> Sequence[Row]:
    """Rows of `Access`, with each active account as a text of its PSP and its id."""
    return await connection.fetch(_ACCESS, key_ids)


async def key_by_hash(connection: Connection, key_hash: bytes) -> Row | None:
    """(key, merchant, kind, scopes, rate per second, merchant's status) of a valid key."""
    return await connection.fetchrow(_BY_HASH, key_hash)


async def insert_merchant(
    connection: Connection,
    merchant_id: UUID,
    name: str,
    currency: str,
    psp: str,
    kind: str,
    fee_basis_points: int,
    fee_fixed_minor: int,
) -> None:
    """A new merchant."""
    await connection.execute(
        _INSERT_MERCHANT, merchant_id, name, currency, psp, kind, fee_basis_points, fee_fixed_minor
    )


async def insert_key(
    connection: Connection,
    key_id: UUID,
    merchant_id: UUID,
    kind: str,
    scopes: Sequence[str],
    display: str,
    key_hash: bytes,
    rate_per_s: int | None,
) -> None:
    """A new key, as a hash."""
    await connection.execute(_INSERT_KEY, key_id, merchant_id, kind, scopes, display, key_hash, rate_per_s)


async def keys(connection: Connection, merchant_id: UUID) -> Sequence[Row]:
    """All keys of a merchant, oldest first."""
    return await connection.fetch(_KEYS, merchant_id)


async def revoke_key(connection: Connection, merchant_id: UUID, key_id: UUID) -> bool:
    """Revoke a key; False where there is no such valid key."""
    return await connection.fetchval(_REVOKE, merchant_id, key_id) is not None


async def set_status(connection: Connection, merchant_id: UUID, status: str) -> bool:
    """Activate, suspend or close a merchant; False where there is none."""
    return await connection.fetchval(_SET_STATUS, merchant_id, status) is not None


async def mark_used(connection: Connection, key_ids: Sequence[UUID]) -> None:
    """Note that keys were used."""
    await connection.execute(_USED, sorted(key_ids))


async def merchant(connection: Connection, merchant_id: UUID) -> Row | None:
    """One merchant."""
    return await connection.fetchrow(_MERCHANT, merchant_id)
