"""BAI2: the cash management statements of banks in the United States and elsewhere.

Read by a reader of our own: the kept library (bai2) builds the whole file in memory and knows no lines. Checked here:
control totals and numbers of records of accounts (49), groups (98) and the file (99), without which it is truncated.
The ledger balances 010 and 015 are read, and not held against the entries: banks leave entries out of a day's report.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from bezant.banks.bai2_account import Account, Group, Record, group_of, number_of
from bezant.banks.contract import Format, Part
from bezant.banks.pieces import text_lines, without_mark
from bezant.banks.values import bad_text
from bezant.base.file_faults import FileRefused
from bezant.base.money import EXPONENTS

CONTINUATIONS_MAX: Final = 1_000

_CODES: Final = frozenset({"01", "02", "03", "16", "49", "88", "98", "99"})
_START: Final = re.compile(rb"0[0-3],[^,\r\n]*,[^,\r\n]*,[0-9+/]")
_VERSION: Final = "2"


def read_bai2(
    pieces: Iterable[bytes], *, check_totals: bool = True, exponents: Mapping[str, int] = EXPONENTS
) -> Iterator[Part]:
    """The statements of a file: one for each account. Without `check_totals` its control totals are not looked at."""
    file = _File(check_totals, exponents)
    for record in _records(pieces):
        yield from file.take(record)
    file.close()


def recognise_bai2(start: bytes) -> bool:
    """Whether `start` begins as a BAI2 file does: a header's code, sender, receiver and date."""
    return _START.match(without_mark(start).lstrip()) is not None


BAI2: Final = Format(name="bai2", read=read_bai2, recognise=recognise_bai2)


def _records(pieces: Iterable[bytes]) -> Iterator[Record]:
    """The records of a file, each with the lines (88) that continue it."""
    current: Record | None = None
    for number, line in enumerate(text_lines(pieces), 1):
        text = line.strip()
        if not text:
            continue
        code, comma, rest = text[:2], text[2:3], text[3:]
        if code not in _CODES or comma != ",":
            raise FileRefused(
                f"{bad_text(text[:20])!r} is no record of BAI2: those are {', '.join(sorted(_CODES))}", line=number
            )
        if code != "88":
            if current is not None:
                yield current
            current = Record(number, code, [rest])
        elif current is None:
            raise FileRefused("a file cannot begin with a continuation", line=number, field="88")
        elif len(current.lines) > CONTINUATIONS_MAX:
            raise FileRefused(f"a record of more than {CONTINUATIONS_MAX} lines", line=current.line, field=current.code)
        else:
            current.lines.append(rest)
    if current is not None:
        yield current


class _File:
    """A file while it is read: where it is, and what its totals have come to."""

    def __init__(self, check_totals: bool, exponents: Mapping[str, int]) -> None:
        self.check_totals = check_totals
        self.exponents = exponents
        self.is_begun = False
        self.is_ended = False
        self.group: Group | None = None
        self.account: Account | None = None
        self.groups = 0
        self.records = 0
        self.control_minor = 0

    def take(self, record: Record) -> Iterator[Part]:
        """The next record."""
        if self.is_ended:
            raise FileRefused("a record after the end of the file", line=record.line, field=record.code)
        if (record.code == "01") == self.is_begun:
            raise FileRefused("a file begins with one header (01)", line=record.line, field=record.code)
        self.records += len(record.lines)
        if record.code == "01":
            self.is_begun = True
            version = record.fields[7].strip() if len(record.fields) > 7 else ""
            if version != _VERSION:
                raise FileRefused(f"{version[:20]!r} for a version: 2 is read", line=record.line, field="01 version")
        elif record.code == "02":
            self._expect(record, self.group is None and self.account is None)
            self.group = group_of(record)
        elif record.code == "99":
            self._expect(record, self.group is None)
            self._end_of_file(record)
        elif self.group is None:
            self._expect(record, False)
        else:
            yield from self._within(self.group, record)

    def close(self) -> None:
        """The end of the bytes."""
        if not self.is_begun:
            raise FileRefused("the file holds no record", field="01")
        if not self.is_ended:
            raise FileRefused("the file is truncated: it has no trailer", field="99")

    def _within(self, group: Group, record: Record) -> Iterator[Part]:
        group.records += len(record.lines)
        account = self.account
        if record.code == "03":
            self._expect(record, account is None)
            self.account = account = Account(record, group, self.exponents)
            yield account.head()
        elif record.code == "98":
            self._expect(record, account is None)
            self._end_of_group(group, record)
        elif account is None:
            self._expect(record, False)
        elif record.code == "16":
            account.records += len(record.lines)
            yield from account.entry(record)
        else:
            account.records += len(record.lines)
            stated = self._trailer(
                record, ("the total of the account", account.control_minor), ("records", account.records)
            )
            yield account.foot()
            group.accounts += 1
            group.control_minor += stated
            self.account = None

    def _end_of_group(self, group: Group, record: Record) -> None:
        self.control_minor += self._trailer(
            record,
            ("the total of the group", group.control_minor),
            ("accounts", group.accounts),
            ("records", group.records),
        )
        self.groups += 1
        self.group = None

    def _end_of_file(self, record: Record) -> None:
        self._trailer(
            record, ("the total of the file", self.control_minor), ("groups", self.groups), ("records", self.records)
        )
        self.is_ended = True

    def _trailer(self, record: Record, *counted: tuple[str, int | None]) -> int:
        """Hold a trailer's numbers against what was counted (None: a line could not be read); its total."""
        for at, (what, found) in enumerate(counted if self.check_totals else ()):
            if found is not None and found != (said := number_of(record, at)):
                raise FileRefused(f"{what}: {said} stated, {found} counted", line=record.line, field=record.code)
        return number_of(record, 0)

    def _expect(self, record: Record, is_in_place: bool) -> None:
        if not is_in_place:
            raise FileRefused("a record out of its place", line=record.line, field=record.code)
