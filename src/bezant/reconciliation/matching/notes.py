"""What lines that explain nothing say of the operations that their names lead to."""

from collections.abc import Iterable

from bezant.base.money import EXPONENTS, major_text
from bezant.reconciliation.matching.known import Records, amount_of, fits, is_exchanged
from bezant.reconciliation.matching.model import BreakKind, Id, Line, Noted, Operation
from bezant.reconciliation.matching.names import relation


def notes_of(records: Records, lines: Iterable[int]) -> list[Noted]:
    """A note for each of `lines` whose names lead somewhere."""
    notes = (_note(records, n) for n in lines if records.hits[n])
    return [note for note in notes if note]


def _note(records: Records, n: int) -> Noted | None:
    line = records.lines[n]
    payments = {payment for hit in records.hits[n] for payment in hit.payments}
    named = sorted({o for hit in records.hits[n] for o in hit.operations}, key=lambda o: records.operations[o].id)
    if not named:
        named = [o for o in _of_payments(records, payments, line) if not _denied(line, records.operations[o])]
        named = _one_that_matters(records, line, named)
    if len(payments) > 1 and len(named) != 1:
        return _noted(BreakKind.CONTRADICTION, named, records, line, "its names belong to different payments", None)
    payment = min(payments)
    if not named:
        detail = f"no {line.kind} of this amount is known of the payment that it names"
        return _noted(BreakKind.MISSING_INTERNAL_ROW, [], records, line, detail, payment)
    operation = records.operations[named[0]]
    currency, amount = amount_of(line)
    if currency != operation.currency:
        detail = f"in {currency}, and not presented in {operation.currency}"
        return _noted(BreakKind.CURRENCY_MISMATCH, named, records, line, detail, payment)
    if not records.done[named[0]] and fits(line, operation, records.terms):
        return _noted(BreakKind.CONTRADICTION, named, records, line, "its other names deny the one that fits", payment)
    if not records.done[named[0]]:
        detail = f"{money(amount, currency)} reported, {money(operation.amount_minor, currency)} booked"
        return _noted(BreakKind.AMOUNT_MISMATCH, named, records, line, detail, payment)
    if fits(line, operation, records.terms):
        return _noted(BreakKind.DUPLICATE_PSP_ROW, named, records, line, "another line explains the operation", payment)
    exchanged = " presented" if is_exchanged(line) else ""
    detail = f"{money(amount, currency)}{exchanged} beyond what the operation is explained by"
    return _noted(BreakKind.EXCESS, named, records, line, detail, payment)


def _of_payments(records: Records, payments: Iterable[Id], line: Line) -> list[int]:
    found = {n for payment in payments for n in records.of_payment[payment] if records.operations[n].kind is line.kind}
    return sorted(found, key=lambda n: records.operations[n].id)


def _denied(line: Line, operation: Operation) -> bool:
    """Whether the line is named, and by nothing like what the operation is named."""
    related = relation(line.names, operation.names)
    return related.slips is None and related.denials > 0


def _one_that_matters(records: Records, line: Line, named: list[int]) -> list[int]:
    """Of the operations of its payment the one that the line must be about; none where it could be any."""
    waiting = [n for n in named if not records.done[n]]
    if waiting:
        return waiting if len(waiting) == 1 else []
    return [n for n in named if fits(line, records.operations[n], records.terms)][:1]


def _noted(kind: BreakKind, named: list[int], records: Records, line: Line, detail: str, payment: Id | None) -> Noted:
    return Noted(kind, tuple(records.operations[n].id for n in named), (line.id,), detail, payment)


def money(amount_minor: int, currency: str) -> str:
    """An amount for people, also in a currency that is not known."""
    return major_text(amount_minor, currency) if currency in EXPONENTS else f"{amount_minor} minor units of {currency}"
