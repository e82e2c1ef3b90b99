"""What a statement's entries come to, held against what the bank says they do."""

from collections.abc import Mapping
from datetime import date

import msgspec

from bezant.banks.values import major_units
from bezant.base.file_faults import FileRefused


class Balance(msgspec.Struct, frozen=True):
    """A balance of a statement, signed."""

    amount_minor: int
    currency: str
    on: date | None
    line: int
    field: str


class Tally:
    """Counts a statement's entries. A line whose amount cannot be read takes away the sums, not the counts."""

    def __init__(self) -> None:
        self.entries = 0
        self.skipped = 0
        self.bad = 0
        self.credits = 0
        self.debits = 0
        self.zeros = 0
        self.credit_minor = 0
        self.debit_minor = 0
        self.currencies: set[str] = set()
        self.is_known = True

    def add(self, amount_minor: int, currency: str) -> None:
        """A booked entry."""
        self.entries += 1
        self._count(amount_minor, currency)

    def add_bad(self, amount_minor: int | None, currency: str | None) -> None:
        """An entry that cannot be read; None where that is so of its amount."""
        self.bad += 1
        if amount_minor is None or currency is None:
            self.is_known = False
        else:
            self._count(amount_minor, currency)

    def is_count(self, stated: int, counted: int) -> bool:
        """Whether a stated number of credits or of debits is right: entries of nothing may be of either side."""
        return counted <= stated <= counted + self.zeros

    def check(self, statement: str, opening: Balance, closing: Balance, exponents: Mapping[str, int]) -> None:
        """Raise `FileRefused` where the opening balance and the entries do not make the closing balance."""
        if opening.currency != closing.currency:
            raise FileRefused(
                f"statement {statement} opens in {opening.currency} and closes in {closing.currency}",
                line=closing.line,
                field=closing.field,
            )
        if not self.is_known:
            return
        if strange := sorted(self.currencies - {opening.currency}):
            raise FileRefused(
                f"statement {statement} has balances in {opening.currency} and entries in {', '.join(strange)}",
                line=closing.line,
                field=closing.field,
            )
        moved = self.credit_minor - self.debit_minor
        if opening.amount_minor + moved != closing.amount_minor:
            shown = [
                major_units(amount, opening.currency, exponents)
                for amount in (opening.amount_minor, moved, opening.amount_minor + moved, closing.amount_minor)
            ]
            raise FileRefused(
                f"the balances of statement {statement} do not add up: it opens with {shown[0]}, its entries come to "
                f"{shown[1]}, which makes {shown[2]}, but it closes with {shown[3]}",
                line=closing.line,
                field=closing.field,
            )

    def _count(self, amount_minor: int, currency: str) -> None:
        self.currencies.add(currency)
        if amount_minor == 0:
            self.zeros += 1
        elif amount_minor > 0:
            self.credits += 1
            self.credit_minor += amount_minor
        else:
            self.debits += 1
            self.debit_minor -= amount_minor
