"""CSV files of banks: which column holds what, declared by who sends them.

The header is the first line that has all columns of the mapping, so a bank's preamble before it is passed over. The one
total that a CSV can have is a column with the running balance.
"""

import re
from typing import Final, Literal

import msgspec

from bezant.banks.contract import EntryKind

_COLUMNS_MAX: Final = 200
_DAY_PARTS: Final = re.compile(r"YYYY|YY|MMM|MM|DD")
_PATTERNS: Final = {
    "YYYY": r"(?P<year>[0-9]{4})",
    "YY": r"(?P<short>[0-9]{2})",
    "MMM": r"(?P<named>[A-Za-z]{3})",
    "MM": r"(?P<month>[0-9]{1,2})",
    "DD": r"(?P<day>[0-9]{1,2})",
}


class CsvMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a bank's CSV says what. Raises `ValueError` with the field that is at fault.

    Columns are named as in the header. Amounts: one column (with a minus, or with a column that says which side it is),
    or one for credits and one for debits. `date_format` is made of YYYY or YY, MM or MMM (Jan), DD and what stands
    between; what follows it in a cell, such as a time, is not read. `account` and `currency` are given where no column
    says them. Rows whose status is none of `booked_values` are skipped.
    """

    account: str | None = None
    account_column: str | None = None
    currency: str | None = None
    currency_column: str | None = None
    date_column: str
    date_format: str = "YYYY-MM-DD"
    value_date_column: str | None = None
    amount_column: str | None = None
    credit_column: str | None = None
    debit_column: str | None = None
    sign_column: str | None = None
    credit_values: tuple[str, ...] = ()
    debit_values: tuple[str, ...] = ()
    decimal_sign: Literal[".", ","] = "."
    entry_reference_column: str | None = None
    reference_columns: tuple[str, ...] = ()
    text_columns: tuple[str, ...] = ()
    counterparty_column: str | None = None
    counterparty_account_column: str | None = None
    kind_column: str | None = None
    kinds: dict[str, EntryKind] = {}
    status_column: str | None = None
    booked_values: tuple[str, ...] = ()
    balance_column: str | None = None
    delimiter: str = ","
    encoding: Literal["utf-8", "utf-16", "iso-8859-1", "windows-1252"] = "utf-8"

    def __post_init__(self) -> None:
        for columns, values in (("account", self.account), ("currency", self.currency)):
            if (values is None) == (getattr(self, f"{columns}_column") is None):
                raise ValueError(f"give one of {columns} and {columns}_column")
        one, sides = self.amount_column is not None, (self.credit_column is not None, self.debit_column is not None)
        if one == all(sides) or any(sides) != all(sides):
            raise ValueError("give amount_column, or credit_column and debit_column")
        if (self.sign_column is not None) != bool(self.credit_values or self.debit_values):
            raise ValueError("sign_column needs credit_values or debit_values, and they need it")
        if self.sign_column is not None and not one:
            raise ValueError("sign_column needs amount_column")
        if set(self.credit_values) & set(self.debit_values):
            raise ValueError("a value is in credit_values and in debit_values")
        if (self.kind_column is not None) != bool(self.kinds):
            raise ValueError("kind_column needs kinds, and they need it")
        if (self.status_column is not None) != bool(self.booked_values):
            raise ValueError("status_column needs booked_values, and they need it")
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n\0' or self.delimiter.isalnum():
            raise ValueError("delimiter is one character, such as a comma, a semicolon or a tab")
        if not all(column.strip() for column in self.columns()):
            raise ValueError("a column without a name")
        if len(self.columns()) > _COLUMNS_MAX:
            raise ValueError(f"more than {_COLUMNS_MAX} columns")
        self.date_pattern()

    def columns(self) -> tuple[str, ...]:
        """The columns that the header must have."""
        single = (
            self.account_column,
            self.currency_column,
            self.date_column,
            self.value_date_column,
            self.amount_column,
            self.credit_column,
            self.debit_column,
            self.sign_column,
            self.entry_reference_column,
            self.counterparty_column,
            self.counterparty_account_column,
            self.kind_column,
            self.status_column,
            self.balance_column,
        )
        return tuple(dict.fromkeys(c for c in (*single, *self.reference_columns, *self.text_columns) if c is not None))

    def date_pattern(self) -> re.Pattern[str]:
        """What a day looks like. Raises `ValueError`."""
        parts = _DAY_PARTS.findall(self.date_format)
        kinds = sorted(part[0] for part in parts)
        if kinds != ["D", "M", "Y"] or len(self.date_format) > 40:
            raise ValueError("date_format has one of YYYY and YY, one of MM and MMM, and DD, such as DD.MM.YYYY")
        pattern = ""
        at = 0
        for found in _DAY_PARTS.finditer(self.date_format):
            pattern += re.escape(self.date_format[at : found.start()]) + _PATTERNS[found[0]]
            at = found.end()
        return re.compile(pattern + re.escape(self.date_format[at:]) + r"(?![0-9]).*", re.ASCII | re.DOTALL)
