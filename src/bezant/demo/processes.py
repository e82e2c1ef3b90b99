"""Child processes of the demo: each with its log in a file, drained when asked, and gone when the demo is gone."""

import asyncio
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bezant.base.errors import OperatorError

_START_TIMEOUT_S: Final = 60.0
_DRAIN_TIMEOUT_S: Final = 40.0
_POLL_S: Final = 0.05
_LOG_TAIL_LINES: Final = 15
_PR_SET_PDEATHSIG: Final = 1


class Child:
    """A running process in a session of its own, so that Ctrl-C reaches the demo alone, which then drains in order."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=_end_with_parent(),
            )

    async def says(self, words: str | re.Pattern[str]) -> None:
        """Wait until its log holds `words`. Raises OperatorError where the process ends before, or takes too long."""
        give_up_at = time.monotonic() + _START_TIMEOUT_S
        while re.search(words, self._written()) is None:
            self.require_running()
            if time.monotonic() >= give_up_at:
                raise OperatorError(f"The {self.name} did not start within {_START_TIMEOUT_S:g} s. {self._tail()}")
            await asyncio.sleep(_POLL_S)

    async def stop(self) -> None:
        """SIGTERM, which drains; SIGKILL if that takes too long."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, _DRAIN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def require_running(self) -> None:
        """Raises OperatorError with the end of its log if the process has ended."""
        if self._process.poll() is not None:
            raise OperatorError(f"The {self.name} ended by itself (status {self._process.returncode}). {self._tail()}")

    def _written(self) -> str:
        return self._log.read_text(errors="replace")

    def _tail(self) -> str:
        lines = self._written().splitlines()[-_LOG_TAIL_LINES:]
        return "\n".join([f"The end of {self._log}:", *lines])


def bezant_command(*arguments: str) -> list[str]:
    """The command line of `bezant <arguments>` of this installation."""
    return [sys.executable, "-m", "bezant", *arguments]


def port_to_use(host: str, wished: int) -> int:
    """`wished` if nobody listens there, else a free port."""
    for port in (wished, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if port == 0:
                    raise OperatorError(f"Nothing can listen on {host}: {error.strerror}.") from error
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("port 0 either binds or raises")


def _end_with_parent() -> Callable[[], None] | None:
    """What the child does before its program starts: on Linux, ask for SIGTERM when the demo dies, however it dies."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask
