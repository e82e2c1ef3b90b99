"""A payment platform in miniature: the simulator, one or more API processes on one database, and merchants' clients.

Everything a test does goes over real HTTP to real processes; merchants and keys are made in this process, as an
operator would by the command line.
"""

import http.client
import json
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit
from uuid import UUID, uuid4

import asyncpg

from bezant.app import Services, create_services
from bezant.base.config import Settings
from tests.support.databases import run
from tests.support.processes import Process, bezant, free_port
from tests.support.simulator import WEBHOOK_SECRET, SimulatorProcess, running_simulator
from tests.support.waiting import wait_until

T = TypeVar("T")
Json = dict[str, Any]

MASTER_KEY = "test-master-key-" + "0" * 32
API = "/api/v1"
_TIMEOUT_S = 60.0


class Answer:
    """A reply, with every byte of it. Header names are in lower case."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __getitem__(self, name: str) -> Any:
        return self.json[name]

    @property
    def code(self) -> str | None:
        """The problem's code; None where it is no problem."""
        return self.json.get("code") if self.status >= 400 else None

    @property
    def replayed(self) -> bool:
        return self.headers.get("idempotent-replayed") == "true"

    def __repr__(self) -> str:
        return f"{self.status} {self.body.decode(errors='replace')[:2000]}"


class Merchant:
    """A client of one merchant. `api=` says which of the platform's processes is called."""

    def __init__(self, platform: "Platform", merchant_id: str, secret_key: str, publishable_key: str) -> None:
        self.platform = platform
        self.merchant_id = merchant_id
        self.secret_key = secret_key
        self.publishable_key = publishable_key

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        key: str | None = None,
        *,
        bearer: str | None = None,
        api: int = 0,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> Answer:
        """One request below /api/v1. `body`: bytes as they are, else JSON.

        A POST without `key` gets a fresh one; an empty `key` or `bearer` sends no such header.
        """
        bearer = self.secret_key if bearer is None else bearer
        sent = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        if method == "POST":
            sent["Content-Type"] = "application/json"
            key = f"key-{uuid4().hex}" if key is None else key
            sent |= {"Idempotency-Key": key} if key else {}
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        return request(self.platform.apis[api].url + API + path, method, raw, sent | dict(headers or {}), timeout_s)

    def get(self, path: str, *, bearer: str | None = None, api: int = 0, **query: object) -> Answer:
        """A GET with query parameters."""
        return self.call("GET", f"{path}?{urlencode(query)}" if query else path, bearer=bearer, api=api)

    def create(
        self, payment_method: str | None = "pm_card_visa", value: int = 10_000, currency: str = "USD", **fields: Any
    ) -> Answer:
        """Create a payment. `key`, `api` and `bearer` go to the call, everything else into the body."""
        options = {name: fields.pop(name) for name in ("key", "api", "bearer", "timeout_s") if name in fields}
        body = {"order_id": f"ord_{uuid4().hex[:16]}", "amount": amount(value, currency)} | fields
        if payment_method is not None:
            body["payment_method"] = payment_method
        return self.call("POST", "/payments", body, **options)

    def do(self, payment_id: str, verb: str, key: str | None = None, *, api: int = 0, **body: Any) -> Answer:
        """`confirm`, `capture`, `cancel` or `refunds` of a payment. `value=` and `currency=` make an amount."""
        if "value" in body:
            body["amount"] = amount(body.pop("value"), body.pop("currency", "USD"))
        return self.call("POST", f"/payments/{payment_id}/{verb}", body, key, api=api)

    def payment(self, payment_id: str, *, api: int = 0) -> Any:
        """The payment as it is now."""
        answer = self.get(f"/payments/{payment_id}", api=api)
        assert answer.status == 200, answer
        return answer.json

    def wait_for_status(self, payment_id: str, *statuses: str, timeout_s: float = 20.0) -> Any:
        """The payment once it has one of the statuses and nothing of it is open."""

        def reached() -> Any:
            payment = self.payment(payment_id)
            return payment if payment["status"] in statuses and payment["pending_operation"] is None else None

        return wait_until(reached, timeout_s, f"{payment_id} to be {' or '.join(statuses)}")

    def events(self, payment_id: str | None = None) -> list[Json]:
        """All events so far in order, of one payment or of the merchant.

        An event is shown once no transaction of the server is open that began before its own: that is waited for.
        """
        merchant_id = UUID(self.merchant_id.partition("_")[2])
        count = "SELECT count(*) FROM outbox_events WHERE merchant_id = $1"
        written = self.platform.sql(count, merchant_id)[0][0]
        found = wait_until(lambda: [e for e in [self._events()] if len(e) >= written], what="events to be shown")[0]
        return [event for event in found if payment_id in (None, event["payment_id"])]

    def _events(self) -> list[Json]:
        found: list[Json] = []
        after: Json = {}
        while True:
            page = self.get("/events", limit=1000, **after).json
            found += page["data"]
            if not page["has_more"]:
                return found
            after = {"after": found[-1]["event_id"]}

    def event_types(self, payment_id: str) -> list[str]:
        """The types of a payment's events, in order."""
        return [event["type"] for event in self.events(payment_id)]

    def accounts(self, currency: str = "USD") -> dict[str, int]:
        """Account balances in a currency, each on its normal side."""
        rows = self.get("/ledger/accounts").json["data"]
        return {row["account"]: row["balance"] for row in rows if row["currency"] == currency}


