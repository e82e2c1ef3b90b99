"""The simulator as a process of its own, for tests."""

import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

STOP_S = 10.0
WEBHOOK_SECRET = "a webhook secret for tests"


class SimulatorProcess:
    """A running simulator. `kill` and `start` again on the same `state` make a restart; the port stays."""

    def __init__(
        self,
        state: Path | None = None,
        visibility_lag_s: float = 0.0,
        async_delay_s: float = 0.3,
        webhook_url: str | None = None,
        webhook_secret: str = WEBHOOK_SECRET,
    ) -> None:
        self._options = [f"--visibility-lag={visibility_lag_s}", f"--async-delay={async_delay_s}"]
        self._options += [] if state is None else [f"--state={state}"]
        self._options += [] if webhook_url is None else [f"--webhook-url={webhook_url}"]
        self._options += [] if webhook_url is None else [f"--webhook-secret={webhook_secret}"]
        self._process: subprocess.Popen[str] | None = None
        self.url = "http://127.0.0.1:0"

    def start(self) -> None:
        port = self.url.rpartition(":")[2]
        command = [sys.executable, "-m", "bezant_simulator", f"--port={port}", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("Simulator listening on "), self._process.communicate()[1]
        self.url = line.split()[-1]

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(how)
        process.communicate(timeout=STOP_S)
        return process.returncode


@contextmanager
def running_simulator(
    state: Path | None = None,
    visibility_lag_s: float = 0.0,
    async_delay_s: float = 0.3,
    webhook_url: str | None = None,
    webhook_secret: str = WEBHOOK_SECRET,
) -> Iterator[SimulatorProcess]:
    process = SimulatorProcess(state, visibility_lag_s, async_delay_s, webhook_url, webhook_secret)
    process.start()
    try:
        yield process
    finally:
        process.stop()


class Answered:
    """An answer of the simulator."""

    def __init__(self, status: int, headers: dict[str, str], body: Any) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def error(self) -> dict[str, Any]:
        return self.body["error"]

    @property
    def replayed(self) -> bool:
        return self.headers.get("idempotent-replayed") == "true"


class Client:
    """A plain HTTP client of the simulator's own wire. Every reference it makes is new in the world."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url

    async def call(
        self, method: str, path: str, body: object = None, key: str | None = None, timeout_s: float = 10.0
    ) -> Answered:
        headers = {"Authorization": "Bearer sim_test"} | ({} if key is None else {"Idempotency-Key": key})
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with self._session.request(
            method, self.url + path, json=body, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            raw = await response.read()
            is_json = response.content_type == "application/json"
            headers_seen = {name.lower(): value for name, value in response.headers.items()}
            return Answered(response.status, headers_seen, await response.json() if is_json else raw.decode())

    async def create(self, payment_method: str = "pm_card_visa", **fields: Any) -> Answered:
        timeout_s = fields.pop("timeout_s", 10.0)
        body = charge_body(payment_method, **fields)
        return await self.call("POST", "/v1/charges", body, body["reference"], timeout_s)

    async def modify(self, charge_id: str, verb: str, **fields: Any) -> Answered:
        timeout_s = fields.pop("timeout_s", 10.0)
        body = {"reference": new_reference()} | fields
        return await self.call("POST", f"/v1/charges/{charge_id}/{verb}", body, body["reference"], timeout_s)

    async def attempt(self, charge_id: str, operation: str, **fields: Any) -> Answered | None:
        """A capture, cancel or refund; None where no answer came."""
        try:
            return await self.modify(charge_id, "refunds" if operation == "refund" else operation, **fields)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return None

    async def decide(self, charge: dict[str, Any], decision: str) -> None:
        """What the customer does on the page."""
        form = {"decision": decision}
        async with self._session.post(charge["redirect_url"], data=form, allow_redirects=False) as response:
            assert response.status in (200, 303)

    async def facts(self, reference: str) -> list[dict[str, Any]]:
        """What the simulator believes of the charge with our reference."""
        return (await self.call("GET", f"/_simulator/charges?reference={reference}")).body["data"]

    async def settings(self, **changes: object) -> None:
        assert (await self.call("POST", "/_simulator/settings", changes)).status == 200


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, url)


def new_reference() -> str:
    return f"att_{uuid.uuid4().hex}"


def charge_body(payment_method: str = "pm_card_visa", **fields: Any) -> dict[str, Any]:
    body = {
        "amount": 1000,
        "currency": "USD",
        "payment_method": payment_method,
        "reference": new_reference(),
        "payment_reference": f"pay_{uuid.uuid4().hex}",
    }
    return body | fields
