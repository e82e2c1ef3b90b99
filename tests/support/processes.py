"""Child processes of tests: `bezant ...` on a free port, with its output captured."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from types import TracebackType

from tests.support.waiting import wait_until

_STOP_TIMEOUT_S = 30
_reserved: list[socket.socket] = []


class Process:
    """A running child. As a context manager it is ended with SIGTERM, then SIGKILL, if it still runs."""

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self._output = tempfile.TemporaryFile("w+b")
        self._arguments = arguments
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BEZANT_")}
        self.popen = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={**inherited, **(env or {})},
            start_new_session=True,
        )

    def output(self) -> str:
        """Everything it has written so far to stdout and stderr."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def terminate(self, timeout_s: float = _STOP_TIMEOUT_S) -> int:
        """Ask it to drain (SIGTERM) and wait; its exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL to it and to every process it has started, as a power cut would."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait(_STOP_TIMEOUT_S)

    def wait(self, timeout_s: float = _STOP_TIMEOUT_S) -> int:
        """Wait for its end; its exit status."""
        return self.popen.wait(timeout_s)

    def wait_for_http(self, url: str, timeout_s: float = 30.0) -> None:
        """Wait until `url` answers below 500. Fails with the output if the process ends before."""

        def answers() -> bool:
            assert self.popen.poll() is None, f"{self._arguments} ended with {self.popen.returncode}:\n{self.output()}"
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return True
            except urllib.error.HTTPError as error:
                with error:
                    return error.code < 500
            except OSError:
                return False

        try:
            wait_until(answers, timeout_s, url)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()}") from None

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.popen.poll() is None:
                self.terminate(10)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()
            self._output.close()


def bezant(*arguments: str, env: Mapping[str, str] | None = None) -> Process:
    """`bezant <arguments>` of this checkout. `env` is added to an environment without any BEZANT_ variable."""
    return Process(sys.executable, "-m", "bezant", *arguments, env=env)


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on, and that nobody else is given while the tests run.

    It stays bound and unheard: a server that asks for this very port gets it, as servers bind with SO_REUSEADDR, but
    the kernel gives it to no other probe and to no outgoing connection.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    _reserved.append(reserved)
    return int(reserved.getsockname()[1])
