"""Everything that the demo runs on: database, PSP, API and background jobs, started and ended in order."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import aiohttp
import msgspec
from rich.console import Console

from bezant.base.config import Settings
from bezant.base.errors import OperatorError
from bezant.base.migrate import migrate
from bezant.base.postgres import Embedded
from bezant.demo.processes import Child, bezant_command, port_to_use

PspName = Literal["simulator", "stripe"]

PSP_TIMEOUT_S: Final = "2"
"""A PSP that never answers shall not make the demo long."""

_API_PORT: Final = 8080
_PSP_PORTS: Final = {"simulator": 8090, "stripe": 8420}
_LOOPBACK: Final = "127.0.0.1"


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything is."""

    database_url: str
    api_url: str
    psp: PspName
    psp_url: str
    environment: Mapping[str, str]
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
    program = _localstripe() if psp == "stripe" else None
    async with AsyncExitStack() as cleanup:
        session = await cleanup.enter_async_context(aiohttp.ClientSession())
        cleanup.callback(lambda: console.print("[dim]everything that was started has ended[/]"))
        with console.status("Starting the database"):
            database_url = await _database(settings, cleanup)
            applied = await migrate(database_url)
        console.print(f"[green]ready[/]  database   {len(applied)} migrations applied")
        logs = settings.home / "demo"
        logs.mkdir(mode=0o700, exist_ok=True)
        with console.status("Starting the payment provider, the API and its background jobs"):
            psp_port = port_to_use(_LOOPBACK, _PSP_PORTS[psp])
            psp_url = f"http://{_LOOPBACK}:{psp_port}"
            environment = _environment(settings, psp, psp_url)
            command = _psp_command(program, psp_port, settings.home)
            provider = _start(cleanup, Child(psp, command, environment, logs / f"{psp}.log"))
            api_port = port_to_use(host, _API_PORT) if port is None else port
            worker = _start(cleanup, Child("worker", bezant_command("worker"), environment, logs / "worker.log"))
            serve = bezant_command("serve", "--no-jobs", "--host", host, "--port", str(api_port))
            api = _start(cleanup, Child("API", serve, environment, logs / "api.log"))
            api_url = f"http://{host}:{api_port}"
            health = "/healthz" if psp == "simulator" else "/v1/balance"
            await asyncio.gather(
                provider.answers(session, psp_url + health),
                worker.says("worker running"),
                api.answers(session, f"{api_url}/readyz"),
            )
        console.print(f"[green]ready[/]  {psp:<10} {psp_url}")
        console.print(f"[green]ready[/]  API        {api_url}\n[green]ready[/]  worker")
        yield Stage(
            database_url=database_url,
            api_url=api_url,
            psp=psp,
            psp_url=psp_url,
            environment=environment,
            children=(provider, worker, api),
        )


def _start(cleanup: AsyncExitStack, child: Child) -> Child:
    cleanup.push_async_callback(child.stop)
    return child


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


def _environment(settings: Settings, psp: PspName, psp_url: str) -> dict[str, str]:
    """What the children read. Whatever else the operator has set stays."""
    environment = {"BEZANT_PSP_TIMEOUT_S": PSP_TIMEOUT_S, **os.environ}
    environment["BEZANT_HOME"] = str(settings.home)
    environment["BEZANT_LOG"] = "json"
    environment[f"BEZANT_PSP_{psp.upper()}_URL"] = psp_url
    if psp == "stripe":
        environment["BEZANT_PSP_STRIPE_SECRET_KEY"] = "sk_test_bezant_demo"  # noqa: S105 - localstripe takes any
    return environment


def _psp_command(localstripe: str | None, port: int, home: Path) -> list[str]:
    if localstripe is not None:
        return [localstripe, "--from-scratch", "--port", str(port)]
    return bezant_command("simulator", "--port", str(port), "--state", str(home / "simulator"))


def _localstripe() -> str:
    """Where localstripe is: beside this Python, else on PATH."""
    program = shutil.which("localstripe", path=str(Path(sys.executable).parent)) or shutil.which("localstripe")
    if program is None:
        raise OperatorError(
            "localstripe, which plays Stripe here, is not installed. It is free software under the GPL and runs as a "
            f"process of its own. `make setup` installs it, or `{sys.executable} -m pip install localstripe`."
        )
    return program
