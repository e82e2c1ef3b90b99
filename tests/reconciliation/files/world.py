"""What the tests of files share: the service on a database of its own, and what stands there."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import UUID, uuid4

from bezant.base.db import Database
from bezant.reconciliation.files.bank_accounts import AddBankAccount
from bezant.reconciliation.files.records import ReportFileView, view
from bezant.reconciliation.files.service import ReportFiles
from bezant.reconciliation.files.states import ReportFile, Source
from tests.reconciliation.files.readers import FORMATS, REPORTS

IBAN = "DE02120300000000202051"
MIB = 1 << 20

_MERCHANT = "INSERT INTO merchants (id, name, currency, psp) VALUES ($1, 'A shop', 'USD', 'simulator')"
_ACCOUNT = """
INSERT INTO psp_accounts (id, name, psp, merchant_id, key_id, sealed)
VALUES ($1, $2, 'acme', $3, 'key-of-tests', '\\x00')
"""


async def pieces_of(body: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    """A body as it may come over a wire."""
    for at in range(0, len(body), size):
        yield body[at : at + size]


class World:
    """One process that receives and loads."""

    def __init__(self, database: Database, files: ReportFiles) -> None:
        self.database = database
        self.files = files

    async def send(
        self,
        body: bytes,
        *,
        source: Source = "psp",
        account: str | None = None,
        format_: str | None = None,
        name: str = "a.csv",
    ) -> tuple[ReportFile, bool]:
        """Receive a file."""
        psp = "acme" if source == "psp" else None
        new = await self.files.senders.new_file(
            source=source, name=name, by="tests", psp=psp, psp_account=account, format_=format_
        )
        return await self.files.receive(new, pieces_of(body))

    async def loaded(self, body: bytes, **options: Any) -> ReportFileView:
        """Receive a file and load it; as it stands then."""
        file, _ = await self.send(body, **options)
        await self.files.load.next(file.id)
        return view(await self.files.records.kept(file.id))

    async def bank_account(
        self,
        name: str = "main",
        identification: str = IBAN,
        currency: str | None = "EUR",
        counts: Literal["final", "interim"] = "final",
    ) -> None:
        """An account at a bank."""
        new = AddBankAccount(
            name=name, identification=identification, currency=currency, counts=counts, reason="for the tests"
        )
        await self.files.bank_accounts.add(new, "tests")

    async def account(self, name: str) -> UUID:
        """A merchant's account at Acme."""
        merchant_id, account_id = uuid4(), uuid4()
        await self.sql(_MERCHANT, merchant_id)
        await self.sql(_ACCOUNT, account_id, name, merchant_id)
        return account_id

    async def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        async with self.database.connection() as connection:
            return [tuple(row) for row in await connection.fetch(query, *parameters)]

    async def one(self, query: str, *parameters: object) -> Any:
        """The first value of a query."""
        return (await self.sql(query, *parameters))[0][0]

    async def quarantined(self) -> list[tuple[int, str]]:
        """(line, reason) of what was put aside, in order."""
        return [(row[0], row[1]) for row in await self.sql("SELECT line, reason FROM quarantined_lines ORDER BY 1")]

    async def counts(self) -> dict[str, int]:
        """How many rows of each kind there are."""
        tables = ("psp_lines", "open_lines", "psp_payouts", "bank_lines", "open_bank_lines", "quarantined_lines")
        return {table: await self.one(f"SELECT count(*) FROM {table}") for table in tables}


@asynccontextmanager
async def world_on(database_url: str, **options: Any) -> AsyncIterator[World]:
    """A process on this database."""
    database = Database(database_url, connections_max=6)
    await database.open()
    try:
        options = {"reports": REPORTS, "formats": FORMATS, "size_max": 64 * MIB, **options}
        yield World(database, ReportFiles(database, **options))
    finally:
        await database.close()


def sha256(body: bytes) -> str:
    """As it is shown."""
    return hashlib.sha256(body).hexdigest()


async def at_once(*work: Any) -> Sequence[Any]:
    """The results of what is done at the same time."""
    return await asyncio.gather(*work, return_exceptions=True)
