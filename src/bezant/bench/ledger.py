"""`bezant bench ledger`: journals of three entries posted through `ledger.post`, with balances and all triggers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Database
from bezant.bench import store
from bezant.bench.figures import Figures
from bezant.bench.place import cpu_seconds, family_of, fresh_database, pgbench_tps, postmaster_of
from bezant.ledger.post import post
from bezant.ledger.rules import Journal, capture_lines

_POSTERS = 2
"""Two at a time, so that one prepares its next batch while the other's is being written."""


async def bench_ledger(
    server_url: str, batches: tuple[int, ...], seconds: float, pgbench_seconds: int, progress: Callable[[str], None]
) -> list[Figures]:
    """Post as fast as two connections can, for each batch size on a fresh database."""
    progress("pgbench: the unit")
    unit_tps = await pgbench_tps(server_url, pgbench_seconds)
    figures: list[Figures] = []
    for batch in batches:
        progress(f"{batch} journals a statement")
        figures.append(await _one(server_url, batch, seconds, unit_tps))
    return figures


async def _one(server_url: str, batch: int, seconds: float, unit_tps: float) -> Figures:
    merchant_id = ids.new_id()
    latencies_s: list[float] = []
    async with fresh_database(server_url, migrated=True) as url, _opened(url, merchant_id) as (database, postmaster):
        for _ in range(3):
            await _post(database, _journals(merchant_id, batch))
        cpu_before = (time.process_time(), cpu_seconds(family_of(postmaster)) if postmaster else 0.0)
        began = time.perf_counter()

        async def keep_posting() -> None:
            while time.perf_counter() - began < seconds:
                journals = _journals(merchant_id, batch)
                started = time.perf_counter()
                await _post(database, journals)
                latencies_s.append(time.perf_counter() - started)

        await asyncio.gather(*(keep_posting() for _ in range(_POSTERS)))
        elapsed_s = time.perf_counter() - began
        cpu_database_s = (cpu_seconds(family_of(postmaster)) if postmaster else 0.0) - cpu_before[1]
        cpu_api_s = time.process_time() - cpu_before[0]
    count = len(latencies_s) * batch
    ordered = sorted(latencies_s)
    return Figures(
        name=f"ledger ({batch} journals a statement)",
        per_second=count / elapsed_s,
        p50_ms=ordered[len(ordered) // 2] * 1000,
        p99_ms=ordered[int(len(ordered) * 0.99)] * 1000,
        pgbench_tps=unit_tps,
        ratio_to_pgbench=count / elapsed_s / unit_tps,
        cpu_us_api=cpu_api_s / count * 1e6,
        cpu_us_database=cpu_database_s / count * 1e6 if postmaster else None,
        operations=count,
    )


async def _post(database: Database, journals: list[Journal]) -> None:
    async with database.transaction() as transaction:
        await post(transaction, journals)


def _journals(merchant_id: UUID, count: int) -> list[Journal]:
    now = datetime.now(UTC)
    return [
        Journal(
            merchant_id=merchant_id,
            payment_id=None,
            kind="capture",
            correlation_id=ids.show(ids.ATTEMPT, ids.new_id()),
            currency="USD",
            effective_at=now,
            lines=capture_lines(4_999, 175),
        )
        for _ in range(count)
    ]


@asynccontextmanager
async def _opened(url: str, merchant_id: UUID) -> AsyncIterator[tuple[Database, int | None]]:
    database = Database(url, connections_max=2, application="bezant-bench")
    await database.open()
    try:
        async with database.connection() as connection:
            await store.insert_merchant(connection, merchant_id)
            await store.settle(connection)
            postmaster = postmaster_of(await store.backend_pid(connection))
        yield database, postmaster
    finally:
        await database.close()
