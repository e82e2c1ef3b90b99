"""Which reader a file is given to: the one of the format that was named, or that its first bytes are of. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from bezant.banks.contract import Format
from bezant.base.file_faults import FileRefused
from bezant.base.file_kinds import looks_like
from bezant.psp.reports import Reports
from bezant.reconciliation.files.states import ReportFile

Reader = Callable[[Iterable[bytes]], Iterator[Any]]


def chosen_format(
    file: ReportFile, head: bytes, reports: Mapping[str, Reports], formats: Mapping[str, Format]
) -> tuple[str, Reader]:
    """The format's name and its reader. Raises FileRefused, which says what is known."""
    return _of_psp(file, head, reports) if file.source == "psp" else _of_bank(file, head, formats)


def _of_psp(file: ReportFile, head: bytes, reports: Mapping[str, Reports]) -> tuple[str, Reader]:
    of_psp = reports.get(file.psp or "")
    if of_psp is None:
        raise FileRefused(f"reports of {file.psp} cannot be read; those of {_listed(reports)} can", field="psp")
    name = file.format or of_psp.recognise(head)
    reader = of_psp.formats.get(name or "")
    if name is None or reader is None:
        raise _unknown(f"report of {file.psp}", name, of_psp.formats, head)
    return name, reader


def _of_bank(file: ReportFile, head: bytes, formats: Mapping[str, Format]) -> tuple[str, Reader]:
    name = file.format or next((name for name, each in formats.items() if each.recognise(head)), None)
    if name is None or name not in formats:
        raise _unknown("bank statement", name, formats, head)
    return name, formats[name].read


def _unknown(what: str, name: str | None, known: Iterable[str], head: bytes) -> FileRefused:
    if name is None:
        seen = looks_like(head)
        shown = f": it looks like {seen}" if seen else ""
        return FileRefused(f"this is no {what} of a known format{shown}; known: {_listed(known)}", line=1)
    return FileRefused(f"there is no format {name!r} of a {what}; known: {_listed(known)}", field="format")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
