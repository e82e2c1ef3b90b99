"""One PostgreSQL server and one of each broker for the whole run, however many workers; one database for each test,
copied from a template.

The process that collects the tests names the server's folder in the environment, which its workers inherit. The worker
that first needs the server starts it; the collecting process stops it at the end, also those of runs that were killed.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bezant.base.config import Settings
from bezant.base.migrate import migrate
from bezant.base.postgres import Embedded
from tests.support.brokers.endpoints import Services
from tests.support.brokers.jars import REPOSITORY_VARIABLE
from tests.support.brokers.services import KAFKA_VARIABLE, RABBITMQ_VARIABLE, services_in_use, stop_services
from tests.support.databases import copied_database, database_named, run, run_sql

MASTER_KEY = "test-master-key-" + "0" * 32
TEMPLATE = "template_bezant"

_HOME_VARIABLE = "BEZANT_TEST_HOME"
_HOME_PREFIX = "bezant-tests-"
_KEPT_VARIABLES = {"BEZANT_TEST_DATA", KAFKA_VARIABLE, RABBITMQ_VARIABLE, REPOSITORY_VARIABLE}
_SERVER_SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB", "autovacuum_naptime": "1min"}


def pytest_configure(config: pytest.Config) -> None:
    """In the collecting process: a folder for the run's server."""
    if hasattr(config, "workerinput"):
        return
    for variable in [name for name in os.environ if name.startswith("BEZANT_") and name not in _KEPT_VARIABLES]:
        del os.environ[variable]
    for home in Path(tempfile.gettempdir()).glob(f"{_HOME_PREFIX}*"):
        if not _runs(int(home.name.removeprefix(_HOME_PREFIX).split("-")[0])):
            _remove_server(home)
    # Hundreds of processes are started: each would compile everything anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    home = Path(tempfile.mkdtemp(prefix=f"{_HOME_PREFIX}{os.getpid()}-"))
    home.chmod(0o711)  # as root: the server's user has to pass through
    os.environ[_HOME_VARIABLE] = str(home)


def pytest_unconfigure(config: pytest.Config) -> None:
    """In the collecting process, after all workers have ended."""
    if not hasattr(config, "workerinput") and (home := os.environ.pop(_HOME_VARIABLE, None)):
        _remove_server(Path(home))


@pytest.fixture(scope="session")
def server_url() -> str:
    """The run's PostgreSQL server: the URL of its default database. It holds an up-to-date template."""
    home = Path(os.environ[_HOME_VARIABLE])
    url = Embedded(home, _SERVER_SETTINGS).ensure_running()
    template_is_made = home / "template-is-made"
    with (home / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template_is_made.exists():
            run_sql(url, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}")
            run(migrate(database_named(url, TEMPLATE)))
            template_is_made.touch()
    return url


@pytest.fixture
def database_url(server_url: str) -> Iterator[str]:
    """A database of this test's own, with the current schema."""
    with copied_database(server_url, TEMPLATE) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(server_url: str) -> Iterator[str]:
    """A database that the tests of one module share, with the current schema."""
    with copied_database(server_url, TEMPLATE) as url:
        yield url


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """A database of this test's own without any table."""
    with copied_database(server_url, "template1") as url:
        yield url


@pytest.fixture(scope="session")
def brokers() -> Services:
    """Kafka and RabbitMQ, shared by all tests: each uses a topic and an exchange of its own."""
    return services_in_use(Path(os.environ[_HOME_VARIABLE]) / "brokers")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings for this test's own database."""
    return Settings(home=tmp_path / "home", database_url=database_url, master_key=MASTER_KEY, log="json")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove_server(home: Path) -> None:
    if not os.access(home, os.W_OK):
        return  # another user's
    Embedded(home).stop()
    stop_services(home / "brokers")
    shutil.rmtree(home, ignore_errors=True)
