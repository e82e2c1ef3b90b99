"""What every command begins with: settings, logs, and a database at the right schema."""

import asyncio

from bezant.base import log
from bezant.base.config import Settings
from bezant.base.migrate import require_current
from bezant.base.postgres import database_url


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
