"""camt.052, camt.053 and camt.054: the bank statements of ISO 20022, in XML.

Totals that are held against the entries: opening (OPBD, else PRCD) and closing (CLBD) balance where both are there, and
the numbers and sums of TxsSummry. An entry of status BOOK counts; one that is pending, for information or in the future
is skipped, and comes again once it is booked.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from typing import Final

from bezant.banks.camt_entry import Unreadable, amount_of, day_of, entry_of, first
from bezant.banks.camt_schema import BALANCE, DOCUMENT, ENTRY, STATEMENT, TRANSACTION, is_final, root_of
from bezant.banks.contract import Format, Part, StatementFoot, StatementHead
from bezant.banks.pieces import without_mark
from bezant.banks.tally import Balance, Tally
from bezant.banks.values import Fault, account_number, bad_text, major_units, minor_units, name
from bezant.banks.xml_groups import Began, Ended, Fields, read_groups
from bezant.base.file_faults import BadLine, FileRefused
from bezant.base.money import EXPONENTS

_BOOKED: Final = "BOOK"
_SKIPPED: Final = frozenset({"PDNG", "INFO", "FUTR"})
_OPENING: Final = ("OPBD", "PRCD")
_CLOSING: Final = ("CLBD",)
_IN_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")


def read_camt(
    pieces: Iterable[bytes], *, check_totals: bool = True, exponents: Mapping[str, int] = EXPONENTS
) -> Iterator[Part]:
    """The statements of a file. Without `check_totals` it is read even where its totals do not add up."""
    statement: _Statement | None = None
    number = 0
    is_empty = True
    transactions: list[Fields] = []
    for event in read_groups(pieces, root_of):
        if event.group.startswith(STATEMENT):
            if isinstance(event, Began):
                is_empty = False
                statement = _Statement(is_final(event.group), event.line, exponents)
            elif statement is not None:
                yield from statement.head(event.fields)
                yield statement.foot(event.fields, check_totals)
        elif event.group == DOCUMENT:
            if is_empty and isinstance(event, Ended):
                raise FileRefused("a document without a statement", line=event.line, field="Document")
        elif statement is None:
            continue
        elif event.group == TRANSACTION:
            if isinstance(event, Ended):
                _take(transactions, event.fields)
        elif event.group == ENTRY:
            if isinstance(event, Began):
                yield from statement.head(event.outer)
                transactions = []
            else:
                number += 1
                yield from statement.entry(event.fields, transactions, number)
        elif isinstance(event, Ended) and event.group == BALANCE:
            statement.balance(event)
    if is_empty:
        raise FileRefused("the file holds no document of a bank", line=1, field="Document")


def recognise_camt(start: bytes) -> bool:
    """Whether `start` begins an XML file that names one of the three messages."""
    if start.startswith(_IN_UTF_16):
        start = start.replace(b"\0", b"")[2 if start[:2] in _IN_UTF_16[:2] else 0 :]
    text = without_mark(start).lstrip()
    return text.startswith(b"<") and re.search(rb"camt\.05[234]\.001\.[0-9]{2}", text) is not None


CAMT: Final = Format(name="camt", read=read_camt, recognise=recognise_camt)


def _take(transactions: list[Fields], fields: Fields) -> None:
    """Keep a transaction of an entry: of a large batch the first, and the references of those after it."""
    if len(transactions) < 2:
        transactions.append(fields)
        return
    rest = transactions[1]
    if fields.get("RtrInf"):
        rest.setdefault("RtrInf", fields["RtrInf"])
    for field, most in (("Ref", 1000), ("Ustrd", 20)):
        values = rest.setdefault(field, [])
        values.extend(fields.get(field, [])[: max(0, most - len(values))])


class _Statement:
    """A statement while it is read."""

    def __init__(self, is_final: bool, line: int, exponents: Mapping[str, int]) -> None:
        self.is_final = is_final
        self.line = line
        self.exponents = exponents
        self.tally = Tally()
        self.balances: dict[str, Balance] = {}
        self.is_headed = False
        self.name = "without a name"
        self.written_on: date | None = None

    def head(self, fields: Fields) -> Iterator[StatementHead]:
        """Its head, the first time: all of it stands before the first entry."""
        if self.is_headed:
            return
        self.is_headed = True
        account = account_number(first(fields, "Acct") or "")
        if not account:
            raise FileRefused("a statement without an account", line=self.line, field="Acct")
        reference = name(first(fields, "Id"))
        self.name = repr(reference) if reference else f"of line {self.line}"
        with suppress(Fault):
            self.written_on = day_of(fields, "CreDtTm")
        opening = self._balance(_OPENING)
        known = next(iter(self.balances.values()), None)
        yield StatementHead(
            account=account,
            currency=first(fields, "Ccy") or (known.currency if known else None),
            statement_reference=reference,
            sequence=name(first(fields, "ElctrncSeqNb") or first(fields, "LglSeqNb")),
            opening_minor=opening.amount_minor if opening else None,
            opened_on=opening.on if opening else None,
            is_final=self.is_final,
        )

    def balance(self, event: Ended) -> None:
        """One of its balances; the first of each kind counts."""
        fields = event.fields
        code = first(fields, "Cd") or ""
        if code not in (*_OPENING, *_CLOSING) or code in self.balances:
            return
        try:
            amount_minor, currency = amount_of(fields, "Amt", self.exponents)
            on = day_of(fields, "Dt")
        except Fault as fault:
            raise FileRefused(f"balance {code}: {fault.reason}", line=event.line, field=fault.field) from None
        self.balances[code] = Balance(amount_minor, currency, on, event.line, f"Bal {code}")

    def entry(self, fields: Fields, transactions: list[Fields], number: int) -> Iterator[Part]:
        """One of its entries, if it is booked."""
        status = first(fields, "Sts")
        if status in _SKIPPED:
            self.tally.skipped += 1
            return
        try:
            if status != _BOOKED:
                raise Fault(f"the status {(status or '')[:40]!r} is not known", "Sts")
            entry = entry_of(fields, transactions, number, self.exponents, self.written_on)
        except Fault as fault:
            amount = fault.amount if isinstance(fault, Unreadable) else (None, None)
            self.tally.add_bad(*amount)
            text = bad_text(" ".join(f"{field}={value}" for field, values in fields.items() for value in values[:3]))
            yield BadLine(number=number, reason=fault.reason, field=fault.field, text=text)
            return
        self.tally.add(entry.amount_minor, entry.currency)
        yield entry

    def foot(self, fields: Fields, check_totals: bool) -> StatementFoot:
        """Its foot, once its totals have been checked."""
        opening, closing = self._balance(_OPENING), self._balance(_CLOSING)
        if check_totals:
            if opening and closing:
                self.tally.check(self.name, opening, closing, self.exponents)
            if first(fields, "PgNb") in (None, "1") and first(fields, "LastPgInd") != "false":
                self._check_summary(fields)
        return StatementFoot(
            closing_minor=closing.amount_minor if closing else None,
            closed_on=closing.on if closing else None,
            entries=self.tally.entries,
            skipped=self.tally.skipped,
        )

    def _balance(self, codes: tuple[str, ...]) -> Balance | None:
        return next((self.balances[code] for code in codes if code in self.balances), None)

    def _check_summary(self, fields: Fields) -> None:
        """Hold the entries against TxsSummry. It may count those that are not booked: then their sum is not known."""
        tally = self.tally
        read = tally.entries + tally.bad
        stated = first(fields, "TtlNtries/NbOfNtries")
        if stated and stated.isdecimal() and int(stated[:18]) not in (read, read + tally.skipped):
            raise FileRefused(
                f"statement {self.name} states {stated[:18]} entries and holds {read + tally.skipped}",
                line=self.line,
                field="TtlNtries/NbOfNtries",
            )
        if tally.skipped or not tally.is_known or len(tally.currencies) != 1:
            return
        currency = next(iter(tally.currencies))
        for side, count, amount_minor in (
            ("TtlCdtNtries", tally.credits, tally.credit_minor),
            ("TtlDbtNtries", tally.debits, tally.debit_minor),
        ):
            self._check_side(fields, side, count, amount_minor, currency)

    def _check_side(self, fields: Fields, side: str, count: int, amount_minor: int, currency: str) -> None:
        stated = first(fields, f"{side}/NbOfNtries")
        if stated and stated.isdecimal() and not self.tally.is_count(int(stated[:18]), count):
            raise FileRefused(
                f"statement {self.name} states {stated[:18]} entries of this side and holds {count}",
                line=self.line,
                field=f"{side}/NbOfNtries",
            )
        total = first(fields, f"{side}/Sum")
        if not total:
            return
        try:
            stated_minor = minor_units(total.lstrip("+"), currency, self.exponents, f"{side}/Sum")
        except Fault as fault:
            raise FileRefused(fault.reason, line=self.line, field=fault.field) from None
        if stated_minor != amount_minor:
            raise FileRefused(
                f"statement {self.name} states {major_units(stated_minor, currency, self.exponents)} of this side, its "
                f"entries come to {major_units(amount_minor, currency, self.exponents)}",
                line=self.line,
                field=f"{side}/Sum",
            )
