"""The simulator as a process: listens, restores its state, drains on SIGTERM and Ctrl-C."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvloop

from bezant_simulator.http import Connection, Connections
from bezant_simulator.journal import StateLocked
from bezant_simulator.world import Settings, World

DEFAULT_PORT: Final = 8090
_DRAIN_S: Final = 5.0
_BACKLOG: Final = 1024


def announce(url: str) -> None:
    """Says where the simulator listens."""
    print(f"Simulator listening on {url}", flush=True)


def run(
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    state: Path | None = None,
    visibility_lag_s: float = 0.0,
    async_delay_s: float = 3.0,
    ready: Callable[[str], None] = announce,
) -> None:
    """Serves until SIGTERM or SIGINT. Port 0 takes a free one; `ready` is told the URL. With `state`, what was
    answered survives.
    """
    settings = Settings(visibility_lag_s=visibility_lag_s, async_delay_s=async_delay_s)
    try:
        uvloop.run(_serve(World(settings, state), host, port, ready))
    except (StateLocked, OSError) as error:
        raise SystemExit(f"bezant simulator: {error}") from error


async def _serve(world: World, host: str, port: int, ready: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    connections = Connections()
    server = await loop.create_server(lambda: Connection(world, connections), host, port, backlog=_BACKLOG)
    bound_port: int = server.sockets[0].getsockname()[1]
    ready(f"http://{host}:{bound_port}")
    await stop.wait()
    server.close()
    await connections.drain(_DRAIN_S)
    await world.journal.close()
