"""`bezant simulator`: the offline PSP. All it shares with Bezant is this command and the secret of its webhooks."""

from pathlib import Path
from typing import Annotated

import typer

import bezant_simulator.server
from bezant.base.kept_secret import simulator_webhook_secret
from bezant.commands.start import load_settings

WEBHOOK_URL = "http://127.0.0.1:8080/internal/webhooks/psp/simulator"


def simulator(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8090,
    state: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder for its state, which then survives a restart.")
    ] = None,
    webhook_url: Annotated[
        str, typer.Option(help="Where its webhooks go; '' keeps them until it runs with a URL.")
    ] = WEBHOOK_URL,
    webhook_secret: Annotated[
        str | None,
        typer.Option(
            envvar="BEZANT_PSP_SIMULATOR_WEBHOOK_SECRET",
            help="What they are signed with, several separated by commas. Default: one that is kept in BEZANT_HOME.",
            show_envvar=True,
        ),
    ] = None,
    visibility_lag: Annotated[
        float, typer.Option(min=0, help="Seconds until a look-up by reference shows a call.")
    ] = 0.0,
    async_delay: Annotated[float, typer.Option(min=0, help="Seconds until what is pending is decided.")] = 3.0,
) -> None:
    """Run the offline PSP until Ctrl-C or SIGTERM. A payment's method decides what it does, e.g. pm_card_declined."""
    settings = load_settings()
    text = webhook_secret if webhook_secret is not None else simulator_webhook_secret(settings.home)
    bezant_simulator.server.run(
        host,
        port,
        state,
        visibility_lag,
        async_delay,
        webhook_url=webhook_url or None,
        webhook_secrets=[secret for part in text.split(",") if (secret := part.strip())],
    )
