"""Processes that outlive whoever started them, known by a file with their id."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.waiting import wait_until

_STOP_S = 15.0


class Daemon:
    """One process with its children. `folder` keeps its id and its log."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._pid_file = folder / f"{name}.pid"

    @property
    def pid(self) -> int | None:
        """Its id while it runs; an id that now belongs to another process does not count."""
        try:
            pid, born = self._pid_file.read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if _born(int(pid)) == born else None

    def start(self, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Start it in a session of its own."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                cwd=self.log.parent,
            )
        self._pid_file.write_text(f"{process.pid} {_born(process.pid)}")
        # It is nobody's to wait for: whoever kills it later may be another process.
        process.returncode = 0

    def kill(self) -> None:
        """SIGKILL to it and its children, as a power cut would."""
        self._signal(signal.SIGKILL)
        self._wait_for_end(_STOP_S)

    def pause(self) -> None:
        """SIGSTOP: it holds its connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        if self.pid is not None:
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM)
            try:
                self._wait_for_end(_STOP_S)
            except AssertionError:
                self.kill()
        self._pid_file.unlink(missing_ok=True)

    def tail(self) -> str:
        """The end of its log."""
        try:
            return self.log.read_text(errors="replace")[-4000:]
        except OSError:
            return ""

    def _signal(self, number: signal.Signals) -> None:
        if (pid := self.pid) is not None:
            try:
                os.killpg(pid, number)
            except ProcessLookupError:
                return

    def _wait_for_end(self, timeout_s: float) -> None:
        def has_ended() -> bool:
            try:
                pid = int(self._pid_file.read_text().split()[0])
                os.waitpid(pid, os.WNOHANG)  # where it is a child of this process
            except (OSError, ValueError, IndexError):
                pass
            return self.pid is None

        wait_until(has_ended, timeout_s, f"{self.name} to end")


def _born(pid: int) -> str:
    """When a process was started, in ticks since the boot; empty where there is none or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def stop_daemons(folder: Path) -> None:
    """Stop whatever was started with a file below this folder, the last started first."""
    files = sorted(folder.rglob("*.pid"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files:
        Daemon(path.parent, path.stem).stop()


def wait_until_answers(daemons: Sequence[Daemon], answers: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait for `answers()`; fails with the log of a daemon that has ended meanwhile."""

    def ready() -> bool:
        for daemon in daemons:
            assert daemon.pid is not None, f"{daemon.name} has ended:\n{daemon.tail()}"
        return answers()

    try:
        wait_until(ready, timeout_s, what)
    except AssertionError as error:
        logs = "\n".join(f"{daemon.name}:\n{daemon.tail()}" for daemon in daemons)
        raise AssertionError(f"{error}\n{logs}") from None
