"""Where a benchmark runs: fresh databases on the server in use, the pgbench unit, and the CPU that processes used."""

import asyncio
import os
import re
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from bezant.base.db import Database
from bezant.base.errors import OperatorError
from bezant.base.migrate import migrate
from bezant.base.postgres_place import binaries
from bezant.bench import store

PGBENCH_SCALE = 50
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def fresh_database(server_url: str, *, migrated: bool) -> AsyncIterator[str]:
    """The URL of a new database on the server, dropped at the end."""
    name = f"bezant_bench_{secrets.token_hex(4)}"
    administration = Database(server_url, connections_max=1, application="bezant-bench")
    await administration.open()
    try:
        async with administration.connection() as connection:
            await store.require_durable(connection)
            await store.create_database(connection, name)
        url = urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
        try:
            if migrated:
                await migrate(url)
            yield url
        finally:
            async with administration.connection() as connection:
                await store.drop_database(connection, name)
    finally:
        await administration.close()


async def pgbench_tps(server_url: str, seconds: int) -> float:
    """The unit: transactions a second of `pgbench -N -c 16 -j 1` at scale 50."""
    async with fresh_database(server_url, migrated=False) as url:
        await _pgbench(url, "-i", "-q", "-s", str(PGBENCH_SCALE))
        output = await _pgbench(url, "-N", "-c", "16", "-j", "1", "-T", str(seconds))
    found = re.search(r"^tps = ([0-9.]+)", output, re.MULTILINE)
    if found is None:
        raise OperatorError(f"pgbench did not say how fast it was:\n{output}")
    return float(found[1])


async def _pgbench(url: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        binaries() / "pgbench", *arguments, url, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode != 0:
        raise OperatorError(f"pgbench failed: {errors.decode(errors='replace')[-500:]}")
    return output.decode()


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that these processes have used so far (Linux; 0 where /proc is not)."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])
    return total / _TICKS_PER_S


def postmaster_of(backend_pid: int) -> int | None:
    """The server's first process, where the backend runs on this machine; None where it does not."""
    try:
        stat = Path(f"/proc/{backend_pid}/stat").read_text()
    except OSError:
        return None
    name, _, fields = stat.partition("(")[2].rpartition(")")
    return int(fields.split()[1]) if name.startswith("postgres") else None


def family_of(pid: int) -> list[int]:
    """A process and its direct children."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *map(int, children)]


def memory_mb(pid: int) -> float:
    """Resident memory of a process in MB."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
