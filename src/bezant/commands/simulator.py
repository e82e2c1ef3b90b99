"""`bezant simulator`: the offline PSP. It shares nothing with Bezant but this command."""

from pathlib import Path
from typing import Annotated

import typer

import bezant_simulator.server
from bezant.commands.start import load_settings


def simulator(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8090,
    state: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder for its state, which then survives a restart.")
    ] = None,
) -> None:
    """Run the offline PSP until Ctrl-C or SIGTERM. A payment's method decides what it does, e.g. pm_card_declined."""
    load_settings()
    bezant_simulator.server.run(host, port, state)
