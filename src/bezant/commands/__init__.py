"""The commands, one file per group. They read settings, call what does the work, and print.

Results go to stdout, everything else to stderr, so that `$(bezant database url)` works.
"""

from typing import Annotated

import typer

from bezant import __version__
from bezant.commands import (
    accounts,
    attempts,
    bench,
    database,
    demo,
    disputes,
    events,
    inbox,
    listen,
    merchants,
    reconciliation_breaks,
    secrets,
    serve,
    simulator,
    verify,
    worker,
)

cli = typer.Typer(
    help="Bezant: a self-hosted payment system on PostgreSQL.",
    epilog="Configured by environment variables BEZANT_*, e.g. BEZANT_HOME and BEZANT_DATABASE_URL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, hence secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli.command()(demo.demo)
cli.command()(serve.serve)
cli.command()(worker.worker)
cli.command()(simulator.simulator)
cli.command()(database.migrate)
cli.command()(verify.verify)
cli.add_typer(bench.group, name="bench")
cli.add_typer(database.group, name="database")
cli.add_typer(merchants.merchants, name="merchant")
cli.add_typer(merchants.keys, name="key")
cli.add_typer(attempts.attempts, name="attempts")
cli.add_typer(accounts.accounts, name="account")
cli.add_typer(events.events, name="events")
cli.add_typer(secrets.secrets, name="secrets")
cli.command()(listen.listen)
cli.add_typer(inbox.inbox, name="inbox")
cli.add_typer(disputes.disputes, name="disputes")
cli.add_typer(reconciliation_breaks.reconciliation, name="reconciliation")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bezant {__version__}")
        raise typer.Exit


@cli.callback()
def _options(  # pyright: ignore[reportUnusedFunction] - Typer calls it
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
