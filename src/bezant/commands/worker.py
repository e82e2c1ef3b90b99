"""`bezant worker`: the background jobs alone."""

import asyncio
import signal
from dataclasses import replace

import uvloop

from bezant.app import create_services
from bezant.base.config import Settings
from bezant.base.log import logger
from bezant.commands.start import current_database, load_settings

_log = logger(__name__)


def worker() -> None:
    """Run the background jobs until Ctrl-C or SIGTERM, which let running jobs finish."""
    settings = replace(load_settings(), jobs=True)
    current_database(settings)
    uvloop.run(_work(settings))


async def _work(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with create_services(settings).running():
        _log.info("worker running")
        await stopping.wait()
        _log.info("worker stopping")
