"""Which format a bank's file is of, by what it begins with."""

from typing import Final

from bezant.banks.bai2 import BAI2
from bezant.banks.camt import CAMT
from bezant.banks.contract import Format
from bezant.banks.mt940 import MT940
from bezant.banks.pieces import refuse_what_is_no_text
from bezant.base.file_faults import FileRefused
from bezant.base.file_kinds import looks_like

FORMATS: Final = (CAMT, MT940, BAI2)
"""Those that say themselves what they are. A CSV needs a mapping: `csv_mapping.csv_format`."""

START_BYTES: Final = 4096


def format_named(format_name: str) -> Format | None:
    """The format of that name."""
    return next((known for known in FORMATS if known.name == format_name), None)


def recognise(start: bytes) -> Format:
    """The format of a file by its first 4 KiB. Raises `FileRefused` with what is known of any other file."""
    refuse_what_is_no_text(start)
    for known in FORMATS:
        if known.recognise(start[:START_BYTES]):
            return known
    seen = looks_like(start)
    shown = f"{seen}, which is " if seen else ""
    known = "camt.052, camt.053, camt.054, MT940, MT942 and BAI2"
    raise FileRefused(f"{shown}none of {known}; a CSV file needs a mapping", line=1)
