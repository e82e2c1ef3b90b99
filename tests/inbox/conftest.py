"""A world with Acme in it: one database, and servers on threads or as processes of their own."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest

from bezant.base.log import configure
from tests.inbox.acme import body_of, event, signature
from tests.inbox.served import PAYMENT, SECRETS, TABLES, application, serving
from tests.support.databases import run_sql
from tests.support.platform import Answer, request, sql
from tests.support.processes import Process, free_port
from tests.support.waiting import wait_until

T = TypeVar("T")

WEBHOOKS = "/internal/webhooks/psp"
_MERCHANT = "INSERT INTO merchants (id, name, currency, psp) VALUES ($1, 'A shop', 'USD', 'simulator')"
_PAYMENT = """
INSERT INTO payments (id, merchant_id, order_id, amount_minor, currency, status, capture_strategy, psp,
    idempotency_key, metadata, details, fee_basis_points, fee_fixed_minor, event_tx, event_position, created_at,
    updated_at)
VALUES ($1, $2, 'order', 100, 'USD', 'pending', 'manual', 'simulator', 'key', '{}', '{}', 290, 30, 0, 0, now(), now())
"""
_ACCOUNT = """
INSERT INTO psp_accounts (id, name, psp, merchant_id, status, key_id, sealed)
VALUES ($1, $2, $3, $4, $5, 'key-of-tests', '\\x00')
"""


class Acme:
    """What Acme and an observer do. `url`: the server that is meant where none is named."""

    def __init__(self, database_url: str) -> None:
        self.database_url = database_url
        self.url = ""

    def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return sql(self.database_url, query, *parameters)

    # What the world holds

    def merchant(self) -> UUID:
        """A new merchant."""
        merchant_id = uuid4()
        self.sql(_MERCHANT, merchant_id)
        return merchant_id

    def payment(self, merchant_id: UUID) -> UUID:
        """A new payment."""
        payment_id = uuid4()
        self.sql(_PAYMENT, payment_id, merchant_id)
        return payment_id

    def account(self, name: str, merchant_id: UUID, psp: str = "acme", status: str = "active") -> UUID:
        """A new account at a PSP."""
        account_id = uuid4()
        self.sql(_ACCOUNT, account_id, name, psp, merchant_id, status)
        return account_id

    def says(self, ref: str, word: str) -> None:
        """From now on the handler does this with the operation."""
        self.sql(
            "INSERT INTO acme_words VALUES ($1, $2) ON CONFLICT (ref) DO UPDATE SET word = excluded.word", ref, word
        )

    def answers(self, ref: str, verdict: str) -> None:
        """From now on the PSP answers this, when it is asked about the operation."""
        self.sql(
            "INSERT INTO acme_answers VALUES ($1, $2) ON CONFLICT (ref) DO UPDATE SET verdict = excluded.verdict",
            ref, verdict,
        )  # fmt: skip

    # What Acme sends

    def post(
        self,
        body: bytes,
        *,
        psp: str = "acme",
        account: str | None = None,
        secret: str | None = None,
        at_s: float | None = None,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One webhook with these bytes, signed unless `headers` say otherwise."""
        secret = secret or (SECRETS[psp][0] if account is None else f"secret-of-{account}")
        path = f"{WEBHOOKS}/{psp}" + (f"/{account}" if account is not None else "")
        sent = {"Acme-Signature": signature(body, secret, at_s), "Content-Type": "application/json"}
        return request((url or self.url) + path, "POST", body, sent | dict(headers or {}))

    def tells(self, *refs: str, event_id: str | None = None, type_: str = "op.done", **options: Any) -> str:
        """An event that is taken; its id."""
        event_id = event_id or f"evt_{uuid4().hex}"
        answer = self.post(body_of(event(event_id, *refs, type_=type_)), **options)
        assert answer.status == 200, answer
        return event_id

    # What stands in the database

    def kept(self, event_id: str) -> dict[str, Any]:
        """The one row of an event."""
        columns = ("status", "tries", "reason", "payment_id", "merchant_id", "next_try_at", "settled_at", "id")
        (row,) = self.sql(f"SELECT {', '.join(columns)} FROM inbox_events WHERE event_id = $1", event_id)
        return dict(zip(columns, row, strict=True))

    def count(self) -> int:
        """How many events are kept."""
        return self.sql("SELECT count(*) FROM inbox_events")[0][0]

    def becomes(self, event_id: str, *statuses: str, tries: int = 0) -> dict[str, Any]:
        """The row of an event once it stands there, after so many tries at least."""

        def reached() -> dict[str, Any] | None:
            kept = self.kept(event_id)
            return kept if kept["status"] in statuses and kept["tries"] >= tries else None

        return wait_until(reached, 20, f"{event_id} to be {' or '.join(statuses)}")

    def is_settled(self) -> None:
        """Wait until nothing is due or waits."""
        open_ = "SELECT count(*) FROM inbox_events WHERE status IN ('received', 'waiting')"
        wait_until(lambda: self.sql(open_)[0][0] == 0, 30, "everything to be settled")

    def hurry(self) -> None:
        """Whatever waits is due now."""
        self.sql("UPDATE inbox_events SET next_try_at = now() WHERE status = 'waiting'")

    def booked(self) -> list[str]:
        """What was booked, once for each time, in order of the names."""
        return [row[0] for row in self.sql("SELECT ref FROM acme_booked ORDER BY ref")]

    def asked(self) -> list[str]:
        """What Acme was asked about."""
        return [row[0] for row in self.sql("SELECT ref FROM acme_asked ORDER BY ref")]

    # Servers

    @contextmanager
    def server(self, **options: Any) -> Generator[str]:
        """The URL of a further server, on a thread."""
        with serving(application(self.database_url, **options)) as url:
            yield url

    @contextmanager
    def process(self, failpoints: str = "") -> Generator[tuple[str, Process]]:
        """The URL of a further server, as a process."""
        port = free_port()
        with self._process(port, failpoints) as process:
            process.wait_for_http(f"http://127.0.0.1:{port}/healthz")
            yield f"http://127.0.0.1:{port}", process

    def process_that_dies(self, failpoints: str) -> Process:
        """A further server that may be dead before it answers anything."""
        return self._process(free_port(), failpoints)

    def _process(self, port: int, failpoints: str) -> Process:
        arguments = (sys.executable, "-m", "tests.inbox.served", str(port), failpoints)
        return Process(*arguments, env={"ACME_DATABASE_URL": self.database_url})


@asynccontextmanager
async def beside(context: AbstractContextManager[T]) -> AsyncGenerator[T]:
    """A context that begins and ends on a thread, so that this loop goes on with what it serves."""
    value = await asyncio.to_thread(context.__enter__)
    try:
        yield value
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """Logs as a server writes them: without this a traceback is drawn for eyes, which takes seconds."""
    configure("json")


@pytest.fixture
def quiet(database_url: str) -> Acme:
    """A world without a server."""
    run_sql(database_url, *TABLES)
    acme = Acme(database_url)
    payment_id, merchant_id = PAYMENT
    acme.sql(_MERCHANT, merchant_id)
    acme.sql(_PAYMENT, payment_id, merchant_id)
    return acme


@pytest.fixture
def acme(quiet: Acme) -> Generator[Acme]:
    """A world with one server that also runs the jobs."""
    with quiet.server() as quiet.url:
        yield quiet


@pytest.fixture
def deaf(quiet: Acme) -> Generator[Acme]:
    """A world with one server that takes webhooks and does nothing with them."""
    with quiet.server(jobs=False) as quiet.url:
        yield quiet
