"""Which format a report is of, by its first 4 KiB: what its header names, and who reads it."""

import csv
from collections.abc import Iterable, Mapping

import msgspec

from bezant.base.file_faults import FileRefused
from bezant.psp.connector import Connector
from bezant.psp.reports import Reader, Reports

_MARK = b"\xef\xbb\xbf"


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


class ReportFormats(msgspec.Struct, frozen=True):
    """What the reports of each PSP are read with."""

    by_psp: Mapping[str, Reports]

    def names(self, psp: str) -> tuple[str, ...]:
        """The formats of a PSP; none for one that is not known."""
        return tuple(self.by_psp[psp].formats) if psp in self.by_psp else ()

    def reader(self, psp: str, name: str) -> Reader | None:
        """Who reads this format of a PSP."""
        return self.by_psp[psp].formats.get(name) if psp in self.by_psp else None

    def recognise(self, start: bytes, psp: str | None = None) -> tuple[str, str]:
        """The PSP and the format of a file, by its first 4 KiB. Raises `FileRefused` for one of no format.

        `psp`: the only one that it can be of.
        """
        known = self.by_psp if psp is None else {psp: self.by_psp[psp]} if psp in self.by_psp else {}
        found = [(each, name) for each, reports in known.items() if (name := reports.recognise(start)) is not None]
        if len(found) == 1:
            return found[0]
        if found:
            raise FileRefused(f"the header fits the reports of {' and of '.join(each for each, _ in found)}", line=1)
        formats = ", ".join(f"{each} {name}" for each, reports in sorted(known.items()) for name in reports.formats)
        raise FileRefused(f"the file begins like no report that is known here ({formats})", line=1)


def report_formats(connectors: Iterable[Connector], others: Mapping[str, Reports]) -> ReportFormats:
    """The formats of all connectors that read reports, and of PSPs of which only reports are read."""
    of_connectors = {each.manifest.name: each.reports for each in connectors if each.reports is not None}
    return ReportFormats({**of_connectors, **others})
