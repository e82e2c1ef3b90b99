"""Who may do what: the key behind a request, and the merchant behind the key, as they are at this moment."""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from bezant.base.db import Transaction
from bezant.merchants import store


class Access(msgspec.Struct, frozen=True):
    """A key and its merchant as the transaction sees them."""

    key_id: UUID
    merchant_id: UUID
    key_is_valid: bool
    merchant_status: str
    psp: str
    fee_basis_points: int
    fee_fixed_minor: int


async def look_up(transaction: Transaction, key_ids: Iterable[UUID]) -> dict[UUID, Access]:
    """The access of each key, read in the transaction that will act on it, so that a revoked key moves nothing more."""
    rows = await store.access(transaction.connection, list(set(key_ids)))
    return {row[0]: Access(*row) for row in rows}
