"""Databases of the test run's server: copied from a template, dropped afterwards."""

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

T = TypeVar("T")


@contextmanager
def copied_database(server_url: str, template: str) -> Generator[str]:
    """The URL of a new copy of `template`; whatever is connected when the block ends is cut off."""
    name = f"test_{uuid4().hex}"
    # On a server that does not wait for the disk, copying the files takes a sixth of writing them through the log.
    run_sql(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield database_named(server_url, name)
    finally:
        run_sql(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def database_named(url: str, name: str) -> str:
    """`url` with another database."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def run_sql(url: str, *statements: str) -> None:
    """Run statements one by one, each in autocommit mode."""
    run(_execute(url, statements))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own, so that a test's loop is left alone."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


async def _execute(url: str, statements: tuple[str, ...]) -> None:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
