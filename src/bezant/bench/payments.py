"""`bezant bench payments`: over HTTP, create with automatic capture to the stored reply."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from bezant.app import create_services
from bezant.base.config import Settings
from bezant.base.db import Database
from bezant.base.errors import OperatorError
from bezant.bench import store
from bezant.bench.figures import Figures
from bezant.bench.load import Load, closed_loop, create_payment_request, open_loop
from bezant.bench.place import cpu_seconds, family_of, fresh_database, memory_mb, pgbench_tps, postmaster_of

_BENCH_APP = "bezant.bench.server:create_bench_app"
_REAL_APP = "bezant.app:create_app_from_env"
_RATE_PER_S = 1_000_000
_MASTER_KEY = "bench-master-key-that-protects-nothing"


class PaymentsBench(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. `rate_per_s`: open loop at this rate instead of `connections` in a closed loop.

    `preload`: payments made before the measurement. `simulator_url`: call the simulator there over HTTP instead of the
    PSP in process.
    """

    seconds: float = 15.0
    connections: int = 256
    rate_per_s: float | None = None
    preload: int = 0
    simulator_url: str | None = None
    pgbench_seconds: int = 10


class _Api(msgspec.Struct, frozen=True):
    pid: int
    port: int


async def bench_payments(server_url: str, wanted: PaymentsBench, progress: Callable[[str], None]) -> Figures:
    """Run it on a fresh database of the server. Raises OperatorError where the API does not start."""
    progress("pgbench: the unit")
    unit_tps = await pgbench_tps(server_url, wanted.pgbench_seconds)
    async with fresh_database(server_url, migrated=True) as url:
        key = await _merchant_key(url)
        async with _api(url, wanted) as api, _watched(url) as postmaster:
            make = create_payment_request(f"127.0.0.1:{api.port}", key)
            if wanted.preload:
                progress(f"{wanted.preload} payments first")
                await closed_loop(api.port, make, connections=256, seconds=1e9, requests_max=wanted.preload)
            progress("warming up")
            await closed_loop(api.port, make, connections=32, seconds=1.0)
            progress("measuring")
            before = _cpu(api, postmaster)
            load = await _run(api, make, wanted)
            used = tuple(b - a for a, b in zip(before, _cpu(api, postmaster), strict=True))
            return _figures(wanted, load, unit_tps, used, postmaster, memory_mb(api.pid))


async def _run(api: _Api, make: Callable[[], bytes], wanted: PaymentsBench) -> Load:
    if wanted.rate_per_s is not None:
        return await open_loop(api.port, make, rate_per_s=wanted.rate_per_s, seconds=wanted.seconds)
    return await closed_loop(api.port, make, connections=wanted.connections, seconds=wanted.seconds)


def _cpu(api: _Api, postmaster: int | None) -> tuple[float, float]:
    return cpu_seconds([api.pid]), cpu_seconds(family_of(postmaster)) if postmaster else 0.0


def _figures(
    wanted: PaymentsBench,
    load: Load,
    unit_tps: float,
    used: tuple[float, ...],
    postmaster: int | None,
    api_memory_mb: float,
) -> Figures:
    count = max(1, len(load.latencies_s))
    how = f"open {wanted.rate_per_s:g}/s" if wanted.rate_per_s is not None else f"{wanted.connections} connections"
    psp = "PSP in process" if wanted.simulator_url is None else "simulator over HTTP"
    after = f", after {wanted.preload:,}" if wanted.preload else ""
    return Figures(
        name=f"payments ({how}, {psp}{after})",
        per_second=load.per_second,
        p50_ms=load.percentile_ms(50),
        p99_ms=load.percentile_ms(99),
        pgbench_tps=unit_tps,
        ratio_to_pgbench=load.per_second / unit_tps,
        cpu_us_api=used[0] / count * 1e6,
        cpu_us_database=used[1] / count * 1e6 if postmaster else None,
        operations=len(load.latencies_s),
        failures=load.failures,
        memory_mb=api_memory_mb,
    )


async def _merchant_key(url: str) -> str:
    settings = Settings.from_env({**_environment(url, None), "BEZANT_JOBS": "off"})
    services = create_services(settings)
    async with services.running():
        merchant = await services.merchants.create("Bench", "USD", "simulator", rate_per_s=_RATE_PER_S)
    return merchant.secret_key


@asynccontextmanager
async def _watched(url: str) -> AsyncIterator[int | None]:
    database = Database(url, connections_max=1, application="bezant-bench")
    await database.open()
    try:
        async with database.connection() as connection:
            await store.settle(connection)
            yield postmaster_of(await store.backend_pid(connection))
    finally:
        await database.close()


@asynccontextmanager
async def _api(url: str, wanted: PaymentsBench) -> AsyncIterator[_Api]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BEZANT_")}
    app = _BENCH_APP if wanted.simulator_url is None else _REAL_APP
    command = [
        *(sys.executable, "-m", "uvicorn", app, "--factory", "--port", str(port), "--loop", "uvloop"),
        *("--http", "httptools", "--ws", "none", "--no-access-log", "--no-proxy-headers", "--no-server-header"),
        *("--log-level", "warning", "--timeout-keep-alive", "75"),
    ]
    process = await asyncio.create_subprocess_exec(
        *command, env={**inherited, **_environment(url, wanted.simulator_url)}
    )
    try:
        await _answers(process, port)
        yield _Api(process.pid, port)
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
