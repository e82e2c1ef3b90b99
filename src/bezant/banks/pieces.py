"""A file as it comes, in pieces of any size: what is no text is refused by name, text is given line by line."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from bezant.base.file_faults import FileRefused
from bezant.base.file_kinds import MAGIC_BYTES_MAX, binary_kind

LINE_BYTES_MAX: Final = 64 * 1024

_UTF_8_MARK: Final = b"\xef\xbb\xbf"
_UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF_32_MARKS: Final = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")
_CONTROLS: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")


def refuse_what_is_no_text(start: bytes) -> None:
    """Raise `FileRefused` with the name of what `start` begins, if that is an archive, a document or a program."""
    if not start.strip():
        raise FileRefused("the file is empty")
    known = binary_kind(start)
    if known is not None:
        raise FileRefused(f"the file is {known}: send the bank's own file as it is")
    if start.startswith(_UTF_32_MARKS):
        raise FileRefused("the file is encoded in UTF-32: send it as UTF-8")


def checked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces again, once their start has been seen to be text."""
    remaining = iter(pieces)
    start = b""
    for piece in remaining:
        start += piece
        if len(start) >= MAGIC_BYTES_MAX and start.strip():
            break
        if len(start) > LINE_BYTES_MAX:
            raise FileRefused("the file begins with 64 KiB of blanks")
    refuse_what_is_no_text(start)
    yield start
    yield from remaining


def lines_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a file without their ends and without a UTF-8 byte order mark. At most one line is held."""
    rest = b""
    number = 0
    for piece in checked(pieces):
        for start in range(0, len(piece), LINE_BYTES_MAX):
            *lines, rest = (rest + piece[start : start + LINE_BYTES_MAX]).split(b"\n")
            for line in lines:
                number += 1
                yield _line(line, number)
            _bounded(rest, number + 1)
    if rest:
        yield _line(rest, number + 1)


def text_lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """The lines of a file in ASCII, UTF-8 or ISO 8859-1: what is no UTF-8 is taken for ISO 8859-1, line by line.

    UTF-16 is refused by name, a NUL by its line; characters that ISO 8859-1 leaves to control become U+FFFD.
    """
    for number, line in enumerate(lines_of(pieces), 1):
        if number == 1 and line.startswith(_UTF_16_MARKS):
            raise FileRefused("the file is encoded in UTF-16: send it as UTF-8")
        if b"\0" in line:
            raise FileRefused("a NUL character: the file is no text, or encoded in UTF-16", line=number)
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = line.decode("iso-8859-1")
        yield text if line.isascii() else _CONTROLS.sub("\ufffd", text)


def without_mark(start: bytes) -> bytes:
    """`start` without a UTF-8 byte order mark."""
    return start.removeprefix(_UTF_8_MARK)


def _line(line: bytes, number: int) -> bytes:
    _bounded(line, number)
    return (without_mark(line) if number == 1 else line).removesuffix(b"\r")


def _bounded(line: bytes, number: int) -> None:
    if len(line) > LINE_BYTES_MAX:
        raise FileRefused(f"a line of more than {LINE_BYTES_MAX // 1024} KiB", line=number)
