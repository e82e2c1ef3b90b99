"""An API with the inbox, the account look-up and the handlers of these tests, on a thread or as a process of its own.

What the handler says, and what the PSP answers, stands in tables, so that a test rules all processes at once:
`acme_words` (apply, wait, aside, raise, refuse, roll_back, miscount, reread, pay:<payment>:<merchant>) and
`acme_answers` (a verdict, raise, hang). What it books stands in `acme_booked`, once for each time that it was
committed.
"""

import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

import uvicorn
from litestar import Litestar
from prometheus_client import CollectorRegistry

from bezant import web
from bezant.base.db import Database, Transaction
from bezant.base.failpoints import arm
from bezant.base.log import configure
from bezant.inbox.contract import Account, Applied, Aside, Effect, Handlers, Reread, Told, Waits
from bezant.inbox.service import Inbox
from bezant.jobs.schedule import Schedule
from bezant.merchants.service import Merchants
from bezant.psp.contract import Ask, Credentials, Operation, Outcome, Verdict
from bezant.psp.notices import DisputeNotice, Notice
from tests.inbox.acme import WEBHOOKS
from tests.support.waiting import wait_until, wait_until_async

PAYMENT = (UUID("01934567-0000-7000-8000-000000000001"), UUID("01934567-0000-7000-8000-000000000002"))
"""Of which the PSP is asked: id and merchant."""
SECRETS = {"acme": ("acme-new", "acme-old"), "careless": ("careless-new",)}
TABLES = (
    "CREATE TABLE acme_words (ref text PRIMARY KEY, word text NOT NULL)",
    "CREATE TABLE acme_answers (ref text PRIMARY KEY, verdict text NOT NULL)",
    "CREATE TABLE acme_asked (ref text NOT NULL, account text)",
    """CREATE TABLE acme_booked (
        ref text CHECK (ref NOT LIKE 'refuse%'), psp text, account uuid, verdict text,
        trusted boolean, confirmed boolean
    )""",
)


class Broken(Exception):
    """What a broken handler raises."""


class World:
    """What stands around the inbox of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def account(self, psp: str, name: str | None) -> Account | None:
        """`acme` and `careless`, each with its own account; named ones as the table has them."""
        if psp not in WEBHOOKS:
            return None
        account_id = merchant_id = None
        secrets: Sequence[str] = SECRETS[psp]
        if name is not None:
            async with self._database.connection() as connection:
                query = "SELECT id, merchant_id FROM psp_accounts WHERE name = $1 AND psp = $2"
                row = await connection.fetchrow(query, name, psp)
            if row is None:
                return None
            account_id, merchant_id = row
            secrets = () if name.startswith("bare") else (f"secret-of-{name}",)
        return Account(
            psp=psp,
            id=account_id,
            merchant_id=merchant_id,
            webhooks=WEBHOOKS[psp],
            secrets=secrets,
            credentials=Credentials(),
        )

    async def book(self, transaction: Transaction, told: Sequence[Told]) -> Sequence[Effect]:
        """Do what each operation's word says."""
        effects = [await self._effect(transaction, one) for one in told]
        if any(effect is None for effect in effects):
            return []
        return [effect for effect in effects if effect is not None]

    async def ask(self, psp: str, account_id: UUID | None, reread: Reread) -> Outcome:
        """What the PSP answers now."""
        ref = reread.ask.operation_reference or ""
        await self._execute("INSERT INTO acme_asked VALUES ($1, $2)", ref, str(account_id))
        word = await self._answer(ref)
        if word == "hang":
            await wait_until_async(lambda: self._answer_besides("hang", ref), 60)
            word = await self._answer(ref)
        if word == "raise":
            raise OSError("no route to acme")
        return Outcome(verdict=Verdict(word), operation_reference=ref, psp_reference="ch_1", currency="USD")

    async def _effect(self, transaction: Transaction, told: Told) -> Effect | None:
        ref, verdict = _said(told)
        connection = transaction.connection
        word = await connection.fetchval("SELECT word FROM acme_words WHERE ref = $1", ref) or "apply"
        payment = None
        if word == "wait":
            return Waits("nothing of ours is there yet")
        if word == "aside":
            return Aside("never")
        if word == "raise":
            raise Broken("a fault of the handler, with sk_test_0123456789abcdef\x00")
        if word == "miscount":
            return None
        if word == "roll_back":
            await connection.execute("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$")
        if word.startswith(("pay:", "reread:")):
            payment = (UUID(word.split(":")[1]), UUID(word.split(":")[2]))
        if word == "reread always" or ((word == "reread" or not told.trusted) and not told.confirmed):
            return Reread(_ask(ref), payment or PAYMENT)
        await connection.execute(
            "INSERT INTO acme_booked VALUES ($1, $2, $3, $4, $5, $6)",
            ref, told.psp, told.psp_account_id, verdict, told.trusted, told.confirmed,
        )  # fmt: skip
        return Applied(payment)

    async def _answer(self, ref: str) -> str:
        async with self._database.connection() as connection:
            return await connection.fetchval("SELECT verdict FROM acme_answers WHERE ref = $1", ref) or "approved"

    async def _answer_besides(self, word: str, ref: str) -> bool:
        return await self._answer(ref) != word

    async def _execute(self, statement: str, *parameters: object) -> None:
        async with self._database.connection() as connection:
            await connection.execute(statement, *parameters)


def _said(told: Told) -> tuple[str, str]:
    if isinstance(told.notice, DisputeNotice):
        return told.notice.dispute_reference, told.notice.status
    return told.notice.outcome.operation_reference or "", told.notice.outcome.verdict


def _ask(ref: str) -> Ask:
    return Ask(
        operation=Operation.CAPTURE,
        reference="att_1",
        payment_reference="ord_1",
        operation_reference=ref,
        amount_minor=100,
        currency="USD",
        payment_method="pm",
    )


def application(
    url: str, *, jobs: bool = True, disputes: bool = False, rate_per_s: int = 100_000, batch_max: int = 64
) -> Litestar:
    """The API of one process."""
    database = Database(url, connections_max=8)
    world, merchants = World(database), Merchants(database, 1_000_000)
    handlers: Handlers = {Notice: world.book} | ({DisputeNotice: world.book} if disputes else {})
    inbox = Inbox(
        database,
        accounts=world.account,
        webhooks=WEBHOOKS,
        handlers=handlers,
        ask=world.ask,
        ask_timeout_s=5,
        rate_per_s=rate_per_s,
        retention_days=90,
        batch_max=batch_max,
    )
    schedule = Schedule((*merchants.jobs(), *(inbox.jobs() if jobs else ())))
    registry = CollectorRegistry()
    registry.register(inbox.metrics)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await database.open()
        schedule.start()
        try:
            yield
        finally:
            await schedule.close(10)
            await inbox.drain(1)
            await database.close()

    async def ready() -> None:
        return

    return web.build(
        inbox.routes(), merchants.authenticate, version="1", ready=ready, lifespan=(lifespan,), registry=registry
    )


@contextmanager
def serving(app: Litestar) -> Generator[str]:
    """The URL of an application that runs on a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, **web.UVICORN_OPTIONS))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, what="the server")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        listener.close()
        assert not thread.is_alive()


def main(url: str, port: str, failpoints: str) -> None:
    """Serve until a signal, or until a point where it dies."""
    configure("json")
    arm(failpoints)
    uvicorn.run(application(url), port=int(port), **web.UVICORN_OPTIONS)


if __name__ == "__main__":
    main(os.environ["ACME_DATABASE_URL"], *sys.argv[1:3])
