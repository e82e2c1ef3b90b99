"""`bezant migrate` and `bezant database url|stop`."""

import asyncio

import typer

from bezant.base import migrate as schema
from bezant.base.errors import OperatorError
from bezant.base.postgres import Embedded, database_url
from bezant.commands.start import load_settings

group = typer.Typer(help="The database in use: its URL, and an end to the embedded one.", no_args_is_help=True)


def migrate() -> None:
    """Bring the database to the current schema. Safe to repeat, and from several machines at once."""
    settings = load_settings()
    applied = asyncio.run(schema.migrate(database_url(settings)))
    if not applied:
        typer.echo("The schema is current.")
    for name in applied:
        typer.echo(f"applied {name}")


@group.command("url")
def url() -> None:
    """Print the URL of the database in use, starting the embedded one if need be."""
    typer.echo(database_url(load_settings()))


@group.command("stop")
def stop() -> None:
    """Stop the embedded database. Whatever still uses it loses its connections."""
    settings = load_settings()
    if settings.database_url is not None:
        raise OperatorError("BEZANT_DATABASE_URL is set: that database is not Bezant's to stop.")
    typer.echo("stopped" if Embedded(settings.home).stop() else "was not running")
