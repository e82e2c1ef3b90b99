"""What the first 4 KiB of a report say of its format: its first rows, and the columns that its header names."""

import csv
from typing import Final

_MARK: Final = b"\xef\xbb\xbf"


def first_rows(start: bytes) -> list[list[str]]:
    """The rows that the first piece of a file holds, the last of them perhaps in part; none where that is no CSV."""
    try:
        lines = start.removeprefix(_MARK).decode(errors="ignore").splitlines()
        return [cells for cells in csv.reader(lines) if cells]
    except csv.Error:
        return []


def header_of(start: bytes) -> frozenset[str]:
    """The columns that the first row of a file names."""
    return frozenset(cell.strip() for cells in first_rows(start)[:1] for cell in cells)
