"""`bezant demo`: everything on one machine, with customers."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from bezant.base.config import Settings
from bezant.commands.start import load_settings, run
from bezant.demo.run import Options, play
from bezant.demo.summary import Summary


def demo(
    payments: Annotated[int, typer.Option(min=1, max=100_000, help="How many checkouts.")] = 200,
    exits: Annotated[
        bool, typer.Option("--exit", help="Stop everything at the end; status 1 if anything is off.")
    ] = False,
    json: Annotated[Path | None, typer.Option(dir_okay=False, help="File for the summary.")] = None,
    psp: Annotated[
        Literal["simulator", "stripe"], typer.Option(help="stripe: Stripe's connector, against localstripe.")
    ] = "simulator",
    host: Annotated[str, typer.Option(help="Address that the API listens on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the API. Default: 8080, or a free one.")
    ] = None,
) -> None:
    """Start everything, send customers shopping, show what came of it, and stay up until Ctrl-C.

    Starts the database (and brings its schema up to date), the API, the background jobs and the payment provider.
    """
    options = Options(payments=payments, exits=exits, json_file=json, psp=psp, host=host, port=port)
    summary = run(_interruptible(load_settings(), options))
    is_good = summary is not None and summary.agreed
    raise typer.Exit(0 if is_good or not exits else 1)


async def _interruptible(settings: Settings, options: Options) -> Summary | None:
    """The demo; None where Ctrl-C or SIGTERM came before its end, which drains and ends everything just the same."""
    task = asyncio.create_task(play(settings, options, Console(), Console(stderr=True)))
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        task.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)  # a second one ends the demo at once, and its children with it

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        return None
