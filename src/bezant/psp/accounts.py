"""The accounts at PSPs that this process can use: the platform's own of the environment, merchants' of the database.

What is known is found by a look into a dictionary. Changes are read every 2 s by a job, and at once when an account is
asked for that is not known yet. An account whose row was sealed anew with a key that this process does not have stays
usable as it was before; one that never opened is not usable, and never stands for the platform's own.
"""

import asyncio
import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bezant.base.db import WAIT_MAX_S, Database, DatabaseError, DatabaseLost
from bezant.base.log import logger
from bezant.base.sealed import SealBroken, Sealer
from bezant.psp import store
from bezant.psp.account_secrets import unseal
from bezant.psp.call import Endpoint
from bezant.psp.connector import Connector
from bezant.psp.contract import Credentials
from bezant.psp.registry import base_url

REFRESHED_EVERY_S: Final = 2.0
_STRANGERS_ASKED_FOR_EVERY_S: Final = 1.0
_OVERLAP: Final = timedelta(minutes=5)
"""What a transaction wrote that was open at the last reading carries an older time."""

_log = logger(__name__)


class Accounts(Collector):
    """Finds accounts by id, or by the name in the address of their webhooks.

    Raises OperatorError at the start for an address of a PSP to which credentials must not travel.
    """

    def __init__(
        self,
        database: Database,
        connectors: Iterable[Connector],
        own: Mapping[str, Endpoint],
        urls: Mapping[str, str],
        sealer: Sealer,
    ) -> None:
        self._database = database
        self._connectors = {connector.manifest.name: connector for connector in connectors}
        self._urls = {name: base_url(connector, urls) for name, connector in self._connectors.items()}
        self._own = own
        self._sealer = sealer
        self._by_id: dict[UUID, Endpoint] = {}
        self._by_name: dict[str, Endpoint] = {}
        self._rows: dict[UUID, store.AccountRow] = {}
        self._unopened: dict[UUID, store.AccountRow] = {}
        self._reading = asyncio.Lock()
        self._read_at_s = -math.inf
        self._read_until: datetime | None = None
        self._failed_at_s = -math.inf

    @property
    def psps(self) -> Collection[str]:
        """The PSPs at which there can be merchants' accounts: all whose connector is there."""
        return self._connectors.keys()

    async def find(self, psp: str, account_id: UUID) -> Endpoint | None:
        """The merchant's account at this PSP; None where there is none, or its credentials do not open."""
        found = self._by_id.get(account_id)
        if found is None and account_id not in self._rows:
            try:
                await self._read_after(time.monotonic())
            except DatabaseError as error:
                _log.warning("psp_accounts_not_read", error=str(error))
            found = self._by_id.get(account_id)
        return found if found is not None and found.connector.manifest.name == psp else None

    async def by_name(self, psp: str, name: str | None) -> Endpoint | None:
        """The account whose webhooks come to this address; without a name the platform's own. Closed ones too.

        Raises DatabaseLost where it is not known and cannot be looked for.
        """
        if name is None:
            return self._own.get(psp)
        found = self._by_name.get(name)
        if found is None:
            await self._read_after(time.monotonic() - _STRANGERS_ASKED_FOR_EVERY_S)
            found = self._by_name.get(name)
        return found if found is not None and found.connector.manifest.name == psp else None

    async def refresh(self) -> int:
        """Read what was changed; how many accounts are used otherwise than before. Raises DatabaseLost."""
        return await self._read_after(time.monotonic())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """For Prometheus: the accounts that are not usable, or not as they stand in the database."""
        yield GaugeMetricFamily(
            "bezant_psp_accounts_unopened",
            "Accounts whose stored secrets do not open with the master keys of this process.",
            value=len(self._unopened),
        )

    async def _read_after(self, moment_s: float) -> int:
        """Have a reading that began at or after this moment, be it one that others wait for already."""
        async with self._reading:
            if self._read_at_s >= moment_s:
                return 0
            if self._failed_at_s >= moment_s:  # whoever waited for that one does not wait for another
                raise DatabaseLost("the accounts at PSPs could not be read")
            began_at_s = time.monotonic()
            try:
                changed = await self._read()
            except DatabaseError:
                self._failed_at_s = began_at_s
                raise
            self._read_at_s = began_at_s
            return changed

    async def _read(self) -> int:
        async with self._database.connection(WAIT_MAX_S) as connection:
            until = await store.database_time(connection)
            since = None if self._read_until is None else self._read_until - _OVERLAP
            rows = await store.changed_accounts(connection, since)
        changed = sum([self._take(row) for row in [*self._unopened.values(), *rows]])
        self._read_until = until
        return changed

    def _take(self, row: store.AccountRow) -> bool:
        known = self._rows.get(row.id)
        is_open = row.id not in self._unopened
        if known is not None and is_open and (known.key_id, known.sealed) == (row.key_id, row.sealed):
            return False
        if row.psp not in self._connectors:
            return False
        self._rows[row.id] = row
        try:
            secrets = unseal(self._sealer, row.id, row.key_id, row.sealed)
        except SealBroken as broken:
            if is_open:
                _log.error("psp_account_does_not_open", account=row.name, psp=row.psp, reason=str(broken))
            self._unopened[row.id] = row
            return False
        self._unopened.pop(row.id, None)
        connector = self._connectors[row.psp]
        endpoint = Endpoint(
            connector,
            self._urls[row.psp],
            Credentials(secrets.credentials),
            secrets.webhook_secrets,
            row.id,
            row.merchant_id,
            row.name,
        )
        self._by_id[row.id] = self._by_name[row.name] = endpoint
        return True
