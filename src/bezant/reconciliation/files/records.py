"""What people may see of files and of the lines that were put aside, and the bytes as they came."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from bezant.base import ids
from bezant.base.db import Database
from bezant.base.errors import NotFound
from bezant.reconciliation.files import store
from bezant.reconciliation.files.states import FileState, ReportFile, Source
from bezant.web import Page, PageQuery, decode_cursor, encode_cursor


class Refusal(msgspec.Struct, frozen=True):
    """Why a file was refused, and where in it, as far as that can be said."""

    reason: str
    line: int | None
    field: str | None


class ReportFileView(msgspec.Struct, frozen=True, kw_only=True):
    """A report of a PSP or a bank statement.

    `lines`: those that it brought. `repeated`: those that other files had brought before. `quarantined`: those that
    could not be read, or contradict others. `content_of`: the file whose content this is, read once more.
    """

    file_id: str
    source: Source
    psp: str | None
    psp_account: str | None
    format: str | None
    name: str
    sha256: str
    size_bytes: int
    state: FileState
    refusal: Refusal | None
    lines: int
    repeated: int
    quarantined: int
    summary: msgspec.Raw
    uploaded_by: str
    created_at: datetime
    loaded_at: datetime | None
    content_of: str | None


class QuarantinedLineView(msgspec.Struct, frozen=True, kw_only=True):
    """A line that is not loaded, and why. `content`: its beginning, without card data."""

    file_id: str
    file_name: str
    line: int
    reason: str
    field: str | None
    content: str


class FileFilter(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files are listed."""

    source: Source | None = None
    psp: Annotated[str, Meta(max_length=40)] | None = None
    state: FileState | None = None


class QuarantineFilter(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines are listed. Without `file`: those of all files that are loaded."""

    file: Annotated[str, Meta(max_length=40)] | None = None


class Records:
    """Reads files and quarantined lines."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def files(self, wanted: FileFilter) -> Page[ReportFileView]:
        """A page of files, newest first. Raises InvalidRequest for a cursor that is not of this list."""
        before = None if wanted.cursor is None else decode_cursor("report_files", wanted.cursor, UUID)
        async with self._database.connection() as connection:
            found = await store.files(connection, before, wanted.source, wanted.psp, wanted.state, wanted.limit + 1)
        has_more, shown = len(found) > wanted.limit, found[: wanted.limit]
        cursor = encode_cursor("report_files", str(shown[-1].id)) if has_more else None
        return Page([view(each) for each in shown], has_more, cursor)

    async def file(self, file_id: str) -> ReportFileView:
        """One file. Raises NotFound."""
        return view(await self.kept(parsed_id(file_id)))

    async def kept(self, file_id: UUID) -> ReportFile:
        """The row of a file that is here. Raises NotFound."""
        async with self._database.connection() as connection:
            found = await store.file(connection, file_id)
        if found is None or found.state == FileState.RECEIVING:
            raise _not_found()
        return found

    async def quarantined(self, wanted: QuarantineFilter) -> Page[QuarantinedLineView]:
        """A page of lines that were put aside. Raises InvalidRequest and NotFound."""
        file_id = None if wanted.file is None else parsed_id(wanted.file)
        after = None if wanted.cursor is None else decode_cursor("quarantined_lines", wanted.cursor, _place)
        async with self._database.connection() as connection:
            rows = await store.quarantined(connection, file_id, after, wanted.limit + 1)
        has_more, shown = len(rows) > wanted.limit, rows[: wanted.limit]
        cursor = encode_cursor("quarantined_lines", f"{shown[-1][0]} {shown[-1][2]}") if has_more else None
        lines = [
            QuarantinedLineView(
                file_id=ids.show(ids.REPORT_FILE, row[0]),
                file_name=row[1],
                line=row[2],
                reason=row[3],
                field=row[4],
                content=row[5],
            )
            for row in shown
        ]
        return Page(lines, has_more, cursor)

    async def content(self, file_id: UUID) -> AsyncIterator[bytes]:
        """The file as it came, piece by piece. Raises NotFound."""
        content_id = (await self.kept(file_id)).content_id
        number = 0
        while True:
            async with self._database.connection() as connection:
                packed = await store.part(connection, content_id, number)
            if packed is None:
                return
            yield await asyncio.to_thread(zlib.decompress, packed)
            number += 1


def view(file: ReportFile) -> ReportFileView:
    """A file as it may be shown."""
    refusal = None if file.refusal is None else Refusal(file.refusal, file.refused_line, file.refused_field)
    return ReportFileView(
        file_id=ids.show(ids.REPORT_FILE, file.id),
        source=file.source,
        psp=file.psp,
        psp_account=file.psp_account,
        format=file.format,
        name=file.name,
        sha256="" if file.sha256 is None else file.sha256.hex(),
        size_bytes=file.size_bytes,
        state=FileState(file.state),
        refusal=refusal,
        lines=file.lines,
        repeated=file.repeated,
        quarantined=file.quarantined,
        summary=msgspec.Raw(file.summary.encode()),
        uploaded_by=file.uploaded_by,
        created_at=file.created_at,
        loaded_at=file.loaded_at,
        content_of=None if file.content_of is None else ids.show(ids.REPORT_FILE, file.content_of),
    )


def parsed_id(file_id: str) -> UUID:
    """The id of a file as people write it. Raises NotFound."""
    found = ids.parse(ids.REPORT_FILE, file_id)
    if found is None:
        raise _not_found()
    return found


def _place(position: str) -> tuple[UUID, int]:
    file_id, _, line = position.partition(" ")
    return UUID(file_id), int(line)


def _not_found() -> NotFound:
    return NotFound("There is no such file.")
