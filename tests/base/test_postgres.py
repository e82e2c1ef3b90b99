"""The embedded server: one, however many ask for it, and back after any crash."""

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from bezant.base.errors import OperatorError
from bezant.base.postgres import Embedded
from bezant.base.postgres_place import binaries
from tests.support.processes import Process
from tests.support.waiting import wait_until

START = """
import pathlib, sys
from bezant.base.postgres import Embedded
print(Embedded(pathlib.Path(sys.argv[1])).start_if_needed())
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that the server's user can reach, also as root."""
    with tempfile.TemporaryDirectory(prefix="bezant-postgres-") as folder:
        Path(folder).chmod(0o711)
        home = Path(folder) / "home"
        yield home
        Embedded(home).stop()


def postmaster_file(home: Path) -> Path:
    return home / "postgresql" / "data" / "postmaster.pid"


def postmaster(home: Path) -> int:
    return int(postmaster_file(home).read_text().split("\n")[0])


def runs(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_processes_that_ask_at_once_share_one_server_which_outlives_them(home: Path):
    command = (sys.executable, "-c", START, str(home))
    with Process(*command) as first, Process(*command) as second:
        assert (first.wait(60), second.wait(60)) == (0, 0), first.output() + second.output()
        answers = [first.output().strip(), second.output().strip()]
    url = Embedded(home).ensure_running()
    assert sorted(answers) == [f"('{url}', False)", f"('{url}', True)"]
    assert await ask(url, "SELECT current_setting('synchronous_commit') || current_setting('fsync')") == "onon"
    assert await ask(url, "SELECT current_setting('log_min_error_statement')") == "panic"


async def test_data_survives_a_killed_server_whose_pid_now_belongs_to_another(home: Path):
    url = Embedded(home).ensure_running()
    assert await ask(url, "CREATE TABLE kept AS SELECT 1 AS one") is None
    pid = postmaster(home)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not runs(pid), what="the end of the killed server")
    path = postmaster_file(home)
    path.write_text(path.read_text().replace(str(pid), str(os.getpid()), 1))
    url, started = Embedded(home).start_if_needed()
    assert started
    assert await ask(url, "SELECT one FROM kept") == 1


async def test_server_moves_to_another_port_when_its_own_was_taken(home: Path):
    port = urlsplit(Embedded(home).ensure_running()).port
    assert Embedded(home).stop()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        url = Embedded(home).ensure_running()
    assert urlsplit(url).port != port
    assert await ask(url, "SELECT 1") == 1


async def test_nobody_enters_without_the_password(home: Path):
    url = Embedded(home).ensure_running()
    parts = urlsplit(url)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host="127.0.0.1", port=parts.port, user="bezant", password="wrong", database="bezant")
    assert (home / "database.json").stat().st_mode & 0o777 == 0o600
    assert await ask(url, "SHOW unix_socket_directories") == ""


def test_stop_is_clean_and_may_be_repeated(home: Path):
    assert not Embedded(home).stop()
    Embedded(home).ensure_running()
    pid = postmaster(home)
    assert Embedded(home).stop()
    assert not runs(pid)
    assert not Embedded(home).stop()


def test_server_that_cannot_start_shows_the_end_of_its_log(home: Path):
    with pytest.raises(OperatorError, match=r"did not start:\n(.*\n)*.*no_such_setting"):
        Embedded(home, {"no_such_setting": "1"}).ensure_running()
    assert Embedded(home).ensure_running()


def test_home_that_cannot_be_made_is_an_operator_error(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OperatorError, match="Set BEZANT_HOME"):
        Embedded(tmp_path / "file" / "home").ensure_running()


def test_programs_of_the_wheel_are_there():
    assert {"pgbench", "pg_dump", "psql", "initdb"} <= {path.name for path in binaries().iterdir()}


def test_server_that_died_is_revived_and_one_that_was_stopped_is_not(home: Path):
    embedded = Embedded(home)
    url = embedded.ensure_running()
    assert not embedded.revive()
    os.kill(postmaster(home), signal.SIGKILL)
    wait_until(embedded.revive)
    assert embedded.ensure_running() == url
    embedded.stop()
    assert not embedded.revive()
