"""An entry of a camt message out of its fields. Pure."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from bezant.banks.contract import EntryKind, StatementEntry
from bezant.banks.values import Fault, day, joined, minor_units, name, names, other_account
from bezant.banks.xml_groups import Fields

_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:T.*|Z|[+-][0-9:]{4,6})?", re.DOTALL)
_SIGNS: Final = {"CRDT": 1, "DBIT": -1}
_TRUE: Final = frozenset({"true", "1"})

FEES: Final = frozenset({"CHRG", "COMM", "COME", "COMI", "COMT", "FEES"})
INTERESTS: Final = frozenset({"INTR"})
RETURNS: Final = frozenset({"RRTN", "RPCR", "PRTN", "UPDD", "UPCT", "UPCQ", "RCDD", "PRDD", "CQRV"})
"""Sub-families of ISO 20022's external bank transaction codes."""


class Unreadable(Fault):
    """A fault of an entry whose amount is known."""

    def __init__(self, fault: Fault, amount: tuple[int, str]) -> None:
        super().__init__(fault.reason, fault.field)
        self.amount = amount


def first(fields: Fields, field: str) -> str | None:
    """The first text of a field."""
    values = fields.get(field)
    return values[0] if values else None


def amount_of(fields: Fields, field: str, exponents: Mapping[str, int]) -> tuple[int, str]:
    """A signed amount and its currency. Raises `Fault`."""
    currency = first(fields, f"{field}@Ccy")
    if currency is None:
        raise Fault("an amount without a currency", f"{field} Ccy")
    amount_minor = minor_units((first(fields, field) or "").removeprefix("+"), currency, exponents, field)
    sign = _SIGNS.get(first(fields, "CdtDbtInd") or "")
    if sign is None:
        raise Fault(f"{(first(fields, 'CdtDbtInd') or '')[:40]!r} is neither CRDT nor DBIT", "CdtDbtInd")
    return sign * amount_minor, currency


def day_of(fields: Fields, field: str) -> date | None:
    """A day, also out of a time: the bank's own day. Raises `Fault`."""
    text = first(fields, field)
    if text is None:
        return None
    found = _DAY.fullmatch(text)
    if not found:
        raise Fault(f"{text[:40]!r} is no day", field)
    return day(int(found[1]), int(found[2]), int(found[3]), text, field)


def entry_of(
    fields: Fields,
    transactions: list[Fields],
    number: int,
    exponents: Mapping[str, int],
    written_on: date | None = None,
) -> StatementEntry:
    """A booked entry. Raises `Fault`, `Unreadable` where at least the amount can be read."""
    amount_minor, currency = amount = amount_of(fields, "Amt", exponents)
    try:
        value_on = day_of(fields, "ValDt")
        booked_on = day_of(fields, "BookgDt") or value_on or written_on
    except Fault as fault:
        raise Unreadable(fault, amount) from None
    if booked_on is None:
        raise Unreadable(Fault("an entry without a day", "BookgDt"), amount)
    is_reversal = first(fields, "RvslInd") in _TRUE
    single = transactions[0] if len(transactions) == 1 else {}
    from_whom = "Dbtr" if (amount_minor >= 0) != is_reversal else "Cdtr"
    account = first(single, f"{from_whom}Acct")
    reference = name(first(fields, "AcctSvcrRef"))
    original_minor, original_currency = _original(fields, single, amount, exponents)
    return StatementEntry(
        number=number,
        amount_minor=amount_minor,
        currency=currency,
        booked_on=booked_on,
        value_on=value_on,
        kind=_kind(fields, transactions, single),
        is_reversal=is_reversal,
        entry_reference=reference,
        references=names(
            [text for transaction in transactions for text in transaction.get("Ref", [])]
            + fields.get("Ref", [])
            + fields.get("NtryRef", []),
            but=reference,
        ),
        text=joined(_texts(fields, transactions)),
        counterparty=name(first(single, f"{from_whom}/Nm") or first(single, f"Ultmt{from_whom}/Nm")),
        counterparty_account=other_account(account),
        original_minor=original_minor,
        original_currency=original_currency,
    )


def _texts(fields: Fields, transactions: list[Fields]) -> list[str]:
    """What was written, the counterparty's own words first."""
    written = [text for transaction in transactions for text in transaction.get("Ustrd", [])]
    added = [text for transaction in transactions for text in transaction.get("AddtlInf", [])]
    return written + added + fields.get("AddtlInf", [])


def _kind(fields: Fields, transactions: list[Fields], single: Fields) -> EntryKind:
    codes = {*fields.get("SubFmlyCd", ()), *single.get("SubFmlyCd", ())}
    if codes & RETURNS or any(transaction.get("RtrInf") for transaction in transactions):
        return EntryKind.RETURN
    if codes & FEES:
        return EntryKind.FEE
    return EntryKind.INTEREST if codes & INTERESTS else EntryKind.TRANSFER


def _original(
    fields: Fields, single: Fields, amount: tuple[int, str], exponents: Mapping[str, int]
) -> tuple[int | None, str | None]:
    """What was sent in another currency, with the entry's sign. What cannot be read of it is left out."""
    for source in (fields, single):
        currency, text = first(source, "InstdAmt@Ccy"), first(source, "InstdAmt")
        if currency is None or text is None or currency == amount[1]:
            continue
        try:
            instructed_minor = minor_units(text, currency, exponents, "InstdAmt")
        except Fault:
            continue
        if instructed_minor:
            return (instructed_minor if amount[0] >= 0 else -instructed_minor), currency
    return None, None
