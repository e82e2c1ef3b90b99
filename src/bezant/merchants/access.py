"""Who may do what: the key behind a request, and the merchant behind the key, as they are at this moment."""

from collections.abc import Iterable, Mapping
from uuid import UUID

import msgspec

from bezant.base.db import Transaction
from bezant.merchants import store


class Access(msgspec.Struct, frozen=True):
    """A key and its merchant as the transaction sees them.

    `psp_accounts`: the merchant's active account at each PSP where he has one.
    """

    key_id: UUID
    merchant_id: UUID
    key_is_valid: bool
    merchant_status: str
    psp: str
    fee_basis_points: int
    fee_fixed_minor: int
    psp_accounts: Mapping[str, UUID]


async def look_up(transaction: Transaction, key_ids: Iterable[UUID]) -> dict[UUID, Access]:
    """The access of each key, read in the transaction that will act on it, so that a revoked key moves nothing more."""
    rows = await store.access(transaction.connection, list(set(key_ids)))
    return {row[0]: Access(*row[:-2], psp_accounts=dict(zip(row[-2], row[-1], strict=True))) for row in rows}
