"""The API process of the payments benchmark: the real application with a PSP that answers in process."""

from litestar import Litestar

from bezant.app import create_app
from bezant.base.config import Settings
from bezant.base.log import configure
from bezant.bench.transport import approve


def create_bench_app() -> Litestar:
    """The API, its PSP calls going through `psp/call.py` to an in-process transport."""
    settings = Settings.from_env()
    configure(settings.log)
    return create_app(settings, transport=approve)
