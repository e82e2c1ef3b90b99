"""Gives the bytes of a kept file to a reader on a thread, which pulls them while the event loop fetches them.

Readers are ordinary generators. They run on a thread, so that the loop goes on meanwhile: it fetches the next piece for
them, and writes the lines that they read before. What can be made of lines without the database is made there too.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from itertools import islice
from typing import Final, Generic, TypeVar

from bezant.base.db import DatabaseError
from bezant.base.file_faults import FileRefused

T = TypeVar("T")
P = TypeVar("P")

HEAD_BYTES: Final = 4096

Fetch = Callable[[int], Awaitable[bytes | None]]
"""A piece of the file, compressed, by its number from 0; None behind the last."""


class LeaseLost(Exception):
    """Another process has taken the file up meanwhile."""


class ReaderFault(Exception):
    """A reader raised what it should not: a defect of its own."""


class Feed:
    """The pieces of one file. To be made on the event loop, and iterated over on a thread."""

    def __init__(self, fetch: Fetch) -> None:
        self._loop = asyncio.get_running_loop()
        self._fetch = fetch
        self._waiting: Future[bytes | None] | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        number = 0
        while (packed := self._wait_for(number)) is not None:
            yield zlib.decompress(packed)
            number += 1

    def close(self) -> None:
        """Let no thread wait any longer."""
        self._is_closed = True
        if self._waiting is not None:
            self._waiting.cancel()

    def _wait_for(self, number: int) -> bytes | None:
        if self._is_closed:
            raise CancelledError
        self._waiting = asyncio.run_coroutine_threadsafe(self._fetched(number), self._loop)
        if self._is_closed:  # between the two lines above
            self._waiting.cancel()
        return self._waiting.result()

    async def _fetched(self, number: int) -> bytes | None:
        return await self._fetch(number)


class Batches(Generic[T, P]):
    """What a reader finds, in batches; the next one is read and prepared while the one before is written."""

    def __init__(
        self,
        reader: Callable[[Iterable[bytes]], Iterator[T]],
        feed: Feed,
        size: int,
        prepare: Callable[[Sequence[T]], P],
    ) -> None:
        self._found = reader(feed)
        self._feed = feed
        self._size = size
        self._prepare = prepare
        self._next: asyncio.Task[P | None] | None = None

    async def next(self) -> P | None:
        """The next batch; None behind the last. Raises FileRefused, and ReaderFault for what else a reader raises."""
        current = self._next or self._begin()
        batch = await current
        self._next = None if batch is None else self._begin()
        return batch

    def _begin(self) -> "asyncio.Task[P | None]":
        return asyncio.create_task(asyncio.to_thread(self._read))

    def _read(self) -> P | None:
        try:
            found = list(islice(self._found, self._size))
            return self._prepare(found) if found else None
        except (FileRefused, LeaseLost, DatabaseError, CancelledError):
            raise
        except Exception as fault:  # whatever it is, the file cannot be read by it
            raise ReaderFault(f"{type(fault).__name__}: {fault}") from fault

    async def close(self) -> None:
        """Let the reader go; waits until its thread has ended."""
        self._feed.close()
        if self._next is not None:
            await asyncio.wait([self._next])
            if not self._next.cancelled():
                self._next.exception()
