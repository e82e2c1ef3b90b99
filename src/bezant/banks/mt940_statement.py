"""One statement of an MT940 or MT942 out of its fields: entries, balances, and whether they add up."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final

import msgspec

from bezant.banks.contract import Part, StatementEntry, StatementFoot, StatementHead
from bezant.banks.mt940_details import Details, details_of, kind_of
from bezant.banks.tally import Balance, Tally
from bezant.banks.values import (
    Fault,
    account_number,
    bad_text,
    century,
    day,
    exponent_of,
    major_units,
    minor_units,
    name,
    names,
    other_account,
)
from bezant.base.file_faults import BadLine, FileRefused

_AMOUNT: Final = r"([0-9]{1,18}(?:[,.][0-9]{0,9})?)"
_BALANCE: Final = re.compile(rf"([CD])([0-9]{{6}})([A-Z]{{3}})?{_AMOUNT}\s*")
_ENTRY: Final = re.compile(
    rf"(?P<value>[0-9]{{6}})(?P<entry>[0-9]{{4}}|\s{{4}})?(?P<expected>E)?(?P<mark>R?[CD])[A-Z]?"
    rf"(?P<amount>{_AMOUNT})(?P<type>[A-Z][A-Z0-9 ]{{3}})?(?P<references>.*)"
)
_FLOOR: Final = re.compile(rf"([A-Z]{{3}})[CD]?{_AMOUNT}\s*")
_SUM: Final = re.compile(rf"([0-9]{{1,9}})([A-Z]{{3}}){_AMOUNT}\s*")
_SIGNS: Final = {"C": 1, "D": -1, "RC": -1, "RD": 1}


class Field(msgspec.Struct, frozen=True):
    """A field of a message with the lines that it takes."""

    line: int
    tag: str
    lines: list[str]

    @property
    def text(self) -> str:
        return self.lines[0].strip()


class _Entry(msgspec.Struct):
    """An entry while what belongs to it comes in."""

    field: Field
    details: list[str] = []


class Statement:
    """A statement while it is read: fields go in, parts come out."""

    def __init__(self, field: Field, exponents: Mapping[str, int]) -> None:
        self.exponents = exponents
        self.reference = field.text
        self.line = field.line
        self.last_line = field.line
        self.shown = repr(bad_text(self.reference[:35]))
        self.account: str | None = None
        self.sequence: str | None = None
        self.opening: Balance | None = None
        self.closing: Balance | None = None
        self.floor_currency: str | None = None
        self.sums: dict[str, Field] = {}
        self.is_headed = False
        self.is_ended = False
        self.entry: _Entry | None = None
        self.tally = Tally()

    def take(self, field: Field) -> Iterator[Part]:
        """The next field."""
        self.last_line = field.line + len(field.lines) - 1
        tag = field.tag
        if tag in ("86", "NS"):
            if self.entry is not None:
                self.entry.details.extend(field.lines)
            return
        yield from self._entry_read()
        if tag == "61":
            if self.closing is not None:
                raise FileRefused("an entry after the closing balance", line=field.line, field="61")
            yield from self._head()
            self.entry = _Entry(field)
        elif tag in ("25", "25P"):
            self.account = self.account or account_number(field.text)
        elif tag in ("28", "28C"):
            self.sequence = name(field.text)
        elif tag in ("60F", "60M"):
            if self.is_headed or self.opening is not None:
                raise FileRefused("a second opening balance, or one after entries", line=field.line, field=tag)
            self.opening = self._balance(field)
        elif tag in ("62F", "62M"):
            yield from self._head()
            self.closing = self._balance(field)
        elif tag == "34F":
            self._floor(field)
        elif tag in ("90C", "90D"):
            self.sums[tag] = field

    def close(self, check_totals: bool) -> Iterator[Part]:
        """The end of the statement; its totals are checked."""
        yield from self._entry_read()
        yield from self._head()
        if check_totals:
            self._check()
        closing = self.closing
        yield StatementFoot(
            closing_minor=closing.amount_minor if closing else None,
            closed_on=closing.on if closing else None,
            entries=self.tally.entries,
            skipped=self.tally.skipped,
        )

    @property
    def is_within_the_day(self) -> bool:
        """Whether this is an MT942: it has no opening balance, but a floor, a time or sums."""
        return self.opening is None and bool(self.floor_currency or self.sums)

    def _check(self) -> None:
        if self.is_within_the_day:
            for tag in self.sums:
                self._check_sum(tag)
            if not self.is_ended and set(self.sums) != {"90C", "90D"}:
                raise FileRefused(
                    f"statement {self.shown} is truncated: neither its sums nor its end is there",
                    line=self.last_line,
                    field="90C",
                )
            return
        if self.opening is None:
            raise FileRefused(f"statement {self.shown} has no opening balance", line=self.line, field="60F")
        if self.closing is None:
            raise FileRefused(
                f"statement {self.shown} is truncated: it has no closing balance", line=self.last_line, field="62F"
            )
        self.tally.check(self.shown, self.opening, self.closing, self.exponents)

    def _head(self) -> Iterator[StatementHead]:
        if self.is_headed:
            return
        self.is_headed = True
        if not self.account:
            raise FileRefused(f"statement {self.shown} has no account", line=self.line, field="25")
        opening = self.opening
        yield StatementHead(
            account=self.account,
            currency=self._currency(),
            statement_reference=name(self.reference),
            sequence=self.sequence,
            opening_minor=opening.amount_minor if opening else None,
            opened_on=opening.on if opening else None,
            is_final=not self.is_within_the_day,
        )

    def _currency(self) -> str | None:
        return self.opening.currency if self.opening else self.floor_currency

    def _balance(self, field: Field) -> Balance:
        found = _BALANCE.fullmatch(field.text)
        if not found:
            raise FileRefused(f"{bad_text(field.text)[:40]!r} is no balance", line=field.line, field=field.tag)
        currency = found[3] or self._currency()
        if currency is None:
            raise FileRefused("a balance without a currency", line=field.line, field=field.tag)
        try:
            amount_minor = minor_units(found[4], currency, self.exponents, field.tag)
            on = _day(found[2], field.tag)
        except Fault as fault:
            raise FileRefused(fault.reason, line=field.line, field=fault.field) from None
        return Balance(_SIGNS[found[1]] * amount_minor, currency, on, field.line, field.tag)

    def _floor(self, field: Field) -> None:
        found = _FLOOR.fullmatch(field.text)
        if not found:
            raise FileRefused(f"{bad_text(field.text)[:40]!r} is no floor limit", line=field.line, field=field.tag)
        try:
            exponent_of(found[1], self.exponents, field.tag)
        except Fault as fault:
            raise FileRefused(fault.reason, line=field.line, field=fault.field) from None
        self.floor_currency = self.floor_currency or found[1]

    def _check_sum(self, tag: str) -> None:
        field = self.sums[tag]
        found = _SUM.fullmatch(field.text)
        currency = self._currency() or (found[2] if found else "")
        try:
            if not found or found[2] != currency:
                raise Fault(f"{bad_text(field.text)[:40]!r} is no number and sum of entries in {currency}", tag)
            stated_minor = minor_units(found[3], currency, self.exponents, tag)
        except Fault as fault:
            raise FileRefused(fault.reason, line=field.line, field=fault.field) from None
        tally = self.tally
        is_credit = tag == "90C"
        count = tally.credits if is_credit else tally.debits
        amount_minor = tally.credit_minor if is_credit else tally.debit_minor
        agrees = stated_minor == amount_minor and tally.is_count(int(found[1]), count)
        if tally.is_known and not tally.skipped and not agrees:
            said, held = (major_units(minor, currency, self.exponents) for minor in (stated_minor, amount_minor))
            raise FileRefused(
                f"statement {self.shown} states {found[1]} entries of {said} and holds {count} of {held}",
                line=field.line,
                field=tag,
            )

    def _entry_read(self) -> Iterator[Part]:
        entry, self.entry = self.entry, None
        if entry is None:
            return
        field = entry.field
        found = _ENTRY.fullmatch(field.text)
        amount_minor: int | None = None
        currency = self._currency()
        try:
            if not found:
                raise Fault("this is no entry of a statement", "61")
            if currency is None:
                raise Fault("an entry without a currency: neither :60F: nor :34F: stands before it", "61")
            amount_minor = _SIGNS[found["mark"]] * minor_units(found["amount"], currency, self.exponents, "61")
            if found["expected"]:
                self.tally.skipped += 1
                return
            value_on = _day(found["value"], "61")
            booked_on = _entry_day(found["entry"], value_on, field)
        except Fault as fault:
            self.tally.add_bad(amount_minor, currency)
            yield BadLine(number=field.line, reason=fault.reason, field=fault.field, text=bad_text(field.text))
            return
        self.tally.add(amount_minor, currency)
        yield _entry(field, found, amount_minor, currency, booked_on, value_on, details_of(entry.details))


def _entry(
    field: Field,
    found: re.Match[str],
    amount_minor: int,
    currency: str,
    booked_on: date,
    value_on: date,
    details: Details,
) -> StatementEntry:
    theirs, _, banks = found["references"].partition("//")
    reference = name(banks)
    supplement = " ".join(field.lines[1:])
    return StatementEntry(
        number=field.line,
        amount_minor=amount_minor,
        currency=currency,
        booked_on=booked_on,
        value_on=value_on,
        kind=kind_of(found["type"] or "", details.code),
        is_reversal=found["mark"].startswith("R"),
        entry_reference=reference,
        references=names([theirs, *details.references], but=reference),
        text=details.text_with(supplement),
        counterparty=name(details.counterparty),
        counterparty_account=other_account(details.counterparty_account),
    )


def _day(text: str, field: str) -> date:
    return day(century(int(text[:2])), int(text[2:4]), int(text[4:6]), text, field)


def _entry_day(text: str | None, value_on: date, field: Field) -> date:
    """The day of booking, which is written without a year: of the year that puts it nearest to the value date."""
    if not text or not text.strip():
        return value_on
    days: list[date] = []
    for year in (value_on.year, value_on.year - 1, value_on.year + 1):
        days.append(day(year, int(text[:2]), int(text[2:4]), text, field.tag))
    return min(days, key=lambda booked_on: abs((booked_on - value_on).days))
