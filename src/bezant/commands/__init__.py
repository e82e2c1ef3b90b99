"""The commands, one file per group. They read settings, call what does the work, and print.

Results go to stdout, everything else to stderr, so that `$(bezant database url)` works.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, Final

import typer

from bezant import __version__

_COMMANDS: Final = {
    "demo": "demo:demo",
    "serve": "serve:serve",
    "worker": "worker:worker",
    "simulator": "simulator:simulator",
    "migrate": "database:migrate",
    "verify": "verify:verify",
    "bench": "bench:group",
    "database": "database:group",
    "merchant": "merchants:merchants",
    "key": "merchants:keys",
    "attempts": "attempts:attempts",
    "account": "accounts:accounts",
    "events": "events:events",
    "secrets": "secrets:secrets",
    "listen": "listen:listen",
    "inbox": "inbox:inbox",
    "disputes": "disputes:disputes",
    "reconciliation": "reconciliation_breaks:reconciliation",
}


def command_line(arguments: Sequence[str] = ()) -> typer.Typer:
    """The command line; where the arguments begin with a command, with that one alone.

    Most of what a command takes to start is importing what the others need.
    """
    cli = typer.Typer(
        help="Bezant: a self-hosted payment system on PostgreSQL.",
        epilog="Configured by environment variables BEZANT_*, e.g. BEZANT_HOME and BEZANT_DATABASE_URL.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # its tracebacks show local variables, hence secrets
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    cli.callback()(_options)
    for name in [name for name in arguments[:1] if name in _COMMANDS] or _COMMANDS:
        module, _, member = _COMMANDS[name].partition(":")
        command: Any = getattr(import_module(f"{__name__}.{module}"), member)
        if isinstance(command, typer.Typer):
            cli.add_typer(command, name=name)
        else:
            cli.command(name)(command)
    return cli


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bezant {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
