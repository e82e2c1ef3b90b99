"""Standard output: one event a line, for development and for log shippers.

A reader that stalls must not stall the process: lines are written on a thread, only as much at a time as the pipe has
room for.
"""

import asyncio
import os
import select
import sys
import threading
from collections.abc import Sequence
from typing import Final

from bezant.sinks.contract import Envelope, SinkUnavailable

_PIECE: Final = 4096  # what a pipe with room takes without blocking (PIPE_BUF)
_LOOK_MS: Final = 200


class StdoutSink:
    """Writes to a file descriptor; what the system has taken is acknowledged."""

    name = "stdout"

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = sys.stdout.fileno() if descriptor is None else descriptor
        self._turn = asyncio.Lock()
        self._last: _Writing | None = None

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Write a line for each event. A line that was cut short by a failure is ended before the next."""
        lines = b"".join(envelope.body + b"\n" for envelope in envelopes)
        async with self._turn:
            is_within_line = False
            if self._last is not None:
                await asyncio.shield(self._last.ended)
                is_within_line = self._last.is_within_line
            writing = self._last = _Writing(self._descriptor, b"\n" + lines if is_within_line else lines)
            try:
                error = await asyncio.shield(writing.ended)
            finally:
                writing.stop()
        if error is not None:
            raise SinkUnavailable(f"standard output: {error.strerror}") from error

    async def close(self) -> None:
        """Nothing is kept open."""


class _Writing:
    """Bytes on their way out, on a thread that ends soon after it was told to."""

    def __init__(self, descriptor: int, lines: bytes) -> None:
        self._descriptor = descriptor
        self._lines = lines
        self._written = 0
        self._stopping = threading.Event()
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[OSError | None] = self._loop.create_future()
        threading.Thread(target=self._write, name="stdout", daemon=True).start()

    @property
    def is_within_line(self) -> bool:
        """Once it has ended: whether a line was begun that is not ended."""
        return bool(self._written) and self._lines[self._written - 1 : self._written] != b"\n"

    def stop(self) -> None:
        """Write nothing more."""
        self._stopping.set()

    def _write(self) -> None:
        error: OSError | None = None
        try:
            while self._written < len(self._lines) and not self._stopping.is_set():
                if _has_room(self._descriptor) and not self._stopping.is_set():
                    self._written += os.write(self._descriptor, self._piece())
        except OSError as caught:
            error = caught
        try:
            self._loop.call_soon_threadsafe(self.ended.set_result, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _piece(self) -> bytes:
        """As many whole lines as fit, so that processes that share the pipe do not cut each other's; else a part."""
        rest = self._lines[self._written : self._written + _PIECE]
        end = rest.rfind(b"\n") + 1
        return rest[:end] if end else rest


def _has_room(descriptor: int) -> bool:
    watch = select.poll()
    watch.register(descriptor, select.POLLOUT)
    return bool(watch.poll(_LOOK_MS))
