"""One PostgreSQL server on one folder: initialize, configure, start, ask, stop. The caller holds the lock.

It listens on the loopback address only, without a Unix socket, and asks everybody for the password. Its log holds no
values of statements, since these are customers' data.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bezant.base.errors import OperatorError
from bezant.base.postgres_place import binaries, server_user

ROLE: Final = "bezant"
DATABASE: Final = "bezant"

_MIB: Final = 1 << 20
_START_WAIT_S: Final = 30
_STOP_WAIT_S: Final = 120
_LOG_TAIL_LINES: Final = 15
_PASSING_FAILURES: Final = ("Address already in use", "pre-existing shared memory block", "could not create any TCP/IP")
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class ServerDidNotStart(Exception):
    """`is_passing`: another try may work, e.g. while the processes of a killed server are still ending."""

    def __init__(self, is_passing: bool) -> None:
        super().__init__("the server did not start")
        self.is_passing = is_passing


class Server:
    """The server whose files lie in `place`: `data/` and `log/`."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._data = place / "data"
        self._log = place / "log"
        self._start_log = self._log / "start.log"
        self._user = server_user(self._data)

    def initialize(self, password: str) -> None:
        """Make the data folder with the one role and the database, all or nothing."""
        if self._data.exists():
            return
        for folder in (self._place, self._log):
            folder.mkdir(mode=0o700, exist_ok=True)
            self._user.take(folder)
        draft, password_file = self._place / "data.new", self._place / "password"
        shutil.rmtree(draft, ignore_errors=True)
        password_file.touch(mode=0o600)
        self._user.take(password_file)
        password_file.write_text(password)
        try:
            self._run(
                "initdb",
                *("--pgdata", str(draft), "--username", ROLE, "--pwfile", str(password_file)),
                *(
                    "--auth",
                    "scram-sha-256",
                    "--encoding",
                    "UTF8",
                    "--locale-provider",
                    "builtin",
                    "--locale",
                    "C.UTF-8",
                ),
                "--no-instructions",
            )
            single_user = ("--single", "-D", str(draft), "-c", "exit_on_error=on", "postgres")
            self._run("postgres", *single_user, stdin=f"CREATE DATABASE {DATABASE};\n")
        finally:
            password_file.unlink()
        draft.rename(self._data)

    def configure(self, port: int, extra: Mapping[str, str]) -> None:
        """Write `postgresql.conf`; the operator's own settings go into `local.conf` beside it, which comes last."""
        values = {**_settings(port, self._log), **extra}
        lines = [f"{name} = '{value}'" for name, value in values.items()]
        text = "\n".join(["# Written at each start. Put your own settings into local.conf.", *lines])
        path = self._data / "postgresql.conf"
        draft = path.with_suffix(".new")
        last = "include 'local.conf'\n" if (self._data / "local.conf").exists() else ""
        draft.write_text(f"{text}\n{last}")
        draft.chmod(0o600)
        self._user.take(draft)
        draft.replace(path)

    def start(self) -> None:
        """Start and wait a while. The server stays when this process ends; it may still be replaying its log."""
        self._start_log.unlink(missing_ok=True)
        self._forget_dead_server()
        arguments = ("start", "-D", str(self._data), "-l", str(self._start_log), "-w", "-t", str(_START_WAIT_S))
        finished = self._call("pg_ctl", *arguments)
        if finished.returncode != 0 and not self.is_alive():
            raise ServerDidNotStart(any(phrase in self.log_tail() for phrase in _PASSING_FAILURES))

    def stop(self) -> bool:
        """End all connections and stop; False if it was not running."""
        if not self.is_alive():
            return False
        finished = self._call("pg_ctl", "stop", "-D", str(self._data), "-m", "fast", "-w", "-t", str(_STOP_WAIT_S))
        if finished.returncode != 0 and self.is_alive():
            raise OperatorError(f"The embedded database did not stop:\n{finished.stdout.strip()}\n{self.log_tail()}")
        return True

    def answers(self, port: int, password: str) -> bool:
        """Whether the server that answers on `port` is ours: it takes our password and has our folder."""
        if not self.is_alive():
            return False
        options = ("--no-psqlrc", "--no-password", "--tuples-only", "--no-align", "--command", "SHOW data_directory")
        address = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": ROLE, "PGDATABASE": DATABASE}
        secret = {"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "5"}
        finished = self._call("psql", *options, environment={**address, **secret})
        return finished.returncode == 0 and finished.stdout.strip() == str(self._data)

    def is_alive(self) -> bool:
        """Whether the process that the data folder names runs and is a PostgreSQL server."""
        pid = self._recorded_pid()
        return pid is not None and _is_postgres(pid, self._data)

    def log_tail(self) -> str:
        """The last lines that the server wrote, for an error message."""
        logs = sorted(self._log.glob("*.log"), key=lambda path: path.stat().st_mtime)[-2:]
        lines = [line for path in logs for line in path.read_text(errors="replace").splitlines()]
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def _forget_dead_server(self) -> None:
        """After SIGKILL or a power cut the pid may belong to anybody, and PostgreSQL would take that for a server."""
        pid = self._recorded_pid()
        if pid is not None and not _is_postgres(pid, self._data):
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _recorded_pid(self) -> int | None:
        try:
            return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        finished = self._call(program, *arguments, stdin=stdin)
        if finished.returncode != 0:
            raise OperatorError(f"The embedded database could not be made ({program}):\n{finished.stdout.strip()}")

    def _call(
        self, program: str, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as the server's user. Its output goes through a file: a server would keep a pipe open."""
        with tempfile.TemporaryFile("w+") as output:
            finished = subprocess.run(
                [str(binaries(self._user) / program), *arguments],
                input=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=self._place,
                env={**_ENVIRONMENT, **(environment or {})},
                check=False,
                **self._user.process_owner(),
            )
            output.seek(0)
            return subprocess.CompletedProcess(program, finished.returncode, output.read(), "")


def _is_postgres(pid: int, data: Path) -> bool:
    """Whether the process `pid` is the server of `data`; a pid is given anew after its process has ended."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        if Path("/proc/self").exists():
            return False
        asked = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
        command = asked.stdout
    return "postgres" in command and str(data) in command


def _settings(port: int, log: Path) -> dict[str, str]:
    """`postgresql.conf`. Durable commits; memory by the machine; a log of seven days without values."""
    memory_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB
    return {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        "password_encryption": "scram-sha-256",
        "shared_buffers": f"{min(max(memory_mib // 8, 128), 512)}MB",
        "effective_cache_size": f"{max(memory_mib // 2, 256)}MB",
        "fsync": "on",
        "synchronous_commit": "on",
        "wal_compression": "off",
        "max_wal_size": "4GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "random_page_cost": "1.1",
        "autovacuum_naptime": "15s",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "on",
        "log_directory": str(log),
        "log_filename": "postgresql-%a.log",
        "log_file_mode": "0600",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_line_prefix": "%m [%p] %a ",
        "log_checkpoints": "off",
        "log_error_verbosity": "terse",  # DETAIL quotes the failing row
        "log_min_error_statement": "panic",  # so that no statement is quoted
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
    }
