"""Operations of the ledger against lines of PSP reports.

Rules are taken in order, and what one has explained is out of reach of the next:

1. A line whose own names lead to one operation that it fits, to which no other line leads (`exact`).
2. What exact names lead to: pairs, groups within one payment whose sums are equal, names that two lines exchanged.
3. Names that are alike but for slips of a pen.
4. Amount, currency and kind alone, for lines without a name that could say otherwise: first at the same moment, then
   on the same day, where no other open operation could be reported so late (`nameless`).
5. A refund and its failure that no line reports, although reports go on long after them, explain each other.

Within a rule the most matches are taken, and of those sets the one that costs least, exactly, within each set of
records that could explain each other (`choose`). Amounts are gross, as the customer was charged; fees play no part.

| what an explanation costs | |
|---|---|
| an own name leads to the operation | 0 |
| only names of its payment do | 20 |
| an own name is there that is not the operation's: each slip, or where it is not alike | 3, or 10 |
| each name that leads to something else | 40 |
| names are alike: each slip | 30 |
| ... and names of the same kind are there that are not | 40 each |
| ... and other known names lie as close, where that is allowed at all | 50 |
| there is no name | 200 |
| not of the same moment (a minute), where a name is only alike or there is none | 10 |
| not of the same moment but within an hour, or further, where no name is one operation's alone | 2, or 5 |
| each record of a group beyond two | 100 |
| an exchanged amount within tolerance but not equal, in a group or pair | 2 |
| each line before it that says the same, by (`occurred_at`, `id`) | 1, at most 9 |
| names that two lines exchanged, both in the window of days | 300 for both |

What remains equal is reported as ambiguous, also where operations differ in nothing but their ids.

A line whose names lead to an operation that it does not fit explains nothing by amount alone.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from bezant.psp.reports import LineKind
from bezant.reconciliation.matching.alike import searched_options
from bezant.reconciliation.matching.choose import Option
from bezant.reconciliation.matching.exact import match_exactly
from bezant.reconciliation.matching.known import Records, fits
from bezant.reconciliation.matching.model import Explained, Line, Match, Operation, Terms
from bezant.reconciliation.matching.named import named_options
from bezant.reconciliation.matching.nameless import dated, momentary
from bezant.reconciliation.matching.notes import notes_of
from bezant.reconciliation.matching.taking import Taking


def match_operations(
    operations: Sequence[Operation],
    lines: Sequence[Line],
    terms: Terms,
    *,
    explained_before: Sequence[Operation] = (),
    now: datetime | None = None,
) -> Explained:
    """Which lines explain which operations.

    `explained_before`: operations that lines have explained already, so that a line that names one again is known as
    a duplicate. `now`: as far as reports go; None: as far as the last of `lines`, or, without any, to
    the end.
    """
    exact = match_exactly(operations, lines)
    known = [*operations, *explained_before] if explained_before else operations
    done = exact.operations + bytearray(b"\1") * len(explained_before)
    records = Records(known, lines, done, exact.lines, terms)
    taking = Taking(known, lines, done, exact.lines, terms)

    def lines_left() -> list[int]:
        return [n for n in records.open_lines() if n not in taking.their_tied]

    taking.take(named_options(records, lines_left()))
    searched = searched_options(records, [n for n in lines_left() if _leads_nowhere(records, n)])
    taking.take(searched.alike)
    taking.take(momentary(records, searched.nameless))
    by_day = dated(records, searched.nameless)
    taking.take(by_day.evident)
    taking.doubt(by_day.doubtful)
    taking.take(_undone(records, [n for n in range(len(operations)) if not done[n]], now))
    found = [
        Match(tuple(known[n] for n in t.ours), tuple(lines[n] for n in t.theirs), t.rule, t.cost) for t in taking.taken
    ]
    return Explained(
        matches=exact.matches + found,
        ambiguous=taking.ambiguous,
        noted=notes_of(records, lines_left()),
        operations=[operation for n, operation in enumerate(operations) if not done[n]],
        lines=[line for n, line in enumerate(lines) if not exact.lines[n]],
    )


def _leads_nowhere(records: Records, n: int) -> bool:
    """Whether exact names lead to nothing, or only to what others deny or what is done and the line does not fit."""
    line, hits = records.lines[n], records.hits[n]
    led_to = {o for hit in hits for o in hit.operations} or {
        o for hit in hits for payment in hit.payments for o in records.of_payment[payment]
    }
    return not hits or all(
        records.is_denied(n, o) or (records.done[o] and not fits(line, operation, records.terms))
        for o in led_to
        if (operation := records.operations[o]).kind is line.kind
    )


def _undone(records: Records, waiting: list[int], now: datetime | None) -> list[Option]:
    """Refunds that failed before any report: the two operations explain each other."""
    failed = [n for n in waiting if records.operations[n].kind is LineKind.REFUND_FAILED]
    until = now or max((line.occurred_at for line in records.lines), default=None) if failed else None
    if until:
        failed = [n for n in failed if records.operations[n].booked_at + records.terms.skew <= until]
    if not failed:
        return []
    payments = {records.operations[n].payment for n in failed}
    named = set(_named_by_open_lines(records))
    refunds = [
        n
        for n in waiting
        if records.operations[n].kind is LineKind.REFUND
        and records.operations[n].payment in payments
        and n not in named
    ]
    return [
        Option((refund, failure), (), 0, "undone before it was reported")
        for failure in failed
        if failure not in named
        for refund in refunds
        if _undoes(records.operations[failure], records.operations[refund])
    ]


def _named_by_open_lines(records: Records) -> Iterator[int]:
    return (n for line in records.open_lines() for hit in records.hits[line] for n in hit.operations)


def _undoes(failure: Operation, refund: Operation) -> bool:
    return (
        failure.payment == refund.payment
        and failure.currency == refund.currency
        and failure.amount_minor == -refund.amount_minor
        and not (failure.names and refund.names and set(failure.names).isdisjoint(refund.names))
    )
