"""`bezant bench payments`: over HTTP, create with automatic capture to the stored reply."""

from collections.abc import Callable

import msgspec

from bezant.bench.api import Api, api_process, merchant_key, watched
from bezant.bench.figures import Figures
from bezant.bench.load import Load, closed_loop, create_payment_request, open_loop
from bezant.bench.place import cpu_seconds, family_of, fresh_database, memory_mb, pgbench_tps


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


async def bench_payments(server_url: str, wanted: PaymentsBench, progress: Callable[[str], None]) -> Figures:
    """Run it on a fresh database of the server. Raises OperatorError where the API does not start."""
    progress("pgbench: the unit")
    unit_tps = await pgbench_tps(server_url, wanted.pgbench_seconds)
    async with fresh_database(server_url, migrated=True) as url:
        key = await merchant_key(url)
        async with api_process(url, simulator_url=wanted.simulator_url) as api, watched(url) as postmaster:
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


async def _run(api: Api, make: Callable[[], bytes], wanted: PaymentsBench) -> Load:
    if wanted.rate_per_s is not None:
        return await open_loop(api.port, make, rate_per_s=wanted.rate_per_s, seconds=wanted.seconds)
    return await closed_loop(api.port, make, connections=wanted.connections, seconds=wanted.seconds)


def _cpu(api: Api, postmaster: int | None) -> tuple[float, float]:
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
