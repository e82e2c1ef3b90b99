"""Who may do what: the key behind a request, and the merchant behind the key, as they are at this moment."""

from collections.abc import Iterable, Mapping, Sequence
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
    return {row[0]: Access(*row[:-1], psp_accounts=_by_psp(row[-1])) for row in rows}


def _by_psp(accounts: Sequence[str]) -> Mapping[str, UUID]:
    return {psp: UUID(account_id) for psp, account_id in (account.split() for account in accounts)}
