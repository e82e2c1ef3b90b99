"""What is wrong, after all that could be explained is."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time

from bezant.psp.reports import LineKind
from bezant.reconciliation.matching.fees import fee_off_by
from bezant.reconciliation.matching.known import OF_OPERATIONS, amount_of
from bezant.reconciliation.matching.model import (
    Ambiguous,
    BreakKind,
    Deposit,
    Explained,
    ExplainedDeposits,
    Found,
    Id,
    Line,
    Match,
    Noted,
    Operation,
    Payout,
    Terms,
)
from bezant.reconciliation.matching.notes import money

EXPLAINED_BY_THEMSELVES = frozenset({LineKind.FEE, LineKind.PAYOUT, LineKind.PAYOUT_FAILED})
"""Lines that need no operation."""


def find_breaks(explained: Explained, now: datetime, terms: Terms) -> list[Found]:
    """The breaks between operations and lines. Each record that is left is the subject of one, in front or behind."""
    operations = {operation.id: operation for operation in explained.operations}
    lines = {line.id: line for line in explained.lines}
    found = [_ambiguous(one, _facts(one, lines, operations)) for one in explained.ambiguous]
    found += [_of_note(note, lines[note.theirs[0]], operations) for note in explained.noted]
    told = {subject for one in found for subject in one.subjects}
    for line in lines.values():
        if line.id not in told and line.kind not in EXPLAINED_BY_THEMSELVES:
            found.append(_missing_internal_row(line))
    for operation in operations.values():
        if operation.id not in told:
            found.append(_missing_psp_row(operation, now, terms))
    found += _fee_mismatches(explained.matches, terms)
    return sorted(found, key=lambda one: (one.kind, one.subjects))


def find_deposit_breaks(explained: ExplainedDeposits, now: datetime, terms: Terms) -> list[Found]:
    """The breaks between payouts and deposits."""
    payouts = {payout.id: payout for payout in explained.payouts}
    deposits = {deposit.id: deposit for deposit in explained.deposits}
    found = [_ambiguous(one, _facts_of_deposits(deposits, one.theirs)) for one in explained.ambiguous]
    for note in explained.noted:
        deposit = deposits[note.theirs[0]]
        expected = sum(payouts[p].amount_minor for p in note.ours if p in payouts)
        mismatch = note.kind is BreakKind.AMOUNT_MISMATCH and deposit.currency == payouts[note.ours[0]].currency
        at_risk = abs(deposit.amount_minor - expected) if mismatch else abs(deposit.amount_minor)
        found.append(
            Found(note.kind, (deposit.id, *note.ours), deposit.currency, at_risk, _midnight(deposit), note.detail)
        )
    told = {subject for one in found for subject in one.subjects}
    found += [_unmatched_deposit(deposit) for deposit in deposits.values() if deposit.id not in told]
    found += [_missing_deposit(payout, now, terms) for payout in payouts.values() if payout.id not in told]
    return sorted(found, key=lambda one: (one.kind, one.subjects))


def find_payout_mismatches(payouts: Iterable[Payout], nets: Mapping[Id, int]) -> list[Found]:
    """Payouts that are not the sum of their lines' nets, by payout; those without any are not known line by line."""
    return [
        Found(
            BreakKind.PAYOUT_MISMATCH,
            (payout.id,),
            payout.currency,
            abs(payout.amount_minor - nets[payout.id]),
            payout.paid_at,
            f"{money(payout.amount_minor, payout.currency)} paid out, "
            f"its lines add up to {money(nets[payout.id], payout.currency)}",
        )
        for payout in sorted(payouts, key=lambda payout: payout.id)
        if payout.id in nets and nets[payout.id] != payout.amount_minor
    ]


def _ambiguous(one: Ambiguous, facts: tuple[str, int, datetime]) -> Found:
    currency, at_risk, since = facts
    detail = f"{one.reason}: {len(one.candidates)} candidates"
    return Found(BreakKind.AMBIGUOUS, (*one.theirs, *one.ours), currency, at_risk, since, detail)


def _facts(one: Ambiguous, lines: Mapping[Id, Line], operations: Mapping[Id, Operation]) -> tuple[str, int, datetime]:
    facts = [(*amount_of(lines[n]), lines[n].occurred_at) for n in one.theirs] or [
        (operations[n].currency, operations[n].amount_minor, operations[n].booked_at) for n in one.ours
    ]
    currency = facts[0][0]
    return currency, sum(abs(amount) for of, amount, _ in facts if of == currency), min(at for *_, at in facts)


def _facts_of_deposits(deposits: Mapping[Id, Deposit], ids: Sequence[Id]) -> tuple[str, int, datetime]:
    some = [deposits[n] for n in ids]
    at_risk = sum(abs(deposit.amount_minor) for deposit in some if deposit.currency == some[0].currency)
    return some[0].currency, at_risk, min(_midnight(deposit) for deposit in some)


def _of_note(note: Noted, line: Line, operations: Mapping[Id, Operation]) -> Found:
    currency, amount = amount_of(line)
    at_risk = abs(amount)
    if note.kind is BreakKind.AMOUNT_MISMATCH:
        at_risk = abs(amount - operations[note.ours[0]].amount_minor)
    subjects = (line.id, *note.ours)
    return Found(note.kind, subjects, currency, at_risk, line.occurred_at, note.detail, note.payment)


def _missing_internal_row(line: Line) -> Found:
    currency, amount = amount_of(line)
    what = "no operation that it could be of is known" if line.kind in OF_OPERATIONS else "of no operation"
    return Found(
        BreakKind.MISSING_INTERNAL_ROW, (line.id,), currency, abs(amount), line.occurred_at, f"{line.kind}: {what}"
    )


def _missing_psp_row(operation: Operation, now: datetime, terms: Terms) -> Found:
    late = now - operation.booked_at > terms.skew
    detail = "no line of a report explains it"
    return Found(
        BreakKind.MISSING_PSP_ROW if late else BreakKind.TIMING_SKEW,
        (operation.id,),
        operation.currency,
        abs(operation.amount_minor),
        operation.booked_at,
        detail if late else f"{detail} yet",
        operation.payment,
    )


def _fee_mismatches(matches: Collection[Match], terms: Terms) -> Iterator[Found]:
    if not terms.fees:
        return
    for match in matches:
        off = fee_off_by(match.lines, terms)
        if off:
            agreed, by = off
            currency = match.lines[0].currency
            yield Found(
                BreakKind.FEE_MISMATCH,
                tuple(line.id for line in match.lines) + tuple(operation.id for operation in match.operations),
                currency,
                abs(by),
                min(line.occurred_at for line in match.lines),
                f"a fee of {money(agreed + by, currency)} where {money(agreed, currency)} is agreed",
                match.operations[0].payment,
            )


def _unmatched_deposit(deposit: Deposit) -> Found:
    return Found(
        BreakKind.UNMATCHED_DEPOSIT,
        (deposit.id,),
        deposit.currency,
        abs(deposit.amount_minor),
        _midnight(deposit),
        "no payout explains it",
    )


def _missing_deposit(payout: Payout, now: datetime, terms: Terms) -> Found:
    late = now - payout.paid_at > terms.deposit_skew
    return Found(
        BreakKind.MISSING_DEPOSIT if late else BreakKind.TIMING_SKEW,
        (payout.id,),
        payout.currency,
        abs(payout.amount_minor),
        payout.paid_at,
        "it has not arrived at the bank" if late else "it has not arrived at the bank yet",
    )


def _midnight(deposit: Deposit) -> datetime:
    return datetime.combine(deposit.booked_on, time(), UTC)
