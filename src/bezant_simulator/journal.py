"""The state on disk: an append-only file of JSON lines, forced to disk before anything that depends on it is answered.

Answers that wait for the disk share one `fsync`, which runs in a thread. At the start the file is replayed and written
anew without what is superseded. A last line cut short by a crash was never answered and is dropped. A file that cannot
be written ends the process: a PSP that forgets must not answer.
"""

import asyncio
import fcntl
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from bezant_simulator.events import Event
from bezant_simulator.keys import StoredAnswer
from bezant_simulator.model import Charge
from bezant_simulator.settlement.model import Batch, Plan


class Record(msgspec.Struct, omit_defaults=True):
    """What changed at one moment: a charge as it is now, the answer of a key, a key struck by a fault, events to be
    told and the id of one that was told (or given up), a batch that was settled, what is to be planted in the next, or
    everything gone.
    """

    charge: Charge | None = None
    answer: StoredAnswer | None = None
    struck: str | None = None
    events: list[Event] = []
    told: str | None = None
    batch: Batch | None = None
    plan: Plan | None = None
    reset: bool = False


class StateLocked(Exception):
    """Another simulator works on this state."""


class Journal(Protocol):
    """Where changes go."""

    def append(self, record: Record) -> None:
        """Notes a change."""
        ...

    def when_durable(self, act: Callable[[], None]) -> None:
        """Calls `act` once everything noted so far will survive."""
        ...

    async def close(self) -> None:
        """Waits for the disk."""
        ...


class MemoryJournal:
    """No state on disk: nothing survives, everything goes at once."""

    def append(self, record: Record) -> None:
        """Nothing to do."""

    def when_durable(self, act: Callable[[], None]) -> None:
        """At once."""
        act()

    async def close(self) -> None:
        """Nothing to wait for."""


class FileJournal:
    """The journal in a folder, one process at a time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "journal.jsonl"
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateLocked(f"another simulator is using {folder}") from error
        self._encode = msgspec.json.Encoder().encode
        self._lines: list[bytes] = []
        self._waiting: list[Callable[[], None]] = []
        self._writing: asyncio.Future[None] | None = None
        self._fd = -1

    def load(self) -> list[Record]:
        """What was noted, in order."""
        if not self._path.exists():
            return []
        lines = self._path.read_bytes().split(b"\n")
        decode = msgspec.json.Decoder(Record).decode
        return [decode(line) for line in lines[:-1] if line]

    def start(self, records: Iterable[Record]) -> None:
        """Begins a new file that holds `records`."""
        fresh = self._path.with_suffix(".new")
        self._fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._write([self._encode(record) for record in records])
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def append(self, record: Record) -> None:
        """Notes a change, as it stands at this moment."""
        self._lines.append(self._encode(record))

    def when_durable(self, act: Callable[[], None]) -> None:
        """Calls `act` when the disk has all that was noted so far: at once if it has."""
        if not self._lines and self._writing is None:
            act()
            return
        self._waiting.append(act)
        if self._writing is None:
            self._flush()

    async def close(self) -> None:
        """Waits until the disk has everything."""
        on_disk = asyncio.Event()
        self.when_durable(on_disk.set)
        await on_disk.wait()
        os.close(self._fd)

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        waiting, self._waiting = self._waiting, []
        self._writing = asyncio.get_running_loop().run_in_executor(None, self._write, lines)
        self._writing.add_done_callback(lambda written: self._written(written, waiting))

    def _written(self, written: asyncio.Future[None], waiting: list[Callable[[], None]]) -> None:
        error = written.exception()
        if error is not None:
            print(f"bezant simulator: cannot write {self._path}: {error}", file=sys.stderr)
            os._exit(1)
        self._writing = None
        for act in waiting:
            act()
        if self._writing is not None:
            return
        if self._lines:
            self._flush()
            return
        waiting, self._waiting = self._waiting, []
        for act in waiting:
            act()

    def _write(self, lines: list[bytes]) -> None:
        data = b"".join(line + b"\n" for line in lines)
        while data:
            data = data[os.write(self._fd, data) :]
        os.fdatasync(self._fd)
