"""What a file is by how it begins, so that whoever sent the wrong one is told which it was. Pure."""

from typing import Final

START_BYTES: Final = 512
"""So much of a file says what it is."""

MAGIC_BYTES_MAX: Final = 8
"""So much of it says most."""

_PACKED: Final = {
    b"PK\x03\x04": "a ZIP archive (or a document in one)",
    b"PK\x05\x06": "an empty ZIP archive",
    b"PK\x07\x08": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!\x1a": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\x04\x22\x4d\x18": "an lz4 archive",
    b"MSCF\x00\x00\x00\x00": "a CAB archive",
}
_OTHER: Final = {
    b"%PDF-": "a PDF document",
    b"{\\rtf": "an RTF document",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an Office document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\x7fELF": "a program",
    b"MZ\x90\x00": "a program",
    b"SQLite f": "a database",
}
_TAR_AT, _TAR = 257, b"ustar"
_TEXTS: Final = (
    (b"-----begin pgp", "a message encrypted or signed with PGP"),
    (b"-----begin pkcs7", "a message encrypted or signed with S/MIME"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML document"),
    (b"<", "an XML document"),
    (b"{", "JSON"),
    (b"[", "JSON"),
)
_MARKS: Final = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")


def packed_kind(start: bytes) -> str | None:
    """What kind of archive begins so."""
    if start[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        return "a tar archive"
    return _first(_PACKED, start)


def binary_kind(start: bytes) -> str | None:
    """What begins so that is no text: an archive, a document, a picture, a program."""
    return packed_kind(start) or _first(_OTHER, start)


def looks_like(start: bytes) -> str | None:
    """What begins so, as far as that can be said of it; None for a text like any other."""
    known = binary_kind(start)
    if known is not None:
        return known
    for mark in _MARKS:
        start = start.removeprefix(mark)
    text = start[:START_BYTES].replace(b"\0", b"").lstrip().lower()
    for begins, what in _TEXTS:
        if text.startswith(begins):
            return what
    return None if _is_text(start[:START_BYTES]) else "binary data"


def _first(kinds: dict[bytes, str], start: bytes) -> str | None:
    return next((what for magic, what in kinds.items() if start.startswith(magic)), None)


def _is_text(start: bytes) -> bool:
    """Whether this may be text of one byte or two for a character: few signs of control, and no NUL but in UTF-16."""
    is_wide = start[1::2].count(0) * 4 > len(start) or start[::2].count(0) * 4 > len(start)
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x01\x03\x1a\x1b" for byte in start.replace(b"\0", b""))
    return (is_wide or 0 not in start) and controls * 20 <= len(start)
