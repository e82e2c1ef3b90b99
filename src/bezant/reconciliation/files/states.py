"""What a file is on its way from an upload to lines that count. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

import msgspec

from bezant.base.errors import InvalidRequest, UnsupportedMediaType

Source = Literal["psp", "bank"]

NAME_LENGTH_MAX: Final = 200
BAD_LINES_MAX: Final = 10_000
"""So many lines at fault are no faults of lines: the file is something else than what it is read as."""

_PACKED: Final = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x1f\x8b", "packed with gzip"),
    (b"BZh91AY&SY", "packed with bzip2"),
    (b"\xfd7zXZ\x00", "packed with xz"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
)
_OTHER: Final = (
    (b"%PDF-", "a PDF"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
    (b"\x7fELF", "a program"),
    (b"\x89PNG", "a picture"),
)
MAGIC_LENGTH: Final = 16


class FileState(StrEnum):
    """Where a file stands. LOADED and REFUSED are final."""

    RECEIVING = "receiving"
    RECEIVED = "received"
    LOADING = "loading"
    LOADED = "loaded"
    REFUSED = "refused"


class NewFile(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever sends a file says of it. `by`: who that is."""

    source: Source
    psp: str | None
    psp_account_id: UUID | None
    format: str | None
    name: str
    by: str


class ReportFile(msgspec.Struct, frozen=True, array_like=True):
    """A row of `report_files`, with the name of the account at the PSP."""

    id: UUID
    source: Source
    psp: str | None
    psp_account_id: UUID | None
    psp_account: str | None
    format: str | None
    name: str
    sha256: bytes | None
    size_bytes: int
    state: str
    refusal: str | None
    refused_line: int | None
    refused_field: str | None
    lines: int
    repeated: int
    quarantined: int
    summary: str
    uploaded_by: str
    created_at: datetime
    loaded_at: datetime | None
    content_of: UUID | None
    """The file whose content this reads once more."""

    @property
    def content_id(self) -> UUID:
        """Where its bytes are kept."""
        return self.content_of or self.id

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in (FileState.LOADED, FileState.REFUSED)

    def is_of(self, new: NewFile) -> bool:
        """Whether it came from where `new` comes from."""
        return (self.source, self.psp, self.psp_account_id) == (new.source, new.psp, new.psp_account_id)


class Quarantined(msgspec.Struct, frozen=True):
    """A line that is not loaded. `content` without card data."""

    line: int
    reason: str
    field: str | None
    content: str


def refuse_what_is_no_text(head: bytes) -> None:
    """Raise `unsupported_media_type` if a file that begins so is packed, or none that a PSP or a bank writes."""
    for magic, what in _PACKED:
        if head.startswith(magic):
            raise UnsupportedMediaType(
                "unsupported_media_type",
                f"The file is {what}: unpack it, and send the files that are in it one by one.",
            )
    for magic, what in _OTHER:
        if head.startswith(magic):
            raise UnsupportedMediaType(
                "unsupported_media_type", f"The file is {what}, and no report or statement that can be read."
            )


def checked_name(name: str) -> str:
    """The last step of a file's path; raises InvalidRequest where that is no name."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2].strip()
    if not last or len(last) > NAME_LENGTH_MAX or not last.isprintable():
        raise InvalidRequest(
            "invalid_request", f"A file's name has 1 to {NAME_LENGTH_MAX} printable characters.", param="/name"
        )
    return last
