"""Takes a file as it comes, piece by piece, and keeps it as it is, compressed.

Nothing waits for the file's end but its row: pieces are committed as they come, under a lease. What is cut short is
forgotten, at once or when the lease is over. A file that is there already, by its hash, is not kept twice.
"""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterable, Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Database, DatabaseError, DataRefused
from bezant.base.errors import Conflict, ContentTooLarge, InvalidRequest, NotFound, Unavailable
from bezant.base.failpoints import reach
from bezant.base.file_kinds import START_BYTES
from bezant.base.log import logger
from bezant.reconciliation.files import store
from bezant.reconciliation.files.states import NewFile, ReportFile, refuse_what_is_no_text

PART_BYTES: Final = 1 << 20
_LEASE: Final = timedelta(minutes=5)
_LEVEL: Final = 1
"""Halves the time of the best and keeps a fifth more: reports are all alike."""

_STATEMENT_S: Final = 30.0
_ONCE: Final = "report_files_once"

_log = logger(__name__)


class Receive:
    """Keeps files. `arrived` is told when there is one to load."""

    def __init__(self, database: Database, *, size_max: int, arrived: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._size_max = size_max
        self._arrived = arrived

    async def __call__(self, new: NewFile, pieces: AsyncIterable[bytes]) -> tuple[ReportFile, bool]:
        """The file, and whether it is new: the same one again is the one that is there.

        Raises InvalidRequest for an empty one, UnsupportedMediaType for one that is packed, ContentTooLarge, Conflict
        for one that is there as another PSP's or account's, and what `pieces` raises.
        """
        file_id, owner = ids.new_id(), ids.new_id()
        try:
            async with self._database.statement(_STATEMENT_S) as connection:
                await store.begin(connection, file_id, new, owner, _LEASE)
            sha256, size_bytes = await self._keep(file_id, owner, pieces)
            kept_id = await self._settle(file_id, owner, sha256, size_bytes)
        except Exception:
            await self._forget(file_id, owner)
            raise
        async with self._database.connection() as connection:
            kept = await store.file(connection, kept_id)
        if kept is None:
            raise NotFound("There is no such file.")
        if kept_id != file_id and not kept.is_of(new):
            whose = " ".join(filter(None, ("of", kept.psp or "a bank", kept.psp_account)))
            raise Conflict(
                "invalid_state", f"This very file is there already, as {ids.show(ids.REPORT_FILE, kept.id)} {whose}."
            )
        self._arrived()
        return kept, kept_id == file_id

    async def _keep(self, file_id: UUID, owner: UUID, pieces: AsyncIterable[bytes]) -> tuple[bytes, int]:
        """Keep what comes; its hash and its size."""
        digest, gathered = hashlib.sha256(), bytearray()
        size_bytes = part = 0
        async for piece in pieces:
            size_bytes += len(piece)
            if size_bytes > self._size_max:
                raise ContentTooLarge("content_too_large", f"A file may have at most {self._size_max:,} bytes.")
            gathered += piece
            while len(gathered) >= PART_BYTES:
                await self._add(file_id, owner, part, bytes(gathered[:PART_BYTES]), digest.update)
                del gathered[:PART_BYTES]
                part += 1
        if gathered:
            await self._add(file_id, owner, part, bytes(gathered), digest.update)
        if not size_bytes:
            raise InvalidRequest("invalid_request", "The file is empty.")
        return digest.digest(), size_bytes

    async def _add(self, file_id: UUID, owner: UUID, part: int, body: bytes, look: Callable[[bytes], None]) -> None:
        if part == 0:
            refuse_what_is_no_text(body[:START_BYTES])

        def pack() -> bytes:
            look(body)
            return zlib.compress(body, _LEVEL)

        packed = await asyncio.to_thread(pack)
        size_bytes = part * PART_BYTES + len(body)
        async with self._database.statement(_STATEMENT_S) as connection:
            is_held = await store.add_part(connection, file_id, owner, part, packed, _LEASE, size_bytes)
        if not is_held:
            raise Unavailable("The file came too slowly and was given up: send it again.")
        reach("receive.after_part")

    async def _settle(self, file_id: UUID, owner: UUID, sha256: bytes, size_bytes: int) -> UUID:
        """The file that has come, or the same one that was there before."""
        try:
            async with self._database.transaction() as transaction:
                there = await store.same_file(transaction.connection, sha256)
                if there is None:
                    if not await store.received(transaction, file_id, owner, sha256, size_bytes):
                        raise Unavailable("The file came too slowly and was given up: send it again.")
                    reach("receive.before_commit")
        except DataRefused as refused:
            if refused.constraint != _ONCE:
                raise
            async with self._database.connection() as connection:
                there = await store.same_file(connection, sha256)
            if there is None:
                raise Unavailable("The same file was refused at this moment: send it again.") from refused
        reach("receive.after_commit")
        if there is None:
            return file_id
        await self._forget(file_id, owner)
        return there

    async def _forget(self, file_id: UUID, owner: UUID) -> None:
        """Forget what came; what cannot be forgotten now is when its lease is over."""
        try:
            async with self._database.transaction() as transaction:
                await store.discard(transaction, file_id, owner)
        except DatabaseError as error:
            _log.warning("report_file_not_forgotten", file=ids.show(ids.REPORT_FILE, file_id), reason=str(error))

    async def forget_abandoned(self) -> int:
        """Forget files that nobody sends any more; how many."""
        forgotten = 0
        while True:
            async with self._database.transaction() as transaction:
                if not await store.discard_abandoned(transaction):
                    return forgotten
            forgotten += 1
