"""Takes files out of a folder into which others put them, e.g. a PSP by SFTP.

    psp/<psp>/            reports of the platform's own account
    psp/<psp>/<account>/  reports of a merchant's account
    bank/                 bank statements

A file is taken once it has stopped growing. When it is loaded it is moved to `done/`, when it is refused to `refused/`
with a text beside it that says why. Links are not followed, and what has a hidden name or that of a part is left alone.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

import msgspec

from bezant.base.errors import ApiError, WaitAndRepeat
from bezant.base.log import logger
from bezant.reconciliation.files.receive import Receive
from bezant.reconciliation.files.records import Records
from bezant.reconciliation.files.senders import Senders
from bezant.reconciliation.files.states import FileState, Source

BY: Final = "folder"
_DONE, _REFUSED = "done", "refused"
_PIECE_BYTES: Final = 1 << 18
_PARTIAL: Final = (".part", ".partial", ".filepart", ".tmp", ".crdownload")

_log = logger(__name__)

Look = tuple[int, int, int]
"""Size, time of the last change and inode: while they change, somebody still writes."""


class Place(msgspec.Struct, frozen=True):
    """A file in the folder, and what its place says of it."""

    path: Path
    source: Source
    psp: str | None
    psp_account: str | None


class Watch:
    """Looks into the folder again and again. What was seen is remembered between two looks only."""

    def __init__(self, folder: Path, senders: Senders, receive: Receive, records: Records) -> None:
        self._folder = folder
        self._senders = senders
        self._receive = receive
        self._records = records
        self._seen: dict[Path, Look] = {}
        self._left: dict[Path, Look] = {}
        self._is_missed = False
        self._taken: dict[Path, tuple[Look, UUID]] = {}

    async def look(self) -> int:
        """Take what has stopped growing, and move what has come to an end; how many were taken or moved."""
        seen: dict[Path, Look] = {}
        done = 0
        is_missed = not await asyncio.to_thread(self._folder.is_dir)
        if is_missed and not self._is_missed:
            _log.warning("reports_folder_missing", folder=str(self._folder))
        self._is_missed = is_missed
        for place in await asyncio.to_thread(lambda: list(_places(self._folder))):
            look = _look(place.path)
            if look is None:
                continue
            seen[place.path] = look
            if self._seen.get(place.path) == look:
                done += await self._tried(place, look)
        self._seen = seen
        self._left = {path: left for path, left in self._left.items() if path in seen}
        self._taken = {path: taken for path, taken in self._taken.items() if path in seen}
        return done

    async def _tried(self, place: Place, look: Look) -> bool:
        """Handle a file. One that cannot be read, sent or moved is tried again, and stands in nobody's way."""
        try:
            return await self._handle(place, look)
        except (OSError, ApiError) as error:
            if self._left.get(place.path) != look:
                self._left[place.path] = look
                _log.warning("report_file_left_in_folder", path=str(place.path), reason=str(error))
            return False

    async def _handle(self, place: Place, look: Look) -> bool:
        """Take a file, or see what has become of it since; whether anything was done."""
        taken = self._taken.get(place.path)
        if taken is None or taken[0] != look:
            return await self._take(place, look)
        file = await self._records.kept(taken[1])
        if not file.is_final:
            return False
        if file.state == FileState.LOADED:
            await asyncio.to_thread(self._move, place.path, _DONE, None)
        else:
            where = "".join(
                [
                    f", line {file.refused_line}" if file.refused_line else "",
                    f", field {file.refused_field}" if file.refused_field else "",
                ]
            )
            await asyncio.to_thread(self._move, place.path, _REFUSED, f"{file.refusal}{where}")
        return True

    async def _take(self, place: Place, look: Look) -> bool:
        try:
            new = await self._senders.new_file(
                source=place.source, name=place.path.name, by=BY, psp=place.psp, psp_account=place.psp_account
            )
            file, _ = await self._receive(new, pieces_of(place.path))
        except WaitAndRepeat:
            raise
        except ApiError as refused:
            await asyncio.to_thread(self._move, place.path, _REFUSED, refused.detail)
        else:
            self._taken[place.path] = (look, file.id)
        return True

    def _move(self, path: Path, to: str, reason: str | None) -> None:
        """Move a file below `to`, and say why; what is there already keeps its name."""
        target = self._folder / to / path.relative_to(self._folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target):
            target = target.with_name(f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{target.name}")
        with suppress(FileNotFoundError):  # another process was quicker
            path.rename(target)
            if reason is not None:
                target.with_name(target.name + ".reason.txt").write_text(reason + "\n")


def _places(folder: Path) -> Iterator[Place]:
    for path in _files(folder / "bank"):
        yield Place(path, "bank", None, None)
    for psp in _folders(folder / "psp"):
        for path in _files(psp):
            yield Place(path, "psp", psp.name, None)
        for account in _folders(psp):
            for path in _files(account):
                yield Place(path, "psp", psp.name, account.name)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name; nothing where there is no such folder, or it is a link."""
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return []
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _folders(folder: Path) -> list[Path]:
    return [
        Path(entry.path)
        for entry in _entries(folder)
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
    ]


def _files(folder: Path) -> list[Path]:
    return [
        Path(entry.path)
        for entry in _entries(folder)
        if entry.is_file(follow_symlinks=False)
        and not entry.name.startswith(".")
        and not entry.name.lower().endswith(_PARTIAL)
    ]


def _look(path: Path) -> Look | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def _open(path: Path) -> BinaryIO:
    """A regular file, and not what somebody has put in its place meanwhile. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no regular file")
    return os.fdopen(descriptor, "rb", buffering=0)


async def pieces_of(path: Path) -> AsyncIterator[bytes]:
    """The bytes of a regular file. Raises OSError, also for a link."""
    file = await asyncio.to_thread(_open, path)
    with file:
        while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
            yield piece
