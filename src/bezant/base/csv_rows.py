"""The rows of a CSV file that comes in pieces: each with the line that it begins on, at most some 100 KiB held.

The `csv` module's own reader does the work, strictly (RFC 4180). Only a line feed ends a line, with or without a
carriage return before it. A fault of quoting on one line is that line's; one that may have swallowed lines is the
file's.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from bezant.base.card_data import redact_card_data
from bezant.base.file_faults import BadLine, FileRefused

LINE_BYTES_MAX: Final = 64 * 1024
CELL_CHARACTERS_MAX: Final = 1_000

_SHOWN_MAX: Final = 500
_MARK: Final = b"\xef\xbb\xbf"
_NO_CSV: Final = {
    b"\xff\xfe": "encoded in UTF-16: send it in UTF-8",
    b"\xfe\xff": "encoded in UTF-16: send it in UTF-8",
    b"PK\x03\x04": "a ZIP archive or a spreadsheet: send the CSV file itself",
    b"\x1f\x8b": "a gzip archive: send the CSV file itself",
    b"\xd0\xcf\x11\xe0": "an Office document: send the CSV file itself",
    b"%PDF": "a PDF document: send the CSV file itself",
    b"<": "XML or HTML: send the CSV file itself",
    b"{": "JSON: send the CSV file itself",
    b"[": "JSON: send the CSV file itself",
}

Row = tuple[int, list[str]]


class CsvRows:
    """The rows of a file, once; empty lines are left out. Raises `FileRefused` for what is no CSV in UTF-8."""

    def __init__(self, pieces: Iterable[bytes], delimiter: str = ",") -> None:
        self.last = 0
        """The last line of the row that was given last."""
        self.is_cut = False
        """Whether the file ends without a line end; known once it was read."""
        self._pieces = pieces
        self._delimiter = delimiter
        self._block = ""
        self._block_start = 1
        self._is_read = False

    def __iter__(self) -> Iterator[Row | BadLine]:
        lines = chain.from_iterable(io.StringIO(block) for block in self._blocks())
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        number = 1
        while True:
            try:
                for cells in reader:
                    self.last = reader.line_num
                    if cells:
                        yield number, cells
                    number = reader.line_num + 1
                return
            except csv.Error as fault:
                reason = f"a fault of quoting: {fault}"
                if self._is_read:
                    raise FileRefused("a quote is never closed", line=number) from None
                if reader.line_num > number:
                    raise FileRefused(f"{reason}, in a cell that goes over several lines", line=number) from None
                yield BadLine(number=number, reason=reason, text=shown_text(self._line(number)))
                number = reader.line_num + 1

    def _blocks(self) -> Iterator[str]:
        """The text in whole lines."""
        rest = b""
        for piece in self._pieces:
            for start in range(0, len(piece), LINE_BYTES_MAX):
                *whole, rest = (rest + piece[start : start + LINE_BYTES_MAX]).rpartition(b"\n")
                block = b"".join(whole)
                if len(rest) > LINE_BYTES_MAX or block.find(b"\n") > LINE_BYTES_MAX:
                    end = block.count(b"\n") if len(rest) > LINE_BYTES_MAX else 0
                    raise FileRefused(
                        f"a line of more than {LINE_BYTES_MAX // 1024} KiB", line=self._next_start() + end
                    )
                if block:
                    yield self._begin(block)
        self.is_cut = bool(rest)
        if rest:
            yield self._begin(rest)
        self._is_read = True
        if not self._block:
            raise FileRefused("the file is empty")

    def _next_start(self) -> int:
        return self._block_start + self._block.count("\n")

    def _begin(self, block: bytes) -> str:
        self._block_start = self._next_start()
        if not self._block:
            block = _start(block)
        try:
            self._block = block.decode()
        except UnicodeDecodeError as fault:
            line = self._block_start + block.count(b"\n", 0, fault.start)
            raise FileRefused(f"no UTF-8: a byte {block[fault.start]:#04x}", line=line) from None
        if "\0" in self._block:
            line = self._block_start + self._block.count("\n", 0, self._block.index("\0"))
            raise FileRefused("a NUL byte: the file is no text", line=line)
        return self._block

    def _line(self, number: int) -> str:
        return self._block.split("\n")[number - self._block_start]


def shown(cells: Iterable[str]) -> str:
    """A row as `BadLine.text` shows it."""
    return shown_text(",".join(cells))


def shown_text(line: str) -> str:
    """A line as `BadLine.text` shows it: a number that the cut would go through is no card number any more."""
    return redact_card_data(line[: 2 * _SHOWN_MAX])[:_SHOWN_MAX]


def _start(block: bytes) -> bytes:
    block = block.removeprefix(_MARK)
    for start, reason in _NO_CSV.items():
        if block.startswith(start):
            raise FileRefused(f"the file is {reason}")
    if not block.partition(b"\n")[0].strip():
        raise FileRefused("the file is empty, or begins with an empty line", line=1)
    return block
