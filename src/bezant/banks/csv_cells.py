"""A row of a bank's CSV file, cell by cell. Pure."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from bezant.banks.contract import EntryKind, StatementEntry
from bezant.banks.csv_mapping import CsvMapping
from bezant.banks.values import (
    Fault,
    account_number,
    century,
    day,
    exponent_of,
    joined,
    minor_units,
    name,
    names,
    other_account,
)

_MONTHS: Final = {month: at for at, month in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_GROUP_SIGNS: Final = "'\u2019 \u00a0\u202f"
_NUMBERS: Final = {
    sign: re.compile(
        rf"(?P<open>\()?(?P<before>[-+\u2212])?"
        rf"(?P<digits>(?:[0-9]{{1,3}}(?P<by>[{other}{_GROUP_SIGNS}])[0-9]{{3}}(?:(?P=by)[0-9]{{3}})*|[0-9]*)"
        rf"(?:[{sign}][0-9]*)?)(?P<after>[-+\u2212])?(?P<close>\))?"
    )
    for sign, other in ((".", ","), (",", "."))
}
_UNGROUPED: Final = {sign: str.maketrans("", "", other + _GROUP_SIGNS) for sign, other in ((".", ","), (",", "."))}


class Cells:
    """Reads rows by a mapping and the header of the file. Its functions raise `Fault`."""

    def __init__(self, mapping: CsvMapping, header: list[str], exponents: Mapping[str, int]) -> None:
        self.mapping = mapping
        self.at = {column: header.index(column) for column in mapping.columns()}
        self.width = len(header)
        self.last = max(self.at.values())
        self.exponents = exponents
        self.pattern = mapping.date_pattern()
        self.number = _NUMBERS[mapping.decimal_sign]
        self.ungrouped = _UNGROUPED[mapping.decimal_sign]
        self.fixed_account = account_number(mapping.account) if mapping.account else None

    def check(self, row: list[str]) -> None:
        """A row must have the columns of the header and none beyond them."""
        if len(row) <= self.last or any(cell.strip() for cell in row[self.width :]):
            raise Fault(f"{len(row)} cells, where the header has {self.width}", "row")

    def account(self, row: list[str]) -> str:
        """The account of a row, as it is compared."""
        if self.fixed_account is not None:
            return self.fixed_account
        account = account_number(self._cell(row, self.mapping.account_column))
        if not account:
            raise Fault("no account", self.mapping.account_column or "account")
        return account

    def currency(self, row: list[str]) -> str:
        """The currency of a row."""
        column = self.mapping.currency_column
        currency = self.mapping.currency or self._cell(row, column).upper()
        exponent_of(currency, self.exponents, column or "currency")
        return currency

    def is_booked(self, row: list[str]) -> bool:
        """Whether the bank has booked it."""
        column = self.mapping.status_column
        return column is None or self._cell(row, column) in self.mapping.booked_values

    def balance(self, row: list[str], currency: str) -> int | None:
        """The running balance after a row, where there is one."""
        column = self.mapping.balance_column
        return self._signed(row, column, currency) if column and self._cell(row, column) else None

    def entry(self, row: list[str], number: int, currency: str) -> StatementEntry:
        """The entry of a row."""
        mapping = self.mapping
        reference = name(self._cell(row, mapping.entry_reference_column))
        value_column = mapping.value_date_column
        return StatementEntry(
            number=number,
            amount_minor=self._amount(row, currency),
            currency=currency,
            booked_on=self._day(row, mapping.date_column),
            value_on=self._day(row, value_column) if value_column and self._cell(row, value_column) else None,
            kind=self._kind(row),
            entry_reference=reference,
            references=names([self._cell(row, column) for column in mapping.reference_columns], but=reference),
            text=joined([self._cell(row, column) for column in mapping.text_columns]),
            counterparty=name(self._cell(row, mapping.counterparty_column)),
            counterparty_account=other_account(self._cell(row, mapping.counterparty_account_column)),
        )

    def _cell(self, row: list[str], column: str | None) -> str:
        return row[self.at[column]].strip() if column is not None else ""

    def _amount(self, row: list[str], currency: str) -> int:
        mapping = self.mapping
        if mapping.amount_column is None:
            return self._of_two_sides(row, currency)
        amount_minor = self._signed(row, mapping.amount_column, currency)
        if mapping.sign_column is None:
            return amount_minor
        side = self._cell(row, mapping.sign_column)
        if side in mapping.debit_values or (not mapping.debit_values and side not in mapping.credit_values):
            return -abs(amount_minor)
        if side in mapping.credit_values or not mapping.credit_values:
            return abs(amount_minor)
        raise Fault(f"{side[:40]!r} is no value of a credit or a debit", mapping.sign_column)

    def _of_two_sides(self, row: list[str], currency: str) -> int:
        credit, debit = self.mapping.credit_column or "", self.mapping.debit_column or ""
        credit_minor = self._signed(row, credit, currency) if self._cell(row, credit) else 0
        debit_minor = self._signed(row, debit, currency) if self._cell(row, debit) else 0
        if credit_minor and debit_minor:
            raise Fault("an amount on both sides", debit)
        if not self._cell(row, credit) and not self._cell(row, debit):
            raise Fault("an amount on neither side", credit)
        if credit_minor < 0:
            raise Fault("a credit below zero", credit)
        return credit_minor - abs(debit_minor)

    def _signed(self, row: list[str], column: str, currency: str) -> int:
        text = self._cell(row, column)
        found = self.number.fullmatch(text)
        signs = [found[sign] for sign in ("open", "before", "after") if found[sign]] if found else []
        if not found or bool(found["open"]) != bool(found["close"]) or len(signs) > 1:
            raise Fault(f"{text[:40]!r} is no amount with {self.mapping.decimal_sign!r} for decimals", column)
        amount_minor = minor_units(found["digits"].translate(self.ungrouped), currency, self.exponents, column)
        return amount_minor if not signs or signs[0] == "+" else -amount_minor

    def _day(self, row: list[str], column: str) -> date:
        text = self._cell(row, column)
        found = self.pattern.fullmatch(text)
        if not found:
            raise Fault(f"{text[:40]!r} is no day of the form {self.mapping.date_format}", column)
        parts = found.groupdict()
        month = int(parts["month"]) if "month" in parts else _MONTHS.get(parts["named"].lower(), 0)
        year = int(parts["year"]) if "year" in parts else century(int(parts["short"]))
        return day(year, month, int(parts["day"]), text, column)

    def _kind(self, row: list[str]) -> EntryKind:
        column = self.mapping.kind_column
        return self.mapping.kinds.get(self._cell(row, column), EntryKind.TRANSFER) if column else EntryKind.TRANSFER
