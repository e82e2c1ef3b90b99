"""What a document is, by its content alone: a PDF, a PNG or a JPEG, whole, with nothing behind it and no program in it.

Nothing here opens a document: it is walked through as far as its frame goes. What it is called, and what the sender
says that it is, does not count.
"""

import re
import zlib
from collections.abc import Iterator
from typing import Final

PDF: Final = "application/pdf"
PNG: Final = "image/png"
JPEG: Final = "image/jpeg"
SUFFIXES: Final = {PDF: ".pdf", PNG: ".png", JPEG: ".jpg"}

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PDF_END: Final = re.compile(rb"%%EOF[\s\0]*\Z")
_ACTIVE: Final = re.compile(
    rb"/(JavaScript|JS|Launch|EmbeddedFiles?|RichMedia|XFA|SubmitForm|ImportData)(?![A-Za-z0-9])"
)
_STREAM_END: Final = b"endstream"
_INFLATED_MAX: Final = 8_000_000
_ESCAPED: Final = re.compile(rb"#([0-9A-Fa-f]{2})")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._ -]+")
_NAME_MAX: Final = 80
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers of a JPEG that have no length."""


class Refused(ValueError):
    """Not a document that may be brought. The text says why."""


def type_of(content: bytes) -> str:
    """The media type. Raises Refused for anything else than a whole PDF, PNG or JPEG without a program in it."""
    if content.startswith(b"%PDF-"):
        _check_pdf(content)
        return PDF
    if content.startswith(_PNG_SIGNATURE):
        _check_png(content)
        return PNG
    if content.startswith(b"\xff\xd8\xff"):
        _check_jpeg(content)
        return JPEG
    raise Refused("it is no PDF, PNG or JPEG, by its content")


def safe_name(name: str, content_type: str) -> str:
    """A name under which it can lie in any folder: plain characters, no path, the ending of its type."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = _UNSAFE.sub("_", last.rpartition(".")[0] or last).strip(". ")[:_NAME_MAX]
    return (plain or "document") + SUFFIXES[content_type]


def _check_pdf(content: bytes) -> None:
    if not _PDF_END.search(content, max(0, len(content) - 1024)):
        raise Refused("the PDF is cut off, or something stands behind its end")
    for part in _objects(content):
        names = _ESCAPED.sub(lambda found: bytes((int(found[1], 16),)), part)  # a name may be written /J#61vaScript
        if found := _ACTIVE.search(names):
            raise Refused(f"the PDF holds a program or another file ({found[0].decode()})")


def _objects(content: bytes) -> Iterator[bytes]:
    """What a PDF says of itself: everything outside its streams, and inside those that hold objects, inflated."""
    at, left = 0, _INFLATED_MAX
    while (begin := content.find(b"stream", at)) >= 0:
        head = content[at:begin]
        yield head
        end = content.find(_STREAM_END, begin)
        end = len(content) if end < 0 else end
        if b"/ObjStm" in head:
            try:
                inflated = zlib.decompressobj().decompress(content[begin + 6 : end].lstrip(b"\r\n"), max(left, 1))
            except zlib.error:
                raise Refused("the PDF is damaged, or its objects are encrypted") from None
            left -= len(inflated)
            if left <= 0:
                raise Refused("the PDF holds more objects than can be looked through")
            yield inflated
        at = end + len(_STREAM_END)
    yield content[at:]


def _check_png(content: bytes) -> None:
    at, is_first = len(_PNG_SIGNATURE), True
    while True:
        length, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(content) or is_first != (kind == b"IHDR"):
            raise Refused("the PNG is cut off or damaged")
        if zlib.crc32(content[at + 4 : end - 4]) != int.from_bytes(content[end - 4 : end]):
            raise Refused("the PNG is damaged")
        at, is_first = end, False
        if kind == b"IEND":
            break
    if at != len(content):
        raise Refused("something stands behind the end of the PNG")


def _check_jpeg(content: bytes) -> None:
    at, has_image = 2, False
    while True:
        marker = content[at + 1] if at + 1 < len(content) and content[at] == 0xFF else None
        if marker is None:
            raise Refused("the JPEG is cut off or damaged")
        if marker == 0xFF:  # any number of them may stand before a marker
            at += 1
        elif marker == 0xD9:
            break
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4]))
            if marker == 0xDA:
                has_image = True
                at = _behind_scan(content, at)
    if not has_image or at + 2 != len(content):
        raise Refused("the JPEG has no image, or something stands behind its end")


def _behind_scan(content: bytes, at: int) -> int:
    """Where the next marker is: within an image's data FF is followed by 00, or by the mark of a restart."""
    while (found := content.find(b"\xff", at)) >= 0:
        following = content[found + 1] if found + 1 < len(content) else 0
        if following and following not in _ALONE:
            return found
        at = found + 2
    return len(content)
