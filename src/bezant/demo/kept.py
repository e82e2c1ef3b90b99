"""The simulator that demos leave behind: its books stay in the home, so that they can be compared with ours later."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from bezant.base.config import Settings
from bezant.demo.processes import Child, bezant_command, port_to_use

LOOPBACK: Final = "127.0.0.1"
SIMULATOR_PORT: Final = 8090
_CONNECT_TIMEOUT_S: Final = 2.0


def simulator_state(home: Path) -> Path:
    """The folder of its state."""
    return home / "simulator"


@asynccontextmanager
async def kept_simulator(settings: Settings, usual_port: int = SIMULATOR_PORT) -> AsyncIterator[Settings]:
    """Settings under which the simulator of earlier demos answers, started for as long as the block lasts.

    The settings as they are where no demo left one, where it runs already, or where another address is configured.
    """
    state = simulator_state(settings.home)
    is_wanted = "simulator" not in settings.psp_urls and state.is_dir()
    if not is_wanted or await asyncio.to_thread(_somebody_listens, usual_port):
        yield settings
        return
    port = port_to_use(LOOPBACK, usual_port)
    nowhere = ("--webhook-url", "")  # it is only read: who listens at the usual address may be somebody else
    command = bezant_command("simulator", "--port", str(port), "--state", str(state), *nowhere)
    child = Child("simulator", command, os.environ, state / "simulator.log")
    try:
        await child.says("listening on http")
        urls: Mapping[str, str] = {**settings.psp_urls, "simulator": f"http://{LOOPBACK}:{port}"}
        yield replace(settings, psp_urls=urls)
    finally:
        await child.stop()


def _somebody_listens(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), _CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False
