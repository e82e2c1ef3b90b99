"""What every command begins with: settings, logs, and a database at the right schema."""

import asyncio
import os
import pwd
from collections.abc import Coroutine
from typing import Any, TypeVar

from bezant.base import log
from bezant.base.config import Settings
from bezant.base.db import DatabaseError
from bezant.base.errors import OperatorError
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


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; what the database refuses is the operator's to read, without a traceback."""
    try:
        return asyncio.run(work)
    except DatabaseError as error:
        raise OperatorError(f"The database refused: {error}") from error
