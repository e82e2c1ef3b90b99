"""Create merchants, give out and revoke keys, and find out who a key speaks for."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, cast
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import WAIT_MAX_S, Database
from bezant.base.errors import OperatorError, Unauthorized
from bezant.base.money import is_currency
from bezant.jobs.schedule import Job
from bezant.merchants import store
from bezant.merchants.keys import OPERATOR_SCOPES, PUBLISHABLE_SCOPES, SCOPES, display, hash_key, new_key
from bezant.web import Principal

OPERATOR = "operator"
"""How the operator's own book is named where a merchant is asked for."""

_CACHE_S = 5.0
_CACHE_MAX = 10_000
_MARK_USED_EVERY_S = 15.0


class NewKey(msgspec.Struct, frozen=True):
    """A key at the only moment when it can be read."""

    key_id: str
    key: str


class NewMerchant(msgspec.Struct, frozen=True):
    """A merchant with its first keys."""

    merchant_id: str
    secret_key: str
    publishable_key: str


class KeyView(msgspec.Struct, frozen=True):
    """A key as it may be shown."""

    key_id: str
    kind: str
    scopes: list[str]
    display: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class Merchants:
    """Merchants and their keys."""

    def __init__(self, database: Database, default_rate_per_s: int) -> None:
        self._database = database
        self._default_rate_per_s = default_rate_per_s
        self._cache: dict[bytes, tuple[float, Principal]] = {}
        self._used: set[UUID] = set()

    async def create(
        self,
        name: str,
        currency: str,
        psp: str,
        *,
        kind: Literal["merchant", "platform"] = "merchant",
        fee_basis_points: int = 290,
        fee_fixed_minor: int = 30,
        rate_per_s: int | None = None,
    ) -> NewMerchant:
        """A new merchant with a secret and a publishable key.

        Raises OperatorError for a currency that does not exist.
        """
        if not is_currency(currency):
            raise OperatorError(f"{currency!r} is not an ISO 4217 currency with minor units, such as USD or JPY.")
        if not 1 <= len(name) <= 200:
            raise OperatorError("A merchant's name has 1 to 200 characters.")
        merchant_id, secret, publishable = ids.new_id(), new_key("secret"), new_key("publishable")
        async with self._database.transaction() as transaction:
            connection = transaction.connection
            await store.insert_merchant(
                connection, merchant_id, name, currency, psp, kind, fee_basis_points, fee_fixed_minor
            )
            for key_kind, key, scopes in (("secret", secret, SCOPES), ("publishable", publishable, PUBLISHABLE_SCOPES)):
                await store.insert_key(
                    connection,
                    ids.new_id(),
                    merchant_id,
                    key_kind,
                    sorted(scopes),
                    display(key),
                    hash_key(key),
                    rate_per_s,
                )
        return NewMerchant(ids.show(ids.MERCHANT, merchant_id), secret, publishable)

    async def create_key(
        self, merchant: str, kind: Literal["secret", "publishable"], scopes: Sequence[str], rate_per_s: int | None
    ) -> NewKey:
        """A further key; of the merchant `operator`: one that speaks for whoever runs this installation.

        Raises OperatorError for a merchant or scope that does not exist.
        """
        merchant_id = await self._existing(merchant)
        known = _known_scopes(merchant_id, kind)
        wrong = set(scopes) - known
        if wrong:
            raise OperatorError(f"Unknown scope {', '.join(sorted(wrong))}; known: {', '.join(sorted(known))}.")
        key_id, key = ids.new_id(), new_key(kind)
        async with self._database.connection() as connection:
            await store.insert_key(
                connection,
                key_id,
                merchant_id,
                kind,
                sorted(scopes or known),
                display(key),
                hash_key(key),
                rate_per_s,
            )
        return NewKey(ids.show(ids.API_KEY, key_id), key)

    async def keys(self, merchant: str) -> list[KeyView]:
        """All keys of a merchant. Raises OperatorError."""
        merchant_id = await self._existing(merchant)
        async with self._database.connection() as connection:
            return [
                KeyView(ids.show(ids.API_KEY, row[0]), *row[1:]) for row in await store.keys(connection, merchant_id)
            ]

    async def revoke(self, merchant: str, key: str) -> None:
        """Revoke a key: it moves nothing from the next transaction on. Raises OperatorError."""
        merchant_id, key_id = await self._existing(merchant), ids.parse(ids.API_KEY, key)
        async with self._database.connection() as connection:
            if key_id is None or not await store.revoke_key(connection, merchant_id, key_id):
                raise OperatorError(f"{merchant} has no valid key {key}; `bezant key list` shows them.")

    async def set_status(self, merchant: str, status: Literal["active", "suspended", "closed"]) -> None:
        """Activate, suspend or close a merchant, from its next transaction on. Raises OperatorError."""
        merchant_id = await self._existing(merchant)
        if merchant_id == ids.OPERATOR_MERCHANT:
            raise OperatorError("The operator's own book is always open.")
        async with self._database.connection() as connection:
            await store.set_status(connection, merchant_id, status)

    async def authenticate(self, key: str) -> Principal:
        """Who the key speaks for. Raises Unauthorized.

        Remembered for 5 s, for routing only: what would move money looks the key up in its own transaction.
        """
        key_hash = hash_key(key)
        now = time.monotonic()
        known = self._cache.get(key_hash)
        if known is not None and known[0] > now:
            self._used.add(known[1].key_id)
            return known[1]
        async with self._database.connection(WAIT_MAX_S) as connection:
            row = await store.key_by_hash(connection, key_hash)
        if row is None:
            self._cache.pop(key_hash, None)
            raise Unauthorized
        key_id, merchant_id, kind, scopes, rate_per_s, _ = row
        principal = Principal(
            merchant_id=merchant_id,
            key_id=key_id,
            kind=cast(Literal["secret", "publishable"], kind),
            scopes=frozenset(scopes),
            rate_per_s=rate_per_s or self._default_rate_per_s,
            is_operator=merchant_id == ids.OPERATOR_MERCHANT,
        )
        if len(self._cache) >= _CACHE_MAX:
            self._cache.clear()
        self._cache[key_hash] = (now + _CACHE_S, principal)
        self._used.add(key_id)
        return principal

    def jobs(self) -> Sequence[Job]:
        """Write down which keys were used."""
        return (Job("merchants.mark_keys_used", self._mark_used, every_s=_MARK_USED_EVERY_S),)

    async def _mark_used(self) -> int:
        used, self._used = self._used, set()
        if used:
            async with self._database.connection() as connection:
                await store.mark_used(connection, sorted(used))
        return len(used)

    async def _existing(self, merchant: str) -> UUID:
        merchant_id = ids.OPERATOR_MERCHANT if merchant == OPERATOR else ids.parse(ids.MERCHANT, merchant)
        if merchant_id is not None:
            async with self._database.connection() as connection:
                if await store.merchant(connection, merchant_id) is not None:
                    return merchant_id
        raise OperatorError(f"There is no merchant {merchant!r}.")


def _known_scopes(merchant_id: UUID, kind: Literal["secret", "publishable"]) -> frozenset[str]:
    if merchant_id != ids.OPERATOR_MERCHANT:
        return SCOPES if kind == "secret" else PUBLISHABLE_SCOPES
    if kind == "publishable":
        raise OperatorError("The operator has secret keys only: nobody pays in the operator's own book.")
    return OPERATOR_SCOPES
