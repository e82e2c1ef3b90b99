"""A TCP proxy between Bezant and PostgreSQL, to cut the line when it hurts most."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from urllib.parse import urlsplit

_COMMIT = b"COMMIT\x00"
_CHUNK = 65_536

_Forward = Callable[[bytes], Awaitable[bool]]
"""Looks at what comes; False breaks the line instead of passing it on."""


class Loss(StrEnum):
    """What becomes of a COMMIT."""

    BEFORE = "before"
    """It never arrives; the line is cut."""
    AFTER = "after"
    """It is done, and the line is cut before the answer passes."""
    GONE = "gone"
    """It is done, and every line is cut before the answer passes: as `cut`, at that very moment."""
    HELD = "held"
    """It is done, and the answer waits until `release`."""


class Proxy:
    """Passes everything on until told otherwise."""

    def __init__(self, target_url: str) -> None:
        parts = urlsplit(target_url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._target_url = target_url
        self._server: asyncio.Server | None = None
        self._port = 0
        self._lines: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._commits_left = 0
        self._loss: Loss | None = None
        self.lost = asyncio.Event()
        """Set once a COMMIT was treated as `lose_commit` asked."""

    @property
    def url(self) -> str:
        """The target's URL, through the proxy."""
        parts = urlsplit(self._target_url)
        user = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{user}@127.0.0.1:{self._port}").geturl()

    async def open(self) -> None:
        """Listen, on the same port every time."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Break every line and refuse new ones, as a server that is gone does."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._break_lines()

    def stall(self) -> None:
        """Let nothing pass any more and say nothing, as a broken network does."""
        self._flows.clear()

    def release(self) -> None:
        """End `stall`, and hand out a COMMIT's answer that is held."""
        self._flows.set()

    def lose_commit(self, nth: int, loss: Loss) -> None:
        """Treat the n-th COMMIT from now on so."""
        self._commits_left, self._loss = nth, loss
        self.lost.clear()

    async def close(self) -> None:
        """End everything."""
        await self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _break_lines(self) -> None:
        for writer in self._lines:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        line = _Line(self)
        self._lines |= {writer, to_writer}
        there = asyncio.create_task(self._pump(reader, to_writer, line.forward_asked))
        back = asyncio.create_task(self._pump(to_reader, writer, line.forward_answered))
        self._tasks |= {there, back}
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, to_writer):
            end.transport.abort()
        self._lines -= {writer, to_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, forward: _Forward) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                await self._flows.wait()
                if not await forward(chunk):
                    return
                writer.write(chunk)
                await writer.drain()

    def take_commit(self) -> Loss | None:
        """What becomes of the COMMIT that passes now."""
        self._commits_left -= 1
        return self._loss if self._commits_left == 0 else None

    async def flowing(self) -> None:
        """Wait for `release`."""
        await self._flows.wait()


class _Line:
    """One connection; it notices the COMMIT that is to be lost."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._loss: Loss | None = None

    async def forward_asked(self, chunk: bytes) -> bool:
        if chunk.endswith(_COMMIT) and chunk.startswith(b"Q"):
            self._loss = self._proxy.take_commit()
            if self._loss is Loss.BEFORE:
                self._proxy.lost.set()
                return False
        return True

    async def forward_answered(self, chunk: bytes) -> bool:
        if self._loss is None:
            return True
        # The server answers a COMMIT only when it is done.
        loss, self._loss = self._loss, None
        if loss in (Loss.AFTER, Loss.GONE):
            if loss is Loss.GONE:
                await self._proxy.cut()
            self._proxy.lost.set()
            return False
        self._proxy.stall()
        self._proxy.lost.set()
        await self._proxy.flowing()
        return True


@asynccontextmanager
async def open_proxy(target_url: str) -> AsyncGenerator[Proxy]:
    """A proxy in front of `target_url`."""
    proxy = Proxy(target_url)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
