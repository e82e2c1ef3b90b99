"""An account of a BAI2 file out of its records: identifier, entries, and what its amounts come to."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final

import msgspec

from bezant.banks.contract import EntryKind, Part, StatementEntry, StatementFoot, StatementHead
from bezant.banks.values import (
    AMOUNT_DIGITS_MAX,
    Fault,
    account_number,
    bad_text,
    century,
    day,
    exponent_of,
    joined,
    name,
    names,
)
from bezant.base.file_faults import BadLine, FileRefused

DEFAULT_CURRENCY: Final = "USD"

_INTEGER: Final = re.compile(rf"[+-]?[0-9]{{1,{AMOUNT_DIGITS_MAX}}}")
_DAY: Final = re.compile(r"[0-9]{6}")
_NAMED: Final = re.compile(r"(?:EREF|TRID|CREF|CLREF|E2E|UETR|TRN)\s*[:=]\s*(\S.*)")
_FUNDS_FIELDS: Final = {"S": 3, "V": 2}
_OPENING: Final = "010"
_CLOSING: Final = "015"
_NOT_MONEY: Final = "890"
_UPDATE: Final = ("", "1")
_INTERIM: Final = frozenset({"1", "3"})

_FEES: Final = frozenset({"564", "567", "661", "698"})
_INTERESTS: Final = frozenset({"242", "346", "354", "359", "654", "659"})
_RETURNS: Final = frozenset(
    {"123", "255", "257", "261", "266", "268", "395", "423", "555", "557", "561", "566", "568", "168", "468"}
)
_REVERSALS: Final = frozenset({"252", "258", "395", "552", "558", "694"})


class Record(msgspec.Struct):
    """A record with the lines that continue it. `lines`: without their codes."""

    line: int
    code: str
    lines: list[str]

    @property
    def fields(self) -> list[str]:
        """The fields of its first line."""
        return self.lines[0].removesuffix("/").split(",")


class Group(msgspec.Struct):
    """A group of accounts: what is the same for all of them, and what has been counted."""

    on: date
    currency: str
    is_final: bool
    records: int
    accounts: int = 0
    control_minor: int = 0


def group_of(record: Record) -> Group:
    """The group that a header (02) begins. Raises `FileRefused`."""
    fields = [*_joined(record, 8).split(","), *[""] * 7]
    _, _, status, as_of, _, currency, modifier = (field.strip() for field in fields[:7])
    if status not in _UPDATE:
        raise FileRefused(
            f"a group of status {status[:10]!r} (deletion, correction or test): updates are read",
            line=record.line,
            field="02 status",
        )
    try:
        on = _day(as_of, "02 as-of date")
    except Fault as fault:
        raise FileRefused(fault.reason, line=record.line, field=fault.field) from None
    return Group(on, currency or DEFAULT_CURRENCY, modifier not in _INTERIM, len(record.lines))


def number_of(record: Record, at: int) -> int:
    """A number of a trailer. Raises `FileRefused`."""
    text = record.fields[at].strip() if at < len(record.fields) else ""
    if not _INTEGER.fullmatch(text):
        raise FileRefused(f"{text[:40]!r} is no number", line=record.line, field=f"{record.code} field {at + 2}")
    return int(text)


class Account:
    """An account (03) while it is read. `control_minor`: None once an amount could not be read."""

    def __init__(self, record: Record, group: Group, exponents: Mapping[str, int]) -> None:
        self.group = group
        self.records = len(record.lines)
        self.entries = 0
        self.skipped = 0
        self.control_minor: int | None = 0
        fields = [field.strip() for field in record.fields]
        self.account = account_number(fields[0])
        self.currency = (fields[1] if len(fields) > 1 else "") or group.currency
        if not self.account:
            raise FileRefused("an account without a number", line=record.line, field="03 account number")
        try:
            exponent_of(self.currency, exponents, "03 currency")
            self.balances = self._balances(record, fields[2:])
        except Fault as fault:
            raise FileRefused(fault.reason, line=record.line, field=fault.field) from None

    def head(self) -> StatementHead:
        return StatementHead(
            account=self.account,
            currency=self.currency,
            opening_minor=self.balances.get(_OPENING),
            opened_on=self.group.on if _OPENING in self.balances else None,
            is_final=self.group.is_final,
        )

    def foot(self) -> StatementFoot:
        return StatementFoot(
            closing_minor=self.balances.get(_CLOSING),
            closed_on=self.group.on if _CLOSING in self.balances else None,
            entries=self.entries,
            skipped=self.skipped,
        )

    def entry(self, record: Record) -> Iterator[Part]:
        """An entry (16)."""
        amount_minor: int | None = None
        try:
            code = record.fields[0].strip()
            amount_minor = self._amount(record)
            if code == _NOT_MONEY:
                self.skipped += 1
                return
            yield self._entry(record, code, _sign(code) * amount_minor)
            self.entries += 1
        except Fault as fault:
            text = bad_text(f"16,{record.lines[0]}")
            yield BadLine(number=record.line, reason=fault.reason, field=fault.field, text=text)
        finally:
            if amount_minor is None:
                self.control_minor = None
            elif self.control_minor is not None:
                self.control_minor += amount_minor

    def _amount(self, record: Record) -> int:
        """An amount, in minor units already. Raises `Fault`."""
        fields = record.fields
        text = fields[1].strip() if len(fields) > 1 else ""
        if not text and fields[0].strip() == _NOT_MONEY:
            return 0
        return _integer(text, "16 amount")

    def _entry(self, record: Record, code: str, amount_minor: int) -> StatementEntry:
        extra = _funds_fields(record.fields[2:], "16 funds type")
        fields = _joined(record, 6 + extra).split(",", 5 + extra)
        funds = fields[3 : 3 + extra]
        banks, theirs, text = (*(field.strip() for field in fields[3 + extra :]), "", "", "")[:3]
        value = funds[0].strip() if funds and fields[2].strip() == "V" else ""
        named = [found[1].removesuffix("/") for line in record.lines[1:] if (found := _NAMED.match(line.strip()))]
        reference = name(banks)
        return StatementEntry(
            number=record.line,
            amount_minor=amount_minor,
            currency=self.currency,
            booked_on=self.group.on,
            value_on=_day(value, "16 value date") if value else None,
            kind=_kind(code),
            is_reversal=code in _REVERSALS,
            entry_reference=reference,
            references=names([theirs, *named], but=reference),
            text=joined([text]),
        )

    def _balances(self, record: Record, fields: list[str]) -> dict[str, int]:
        """The amounts of status and summary, by type; they count for the control total. Raises `Fault`."""
        found: dict[str, int] = {}
        for at, line in enumerate(record.lines):
            rest = fields if at == 0 else [*fields, *line.removesuffix("/").split(",")]
            fields = self._take_amounts(rest, found, is_last=at == len(record.lines) - 1)
        return found

    def _take_amounts(self, fields: list[str], found: dict[str, int], is_last: bool) -> list[str]:
        """Take groups of type, amount, number of items and funds type off `fields`; what is left of them."""
        while any(field.strip() for field in fields):
            code = fields[0].strip()
            if len(fields) < 4 and not is_last:
                return fields
            fields = [*fields, "", "", ""]
            extra = _funds_fields(fields[3:], "03 funds type") if code else 0
            if text := fields[1].strip():
                amount_minor = _integer(text, f"03 {code[:3]} amount")
                found.setdefault(code, amount_minor)
                self.control_minor = (self.control_minor or 0) + amount_minor
            fields = fields[4 + extra :]
        return []


def _joined(record: Record, needed: int) -> str:
    """A record's lines as one: a line that ends with `/` before all `needed` fields are there ends a field."""
    text = ""
    for at, line in enumerate(record.lines):
        ends_field = line.endswith("/")
        parting = "" if at == len(record.lines) - 1 else " "
        text += line.removesuffix("/")
        if ends_field and text.count(",") < needed - 1:
            text += ","
        else:
            text += parting
    return text


