"""The processes under measurement: an API on a fresh database, and the database's own."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec

from bezant.app import create_services
from bezant.base.config import Settings
from bezant.base.db import Database
from bezant.base.errors import OperatorError
from bezant.bench import store
from bezant.bench.place import postmaster_of

_BENCH_APP = "bezant.bench.server:create_bench_app"
_REAL_APP = "bezant.app:create_app_from_env"
_RATE_PER_S = 1_000_000
_MASTER_KEY = "bench-master-key-that-protects-nothing"


class Api(msgspec.Struct, frozen=True):
    """A running API."""

    pid: int
    port: int


async def merchant_key(url: str) -> str:
    """The secret key of a new merchant."""
    settings = Settings.from_env({**_environment(url, None), "BEZANT_JOBS": "off"})
    services = create_services(settings)
    async with services.running():
        merchant = await services.merchants.create("Bench", "USD", "simulator", rate_per_s=_RATE_PER_S)
    return merchant.secret_key


@asynccontextmanager
async def watched(url: str) -> AsyncIterator[int | None]:
    """The first process of the database's server, which has nothing left to write; None where it is elsewhere."""
    database = Database(url, connections_max=1, application="bezant-bench")
    await database.open()
    try:
        async with database.connection() as connection:
            await store.settle(connection)
            yield postmaster_of(await store.backend_pid(connection))
    finally:
        await database.close()


@asynccontextmanager
async def api_process(
    url: str, *, simulator_url: str | None = None, more: Mapping[str, str] | None = None
) -> AsyncIterator[Api]:
    """The API with a PSP in process, or with the simulator at a URL. Raises OperatorError where it does not start.

    `more`: further settings by their variables.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BEZANT_")}
    app = _BENCH_APP if simulator_url is None else _REAL_APP
    command = [
        *(sys.executable, "-m", "uvicorn", app, "--factory", "--port", str(port), "--loop", "uvloop"),
        *("--http", "httptools", "--ws", "none", "--no-access-log", "--no-proxy-headers", "--no-server-header"),
        *("--log-level", "warning", "--timeout-keep-alive", "75"),
    ]
    process = await asyncio.create_subprocess_exec(
        *command, env={**inherited, **_environment(url, simulator_url), **(more or {})}
    )
    try:
        await _answers(process, port)
        yield Api(process.pid, port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 30)
        except TimeoutError:
            process.kill()


async def _answers(process: asyncio.subprocess.Process, port: int) -> None:
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at and process.returncode is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return
    raise OperatorError("The API of the benchmark did not start; see its log above.")


def _environment(url: str, simulator_url: str | None) -> dict[str, str]:
    environment = {
        "BEZANT_DATABASE_URL": url,
        "BEZANT_MASTER_KEY": _MASTER_KEY,
        "BEZANT_LOG": "json",
        "BEZANT_RATE_LIMIT_PER_S": "100000",
    }
    if simulator_url is not None:
        environment["BEZANT_PSP_SIMULATOR_URL"] = simulator_url
    return environment
