"""The formats of bank statements that are known here: those that say what they are, and CSV files by declared columns.

What columns a bank's CSV has is declared in a JSON file: `{"my-bank": {"account_column": "IBAN", ...}}`, each as
`banks.csv_mapping.CsvMapping` says. Its format then goes by the name `csv:my-bank`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from bezant.banks.contract import Format
from bezant.banks.csv_file import csv_format
from bezant.banks.csv_mapping import CsvMapping
from bezant.banks.formats import FORMATS
from bezant.base.errors import OperatorError

_NAME: Final = re.compile(r"[a-z0-9_-]{1,40}")


def bank_formats(declared: Path | None) -> Mapping[str, Format]:
    """All of them by name, in the order in which a file is tried. Raises OperatorError for a file that is at fault."""
    formats = {known.name: known for known in FORMATS}
    if declared is None:
        return formats
    try:
        mappings = msgspec.json.decode(declared.read_bytes(), type=dict[str, CsvMapping])
    except OSError as error:
        raise OperatorError(f"BEZANT_BANK_CSV: {declared} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OperatorError(f"BEZANT_BANK_CSV: {declared} does not declare columns: {error}.") from error
    for name, mapping in mappings.items():
        if not _NAME.fullmatch(name):
            raise OperatorError(f"BEZANT_BANK_CSV: {name!r} is no name; it has 1 to 40 of a to z, 0 to 9, - and _.")
        formats[f"csv:{name}"] = csv_format(mapping)
    return formats
