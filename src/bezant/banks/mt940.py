"""MT940 and MT942 (and MT950): the bank statements of SWIFT, as banks really send them.

Read by a reader of our own: the kept library (mt-940) holds the whole file, knows no line numbers, checks no balance
and drops what it does not understand. Checked here: opening (60F, 60M) and entries make closing (62F, 62M), page by
page; of an MT942 the numbers and sums of 90D and 90C. A statement that stops before its closing balance is truncated.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from bezant.banks.contract import Format, Part
from bezant.banks.mt940_statement import Field, Statement
from bezant.banks.pieces import text_lines, without_mark
from bezant.base.file_faults import FileRefused
from bezant.base.money import EXPONENTS

FIELD_LINES_MAX: Final = 100
FIELD_CHARACTERS_MAX: Final = 8 * 1024

_TAG: Final = re.compile(r":(20|21|25P?|28C?|60[FM]|61|86|62[FM]|64|65|34F|13D?|90[CD]|NS):")
_END: Final = re.compile(r"-?\x03|-(?:\}.*)?")
_START: Final = re.compile(rb"(?:\A\x01?|[\r\n]|\{4:):(?:20|25P?|60[FM]|61|86|62[FM]|NS):")


def read_mt940(
    pieces: Iterable[bytes], *, check_totals: bool = True, exponents: Mapping[str, int] = EXPONENTS
) -> Iterator[Part]:
    """The statements of a file. Without `check_totals` it is read even where its balances do not add up."""
    statement: Statement | None = None
    is_there = False
    for field in _fields(pieces):
        if field.tag == "20":
            if statement is not None:
                yield from statement.close(check_totals)
            statement = Statement(field, exponents)
            is_there = True
        elif statement is None:
            if field.tag != "-":
                raise FileRefused(
                    "a field outside of a statement, which begins with :20:", line=field.line, field=field.tag
                )
        elif field.tag == "-":
            statement.is_ended = True
            yield from statement.close(check_totals)
            statement = None
        else:
            yield from statement.take(field)
    if statement is not None:
        yield from statement.close(check_totals)
    if not is_there:
        raise FileRefused("no statement: no line begins with :20:", line=1, field="20")


def recognise_mt940(start: bytes) -> bool:
    """Whether `start` has a field of an MT940 or MT942 at the start of a line."""
    return _START.search(without_mark(start)) is not None


MT940: Final = Format(name="mt940", read=read_mt940, recognise=recognise_mt940)


class _Open(msgspec.Struct):
    """A field while its lines come in."""

    line: int
    tag: str
    lines: list[str]
    characters: int = 0


def _fields(pieces: Iterable[bytes]) -> Iterator[Field]:
    """The fields of a file, each with the lines that continue it; `-` where a message ends.

    What stands between messages (headers of SWIFT and of banks) is passed over.
    """
    current: _Open | None = None
    for number, line in enumerate(text_lines(pieces), 1):
        text = line.lstrip("\x01") if line.startswith("\x01") else line
        text = text[text.find("{4:") + 3 :] if text.startswith("{") and "{4:" in text else text
        tag = _TAG.match(text)
        if tag:
            if current is not None:
                yield Field(current.line, current.tag, current.lines)
            current = _Open(number, tag[1], [text[tag.end() :]])
        elif _END.fullmatch(text.rstrip()):
            if current is not None:
                yield Field(current.line, current.tag, current.lines)
            current = None
            yield Field(number, "-", [])
        elif current is not None:
            current.characters += len(text)
            if len(current.lines) >= FIELD_LINES_MAX or current.characters > FIELD_CHARACTERS_MAX:
                raise FileRefused("a field of more than 100 lines or 8 KiB", line=current.line, field=current.tag)
            current.lines.append(text)
    if current is not None:
        yield Field(current.line, current.tag, current.lines)