class Api:
    """One `bezant serve`. It may be killed and started again on the same port."""

    def __init__(self, env: Mapping[str, str], *options: str, port: int | None = None) -> None:
        self._env = env
        self._options = options
        self._port = port or free_port()
        self._output = ""
        self.process: Process | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def launch(self, **env: str) -> None:
        """Start without waiting. `env` is added for this life only."""
        self.process = bezant("serve", "--port", str(self._port), *self._options, env={**self._env, **env})

    def wait_until_ready(self) -> None:
        """Wait until it serves and reaches its database."""
        assert self.process is not None
        self.process.wait_for_http(f"{self.url}/readyz", 60)

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self.process is not None:
            self.process.kill()
            self._output += self.process.output()
            self.process.__exit__(None, None, None)
            self.process = None

    def output(self) -> str:
        """Everything written in all its lives."""
        return self._output + (self.process.output() if self.process is not None else "")


class Platform:
    """A running installation."""

    def __init__(
        self, database_url: str, home: Path, simulator: SimulatorProcess, env: Mapping[str, str] | None = None
    ) -> None:
        self.database_url = database_url
        self.simulator = simulator
        self.env = {
            "BEZANT_HOME": str(home),
            "BEZANT_DATABASE_URL": database_url,
            "BEZANT_MASTER_KEY": MASTER_KEY,
            "BEZANT_LOG": "json",
            "BEZANT_PSP_SIMULATOR_URL": simulator.url,
            "BEZANT_PSP_TIMEOUT_S": "4",
            "BEZANT_SYNC_INTERVAL_S": "0.2",
            "BEZANT_DATABASE_POOL_MAX": "4",
            "BEZANT_RATE_LIMIT_PER_S": "100000",
            "BEZANT_PSP_SIMULATOR_WEBHOOK_SECRET": WEBHOOK_SECRET,
            **(env or {}),
        }
        self.settings = Settings.from_env(self.env)
        self.apis: list[Api] = []

    def merchant(self, currency: str = "USD", **terms: Any) -> Merchant:
        """A new merchant's client."""
        made = self.with_services(lambda s: s.merchants.create("A shop", currency, "simulator", **terms))
        return Merchant(self, made.merchant_id, made.secret_key, made.publishable_key)

    def operator_key(self) -> str:
        """A new key of the operator's own."""
        return self.with_services(lambda s: s.merchants.create_key("operator", "secret", (), None)).key

    def with_services(self, work: Callable[[Services], Coroutine[Any, Any, T]]) -> T:
        """Run `work` in this process on services of its own, as a command of the operator would."""

        async def running() -> T:
            services = create_services(self.settings)
            await services.database.open()
            try:
                return await work(services)
            finally:
                await services.database.close()

        return run(running())

    def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query on the platform's database."""
        return sql(self.database_url, query, *parameters)

    def charges(self, **query: str) -> list[Json]:
        """What the simulator itself believes; `reference=` or `payment_reference=` (our order_id) narrow it."""
        return request(f"{self.simulator.url}/_simulator/charges?{urlencode(query)}", "GET").json["data"]

    def charge_of(self, payment: Any) -> Json:
        """The one charge of a payment at the simulator."""
        (charge,) = self.charges(payment_reference=payment["order_id"])
        return charge

    def customer_decides(self, payment: Any, decision: str) -> None:
        """`approve` or `refuse` on the page of the payment's next action."""
        answer = request(payment["next_action"]["url"], "POST", f"decision={decision}".encode())
        assert answer.status < 400, answer


@contextmanager
def running_platform(
    database_url: str,
    home: Path,
    *options: str,
    apis: int = 1,
    async_delay_s: float = 0.3,
    env: Mapping[str, str] | None = None,
    webhooks: bool = False,
) -> Iterator[Platform]:
    """A simulator and `apis` API processes (`bezant serve <options>`) on a migrated database.

    `webhooks`: the simulator tells the first of them what happens.
    """
    ports = [free_port() for _ in range(apis)]
    webhook_url = f"http://127.0.0.1:{ports[0]}/internal/webhooks/psp/simulator" if webhooks else None
    with running_simulator(async_delay_s=async_delay_s, webhook_url=webhook_url) as simulator:
        platform = Platform(database_url, home, simulator, env)
        platform.apis = [Api(platform.env, *options, port=port) for port in ports]
        try:
            for api in platform.apis:
                api.launch()
            for api in platform.apis:
                api.wait_until_ready()
            yield platform
        finally:
            for api in platform.apis:
                api.kill()


def amount(value: int, currency: str = "USD") -> Json:
    """An amount as the API takes and shows it."""
    return {"value": value, "currency": currency}


def sql(url: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Rows of a query."""

    async def fetch() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url, timeout=30)
        try:
            return [tuple(row) for row in await connection.fetch(query, *parameters)]
        finally:
            await connection.close()

    return run(fetch())


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make all calls at the same moment, each on a thread of its own; their results in order."""
    barrier = threading.Barrier(len(calls))

    def one(call: Callable[[], T]) -> T:
        barrier.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(one, calls))


def request(
    url: str,
    method: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> Answer:
    """One HTTP request on a connection of its own, sent once. Raises OSError or HTTPException where no answer comes."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout_s)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, {"Connection": "close", **(headers or {})})
        response = connection.getresponse()
        raw = response.read()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, raw)
    finally:
        connection.close()
