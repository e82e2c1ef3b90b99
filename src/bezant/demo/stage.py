"""Everything that the demo runs on: database, PSP, API and background jobs, started and ended in order."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from rich.console import Console

from bezant.base.config import Settings
from bezant.base.errors import OperatorError
from bezant.base.migrate import migrate
from bezant.base.postgres import Embedded
from bezant.demo import closing
from bezant.demo.desk import Desk
from bezant.demo.kept import LOOPBACK
from bezant.demo.processes import Child, bezant_command, port_to_use
from bezant.demo.provider import Provider, PspName, provider

PSP_TIMEOUT_S: Final = "2"
"""A PSP that never answers shall not make the demo long."""

_API_PORT: Final = 8080
_SHOP_NETWORK: Final = f"{LOOPBACK}/32"
"""Where the demo's shop listens for webhooks: not public, so that the operator must allow it."""

_LISTENS: Final = re.compile("listening on http|[Rr]unning on http")
"""What the simulator, uvicorn and localstripe say once they listen."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything is."""

    database_url: str
    api_url: str
    psp: PspName
    psp_url: str
    children: tuple[Child, ...]

    def require_running(self) -> None:
        """Raises OperatorError if a process has ended by itself."""
        for child in self.children:
            child.require_running()


@asynccontextmanager
async def set_up(
    settings: Settings, psp: PspName, host: str, port: int | None, console: Console
) -> AsyncIterator[Stage]:
    """Start everything; at the end the API drains first, then the jobs, the PSP and the database."""
    chosen = provider(psp, settings.home)
    async with AsyncExitStack() as cleanup:
        cleanup.callback(lambda: console.print("[dim]everything that was started has ended[/]"))
        with console.status("Starting the database"):
            database_url = await _database(settings, cleanup)
            applied = await migrate(database_url)
        console.print(f"[green]ready[/]  database   {len(applied)} migrations applied")
        launch = _Launch(cleanup, settings.home / "demo")
        with console.status("Starting the payment provider"):
            psp_child, psp_port = await launch.listening(psp, chosen.command, {}, LOOPBACK, chosen.usual_port)
        psp_url = f"http://{LOOPBACK}:{psp_port}"
        console.print(f"[green]ready[/]  {psp:<10} {psp_url}")
        environment = _environment(settings, chosen, psp_url)
        serve = bezant_command("serve", "--no-jobs", "--host", host)
        with console.status("Starting the API and the background jobs"):
            worker = launch.start("worker", bezant_command("worker"), environment)
            api, api_port = await launch.listening("API", serve, environment, host, port or _API_PORT, port is not None)
            await worker.says("worker running")
            api_url = f"http://{host}:{api_port}"
            async with aiohttp.ClientSession() as web:
                webhooks_url = f"{api_url}/internal/webhooks/psp/{psp}"
                await Desk(web, psp, psp_url).send_webhooks_to(webhooks_url, chosen.webhook_secret)
        console.print(f"[green]ready[/]  API        {api_url}\n[green]ready[/]  worker")
        yield Stage(
            database_url=database_url, api_url=api_url, psp=psp, psp_url=psp_url, children=(psp_child, worker, api)
        )


class _Launch:
    """Starts children that are stopped, in reverse order, when the demo ends."""

    def __init__(self, cleanup: AsyncExitStack, logs: Path) -> None:
        logs.mkdir(mode=0o700, exist_ok=True)
        self._cleanup = cleanup
        self._logs = logs

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Start without waiting."""
        child = Child(name, command, environment or os.environ, self._logs / f"{name.lower()}.log")
        self._cleanup.push_async_callback(child.stop)
        return child

    async def listening(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        host: str,
        port: int,
        is_fixed: bool = False,
    ) -> tuple[Child, int]:
        """Start it on `port`, or if that is taken and not fixed on a free one, and wait until it says that it listens.

        What it says is waited for, not an answer: who answers on a port may be somebody else.
        """
        for is_last in (is_fixed, True):
            port = port if is_fixed else port_to_use(host, port)
            child = self.start(name, [*command, "--port", str(port)], environment)
            try:
                await child.says(_LISTENS)
            except OperatorError:
                if is_last:
                    raise
                port = 0  # somebody was faster
                continue
            return child, port
        raise AssertionError("the last try either listens or raises")


async def _database(settings: Settings, cleanup: AsyncExitStack) -> str:
    """The URL of the database. The embedded one is stopped at the end if it was started here."""
    settings.master_key_bytes()
    if settings.database_url is not None:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return settings.database_url
    embedded = Embedded(settings.home)
    url, is_started_here = await asyncio.to_thread(embedded.start_if_needed)
    if is_started_here:
        cleanup.push_async_callback(asyncio.to_thread, embedded.stop)
    return url


def _environment(settings: Settings, psp: Provider, psp_url: str) -> dict[str, str]:
    """What the children read. Whatever else the operator has set stays."""
    networks = [*map(str, settings.webhooks_allow_networks), _SHOP_NETWORK]
    return {
        "BEZANT_PSP_TIMEOUT_S": PSP_TIMEOUT_S,
        **closing.ENVIRONMENT,
        **psp.defaults,
        **os.environ,
        "BEZANT_HOME": str(settings.home),
        "BEZANT_LOG": "json",
        "BEZANT_WEBHOOKS_ALLOW_NETWORKS": ",".join(networks),
        f"BEZANT_PSP_{psp.name.upper()}_URL": psp_url,
        **psp.bezant,
    }
