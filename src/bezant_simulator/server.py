"""The simulator as a process: listens, restores its state, drains on SIGTERM and Ctrl-C."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import uvloop

from bezant_simulator.http import Connection, Connections
from bezant_simulator.journal import StateLocked
from bezant_simulator.settings import Settings
from bezant_simulator.world import World

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
    *,
    webhook_url: str | None = None,
    webhook_secrets: Sequence[str] = (),
) -> None:
    """Serves until SIGTERM or SIGINT. Port 0 takes a free one; `ready` is told the URL. With `state`, what was
    answered survives. Events are sent to `webhook_url`, signed with each of the secrets; without a URL they wait, and
    without a secret there are none.
    """
    try:
        if webhook_url is not None and not webhook_secrets:
            raise ValueError("webhooks need a secret to be signed with")
        settings = Settings(visibility_lag_s=visibility_lag_s, async_delay_s=async_delay_s, webhook_url=webhook_url)
    except ValueError as error:
        raise SystemExit(f"bezant simulator: {error}") from error
    try:
        uvloop.run(_serve(World(settings, state, webhook_secrets), host, port, ready))
    except (StateLocked, OSError) as error:
        raise SystemExit(f"bezant simulator: {error}") from error


async def _serve(world: World, host: str, port: int, ready: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    connections = Connections()
    server = await loop.create_server(lambda: Connection(world, connections), host, port, backlog=_BACKLOG)
    world.start()
    bound_port: int = server.sockets[0].getsockname()[1]
    ready(f"http://{host}:{bound_port}")
    await stop.wait()
    server.close()
    await connections.drain(_DRAIN_S)
    await world.close()
