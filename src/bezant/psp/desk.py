"""What an operator does with merchants' accounts at PSPs. Each change is audited in its own transaction.

Credentials and webhook secrets go in and never come out: what is shown are the names of fields, and fingerprints.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from bezant.audit.record import By, record
from bezant.base import ids
from bezant.base.db import Database, DataRefused, Transaction
from bezant.base.errors import OperatorError
from bezant.base.sealed import SealBroken, Sealer
from bezant.psp import store
from bezant.psp.account_secrets import (
    WEBHOOK_SECRETS_MAX,
    AccountSecrets,
    checked_credentials,
    checked_webhook_secret,
    fingerprint,
    seal,
    unseal,
)
from bezant.psp.connector import Connector
from bezant.psp.contract import Manifest

_REFUSALS: Final = {
    "psp_accounts_name_key": "The name is taken: it stands in the address of another account's webhooks.",
    "psp_accounts_name_check": "A name has 1 to 63 of a to z, 0 to 9, - and _, and does not begin with - or _.",
    "psp_accounts_one_active": "The merchant has an active account at this PSP; close that one first.",
}


class AccountView(msgspec.Struct, frozen=True):
    """An account as it may be shown. `opens`: whether a key that is given opens what it keeps."""

    account_id: str
    name: str
    psp: str
    merchant_id: str
    status: str
    opens: bool
    credentials: list[str]
    webhook_secrets: list[str]
    webhook_path: str
    key_id: str
    created_at: datetime
    updated_at: datetime


class AccountDesk:
    """Makes, shows and changes accounts."""

    def __init__(self, database: Database, connectors: Iterable[Connector], sealer: Sealer) -> None:
        self._database = database
        self._manifests = {connector.manifest.name: connector.manifest for connector in connectors}
        self._sealer = sealer

    def manifest(self, psp: str) -> Manifest:
        """What the PSP asks for. Raises OperatorError where there is none of this name."""
        found = self._manifests.get(psp)
        if found is None:
            raise OperatorError(f"There is no PSP {psp!r}; known: {', '.join(sorted(self._manifests))}.")
        return found

    async def create(self, name: str, psp: str, merchant: str, secrets: AccountSecrets, by: By) -> AccountView:
        """A new account, through which the merchant's new payments at this PSP go from now on. Raises OperatorError."""
        checked_credentials(self.manifest(psp), secrets.credentials)
        _check_webhook_secrets(secrets.webhook_secrets)
        merchant_id, account_id = _merchant_id(merchant), ids.new_id()
        key_id, sealed = seal(self._sealer, account_id, secrets)
        await self._refuse_strange_key()
        try:
            async with self._database.transaction() as transaction:
                await store.insert_account(transaction, account_id, name, psp, merchant_id, key_id, sealed)
                account = await _locked(transaction, name)
                detail = {"fields": sorted(secrets.credentials), "webhook_secrets": _prints(account_id, secrets)}
                await _audit(transaction, by, "create_psp_account", account, detail)
        except DataRefused as refused:
            if refused.constraint == "psp_accounts_merchant_id_fkey":
                raise OperatorError(f"There is no merchant {merchant!r}.") from refused
            raise OperatorError(_REFUSALS.get(refused.constraint or "", str(refused))) from refused
        return self._view(account)

    async def accounts(self, merchant: str | None) -> list[AccountView]:
        """All accounts by name; of one merchant where one is given."""
        merchant_id = None if merchant is None else _merchant_id(merchant)
        async with self._database.connection() as connection:
            return [self._view(row) for row in await store.accounts(connection, merchant_id)]

    async def account(self, name: str) -> AccountView:
        """One account. Raises OperatorError where there is none."""
        async with self._database.connection() as connection:
            row = await store.account_by_name(connection, name)
        if row is None:
            raise _no_account(name)
        return self._view(row)

    async def rotate_credentials(
        self, name: str, credentials: dict[str, str], by: By, *, discard: bool = False
    ) -> AccountView:
        """Other credentials, all of them, from now on. The webhook secrets stay.

        With `discard` also where what it keeps does not open any more; the webhook secrets are lost then. Raises
        OperatorError.
        """
        async with self._database.transaction() as transaction:
            account = await _locked(transaction, name)
            checked_credentials(self.manifest(account.psp), credentials)
            kept = AccountSecrets({}) if discard and not self._opens(account) else self._open(account)
            secrets = msgspec.structs.replace(kept, credentials=credentials)
            changed = sorted(
                field
                for field in {*kept.credentials, *credentials}
                if kept.credentials.get(field) != credentials.get(field)
            )
            await self._seal(transaction, account, secrets)
            await _audit(transaction, by, "rotate_psp_credentials", account, {"changed": changed})
        return await self.account(name)

    async def add_webhook_secret(self, name: str, webhook_secret: str, by: By) -> AccountView:
        """A further secret that the PSP may sign with, tried first. The others stay. Raises OperatorError."""
        checked_webhook_secret(webhook_secret)
        async with self._database.transaction() as transaction:
            account = await _locked(transaction, name)
            kept = self._open(account)
            if webhook_secret in kept.webhook_secrets:
                raise OperatorError(f"{name} has this webhook secret already.")
            if len(kept.webhook_secrets) >= WEBHOOK_SECRETS_MAX:
                raise OperatorError(f"{name} has {WEBHOOK_SECRETS_MAX} webhook secrets; remove one first.")
            secrets = msgspec.structs.replace(kept, webhook_secrets=(webhook_secret, *kept.webhook_secrets))
            await self._seal(transaction, account, secrets)
            detail = {"fingerprint": fingerprint(account.id, webhook_secret)}
            await _audit(transaction, by, "add_psp_webhook_secret", account, detail)
        return await self.account(name)

    async def remove_webhook_secret(self, name: str, removed: str, by: By) -> AccountView:
        """Refuse from now on what is signed with the secret of this fingerprint. Raises OperatorError."""
        async with self._database.transaction() as transaction:
            account = await _locked(transaction, name)
            kept = self._open(account)
            left = tuple(s for s in kept.webhook_secrets if fingerprint(account.id, s) != removed)
            if len(left) == len(kept.webhook_secrets):
                raise OperatorError(f"{name} has no webhook secret {removed}; `bezant account show {name}` lists them.")
            await self._seal(transaction, account, msgspec.structs.replace(kept, webhook_secrets=left))
            await _audit(transaction, by, "remove_psp_webhook_secret", account, {"fingerprint": removed})
        return await self.account(name)

    async def close(self, name: str, by: By) -> AccountView:
        """No new payments; what it holds is still captured, refunded and heard of. Raises OperatorError."""
        async with self._database.transaction() as transaction:
            account = await _locked(transaction, name)
            if account.status == "closed":
                raise OperatorError(f"{name} is closed already.")
            await store.close_account(transaction, account.id)
            await _audit(transaction, by, "close_psp_account", account, {})
        return await self.account(name)

    async def _refuse_strange_key(self) -> None:
        """What is sealed with a key that the servers do not have would be of no use to them. Raises OperatorError."""
        async with self._database.connection() as connection:
            in_use = {row.key_id for row in await store.accounts(connection, None)}
        if in_use and not in_use & set(self._sealer.key_ids):
            raise OperatorError(
                "No account opens with the master key that is given here: give the one that the servers have, as "
                "BEZANT_MASTER_KEY. `bezant secrets status` shows which is in use."
            )

    async def _seal(self, transaction: Transaction, account: store.AccountRow, secrets: AccountSecrets) -> None:
        await store.seal_account(transaction, account.id, *seal(self._sealer, account.id, secrets))

    def _open(self, account: store.AccountRow) -> AccountSecrets:
        try:
            return unseal(self._sealer, account.id, account.key_id, account.sealed)
        except SealBroken as broken:
            raise OperatorError(f"What {account.name} keeps does not open: {broken}.") from broken

    def _opens(self, account: store.AccountRow) -> bool:
        try:
            self._open(account)
        except OperatorError:
            return False
        return True

    def _view(self, row: store.AccountRow) -> AccountView:
        secrets = self._open(row) if self._opens(row) else None
        return AccountView(
            account_id=ids.show(ids.PSP_ACCOUNT, row.id),
            name=row.name,
            psp=row.psp,
            merchant_id=ids.show(ids.MERCHANT, row.merchant_id),
            status=row.status,
            opens=secrets is not None,
            credentials=[] if secrets is None else sorted(secrets.credentials),
            webhook_secrets=[] if secrets is None else _prints(row.id, secrets),
            webhook_path=f"/internal/webhooks/psp/{row.psp}/{row.name}",
            key_id=row.key_id,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


async def _locked(transaction: Transaction, name: str) -> store.AccountRow:
    account = await store.lock_account(transaction, name)
    if account is None:
        raise _no_account(name)
    return account


async def _audit(
    transaction: Transaction, by: By, action: str, account: store.AccountRow, detail: Mapping[str, object]
) -> None:
    told = {"name": account.name, "psp": account.psp, **detail}
    await record(transaction, by, action, ids.show(ids.PSP_ACCOUNT, account.id), account.merchant_id, told)


def _check_webhook_secrets(webhook_secrets: tuple[str, ...]) -> None:
    if len(set(webhook_secrets)) != len(webhook_secrets) or len(webhook_secrets) > WEBHOOK_SECRETS_MAX:
        raise OperatorError(f"An account has at most {WEBHOOK_SECRETS_MAX} webhook secrets, each once.")
    for webhook_secret in webhook_secrets:
        checked_webhook_secret(webhook_secret)


def _prints(account_id: UUID, secrets: AccountSecrets) -> list[str]:
    return [fingerprint(account_id, webhook_secret) for webhook_secret in secrets.webhook_secrets]


def _merchant_id(merchant: str) -> UUID:
    merchant_id = ids.parse(ids.MERCHANT, merchant)
    if merchant_id is None:
        raise OperatorError(f"There is no merchant {merchant!r}.")
    return merchant_id


def _no_account(name: str) -> OperatorError:
    return OperatorError(f"There is no account {name!r}; `bezant account list` shows them.")
