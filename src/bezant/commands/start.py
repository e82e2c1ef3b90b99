"""What every command begins with: settings, logs, and a database at the right schema."""

import asyncio
import os
import pwd
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from bezant.base import log
from bezant.base.config import Settings
from bezant.base.db import Database, DatabaseError
from bezant.base.errors import ApiError, OperatorError
from bezant.base.migrate import require_current
from bezant.base.postgres import database_url

T = TypeVar("T")


def load_settings() -> Settings:
    """The settings of the environment, with logging set up accordingly."""
    settings = Settings.from_env()
    log.configure(settings.log)
    return settings


def current_database(settings: Settings) -> str:
    """The URL of the database in use, started if it is the embedded one. Refuses an older or a newer schema."""
    url = database_url(settings)
    asyncio.run(require_current(url))
    return url


def actor() -> str:
    """Who is at the keyboard, by the system's account and not by what the environment claims."""
    uid = os.getuid()
    try:
        return f"os:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"os:{uid}"


def command_database(settings: Settings) -> Database:
    """The database in use as one command needs it, not open yet. Refuses an older or a newer schema."""
    return Database(current_database(settings), connections_max=1, application="bezant command")


def run_on(database: Database, work: Callable[[], Awaitable[T]]) -> T:
    """Run a command's work while its database is open."""

    async def opened() -> T:
        await database.open()
        try:
            return await work()
        finally:
            await database.close()

    return run(opened())


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; what is refused is one clear line for the operator, without a traceback."""
    try:
        return asyncio.run(work)
    except ApiError as refusal:
        raise OperatorError(refusal.detail) from refusal
    except DatabaseError as error:
        raise OperatorError(f"The database refused: {error}") from error