def _funds_fields(fields: list[str], field: str) -> int:
    """How many fields follow the funds type that `fields` begins with. Raises `Fault`."""
    funds = fields[0].strip().upper() if fields else ""
    if funds == "D":
        count = fields[1].strip() if len(fields) > 1 else ""
        if not re.fullmatch(r"[0-9]{1,3}", count):
            raise Fault(f"{count[:20]!r} is no number of availability days", field)
        return 1 + 2 * int(count)
    if funds not in ("", "0", "1", "2", "Z", *_FUNDS_FIELDS):
        raise Fault(f"{funds[:20]!r} is no funds type", field)
    return _FUNDS_FIELDS.get(funds, 0)


def _integer(text: str, field: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise Fault(f"{text[:40]!r} is no amount in minor units", field)
    return int(text)


def _day(text: str, field: str) -> date:
    if not _DAY.fullmatch(text):
        raise Fault(f"{text[:40]!r} is no day", field)
    return day(century(int(text[:2])), int(text[2:4]), int(text[4:6]), text, field)


def _sign(code: str) -> int:
    """1 for a type of credits, -1 for one of debits. Raises `Fault`."""
    if re.fullmatch(r"[0-9]{3}", code):
        number = int(code)
        if 100 <= number <= 399 or 920 <= number <= 959:
            return 1
        if 400 <= number <= 699 or 960 <= number <= 999:
            return -1
    raise Fault(f"{code[:10]!r} is no type of a credit or a debit", "16 type")


def _kind(code: str) -> EntryKind:
    if code in _RETURNS:
        return EntryKind.RETURN
    if code in _FEES:
        return EntryKind.FEE
    return EntryKind.INTEREST if code in _INTERESTS else EntryKind.TRANSFER
