"""`bezant serve`: the HTTP API, with the background jobs unless told otherwise."""

import os
import signal
from types import FrameType
from typing import Annotated

import typer
import uvicorn

from bezant.app import create_services
from bezant.commands.start import current_database, load_settings

_APPLICATION = "bezant.app:create_app_from_env"
_DRAIN_MARGIN_S = 15
_KEEP_ALIVE_S = 75


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that answer requests.")] = 1,
    no_jobs: Annotated[bool, typer.Option("--no-jobs", help="Leave background jobs to `bezant worker`.")] = False,
) -> None:
    """Serve the API until Ctrl-C or SIGTERM, which let running requests finish."""
    _exit_cleanly_on_signals()
    settings = load_settings()
    current_database(settings)
    create_services(settings)  # only to see that they can be: here a mistake is one clear line
    if no_jobs:
        os.environ["BEZANT_JOBS"] = "off"
    uvicorn.run(
        _APPLICATION,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(settings.psp_timeout_s) + _DRAIN_MARGIN_S,
    )


def _exit_cleanly_on_signals() -> None:
    """Before the server runs there is nothing to drain; once it has drained it repeats the signal: both end with 0."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)


def _exit(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
