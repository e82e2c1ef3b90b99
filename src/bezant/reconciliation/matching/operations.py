"""Operations of the ledger against lines of PSP reports.

Rules are taken in order, and what one has explained is out of reach of the next:

1. A line whose own names lead to one operation that it fits, to which no other line leads (`exact`).
2. What exact names lead to: pairs, groups within one payment whose sums are equal, names that two lines exchanged.
3. Names that are alike but for slips of a pen.
4. Amount, currency, kind and date alone, for lines without a name that could say otherwise.
5. A refund and its failure that no line reports explain each other.

Within a rule the most matches are taken, and of those sets the one that costs least, exactly, within each set of
records that could explain each other (`choose`). Amounts are gross, as the customer was charged; fees play no part.

| what an explanation costs | |
|---|---|
| an own name leads to the operation | 0 |
| only names of its payment do | 20 |
| ... and own names are there but others: each slip between them, or where they are not alike | 3, or 10 |
| each name that leads to something else | 40 |
| names are alike: each slip | 30 |
| ... and names of the same kind are there that are not | 40 each |
| ... and other known names lie as close, where that is allowed at all | 50 |
| there is no name | 200 |
| not of the same moment (5 minutes), where no own name leads to it | 10 |
| each record of a group beyond two | 100 |
| an exchanged amount within tolerance but not equal, in a group or pair | 2 |
| each line before it that says the same, by (`occurred_at`, `id`) | 1, at most 9 |
| names that two lines exchanged | 300 for both |

What remains equal is reported as ambiguous, with one exception: operations of one payment, of one kind and amount, and
as many lines, are explained in the order in which they happened; where times do not tell it, as one group.

A line whose names lead to an operation that it does not fit explains nothing by amount alone.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from bezant.psp.reports import LineKind
from bezant.reconciliation.matching.alike import searched_options
from bezant.reconciliation.matching.choose import Option, choose
from bezant.reconciliation.matching.exact import match_exactly
from bezant.reconciliation.matching.known import Records, fits
from bezant.reconciliation.matching.model import Ambiguous, Candidate, Explained, Id, Line, Match, Operation, Terms
from bezant.reconciliation.matching.named import named_options
from bezant.reconciliation.matching.notes import notes_of

CANDIDATES_MAX = 20
"""How many candidates an ambiguous case lists."""


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
    a duplicate. `now`: until when operations may still be reported; None: all reports are in.
    """
    exact = match_exactly(operations, lines)
    known = [*operations, *explained_before] if explained_before else operations
    done = exact.operations + bytearray(b"\1") * len(explained_before)
    records = Records(known, lines, done, exact.lines, terms)
    run = _Run(records, exact.matches)
    run.take(named_options(records, run.lines_left()))
    searched = searched_options(records, [n for n in run.lines_left() if _leads_nowhere(records, n)])
    run.take(searched.alike)
    run.take(searched.nameless)
    run.pair_undone([n for n in range(len(operations)) if not done[n]], now)
    left = [n for n in range(len(lines)) if not records.lines_done[n]]
    return Explained(
        matches=run.matches,
        ambiguous=run.ambiguous,
        noted=notes_of(records, [n for n in run.lines_left() if n not in run.tied_lines]),
        operations=[operation for n, operation in enumerate(operations) if not done[n]],
        lines=[lines[n] for n in left],
    )


def _leads_nowhere(records: Records, line: int) -> bool:
    """Whether exact names lead to nothing, or only to operations that are done and that the line does not fit."""
    hits = records.hits[line]
    owners = [n for hit in hits for n in hit.operations]
    return not hits or bool(
        owners
        and all(records.done[n] and not fits(records.lines[line], records.operations[n], records.terms) for n in owners)
    )


class _Run:
    """What is explained so far, and what is tied and so out of reach."""

    def __init__(self, records: Records, matches: list[Match]) -> None:
        self.records = records
        self.matches = matches
        self.ambiguous: list[Ambiguous] = []
        self.tied_lines: set[int] = set()
        self.tied_operations: set[int] = set()

    def lines_left(self) -> list[int]:
        return [n for n in self.records.open_lines() if n not in self.tied_lines]

    def take(self, options: Iterable[Option]) -> None:
        """The best of `options`, of those that touch nothing taken or tied before."""
        records, terms = self.records, self.records.terms
        free = [option for option in options if self._is_free(option)]
        ours = sorted({n for o in free for n in o.ours}, key=lambda n: records.operations[n].id)
        theirs = sorted({n for o in free for n in o.theirs}, key=lambda n: records.lines[n].id)
        chosen = choose(
            _moved(free, _places(ours), _places(theirs)), items_max=terms.component_max, budget=terms.budget
        )
        for option in _moved(chosen.taken, ours, theirs):
            for mine, other in option.parts or ((option.ours, option.theirs),):
                self._match(mine, other, option.rule, option.cost)
        for options_tied in chosen.tied:
            if not self._in_order(tied := _moved(options_tied, ours, theirs)):
                self._report(tied, "explanations that are equally good")
        for options_beyond in chosen.beyond:
            self._report(_moved(options_beyond, ours, theirs), "more possible explanations than are weighed at once")

    def _is_free(self, option: Option) -> bool:
        return not (
            any(self.records.done[n] or n in self.tied_operations for n in option.ours)
            or any(self.records.lines_done[n] or n in self.tied_lines for n in option.theirs)
        )

    def _match(self, ours: Iterable[int], theirs: Iterable[int], rule: str, cost: int) -> None:
        records = self.records
        by_id = sorted(ours, key=lambda n: records.operations[n].id), sorted(theirs, key=lambda n: records.lines[n].id)
        self.matches.append(
            Match(tuple(records.operations[n] for n in by_id[0]), tuple(records.lines[n] for n in by_id[1]), rule, cost)
        )
        for n in by_id[0]:
            records.done[n] = 1
        for n in by_id[1]:
            records.lines_done[n] = 1

    def _in_order(self, tied: list[Option]) -> bool:
        """Whether these are like operations of one payment and as many lines, which are explained as they happened."""
        records = self.records
        ours, theirs = _all_of(tied)
        operations = [records.operations[n] for n in ours]
        alike = {(o.payment, o.kind, o.currency, o.amount_minor) for o in operations}
        if len(alike) > 1 or len(ours) != len(theirs) or any(len(o.ours) + len(o.theirs) > 2 for o in tied):
            return False
        ours.sort(key=lambda n: records.operations[n].booked_at)
        theirs.sort(key=lambda n: records.lines[n].occurred_at)
        pairs = {(option.ours[0], option.theirs[0]): option for option in tied}
        if not all(pair in pairs for pair in zip(ours, theirs, strict=True)):
            return False
        times = {o.booked_at for o in operations}, {records.lines[n].occurred_at for n in theirs}
        if len(times[0]) == len(times[1]) == len(ours):
            for pair in zip(ours, theirs, strict=True):
                self._match(pair[:1], pair[1:], f"{pairs[pair].rule}, in order", pairs[pair].cost)
        else:
            self._match(ours, theirs, "group of a payment", max(option.cost for option in tied))
        return True

    def _report(self, options: list[Option], reason: str) -> None:
        records = self.records
        ours, theirs = _all_of(options)
        self.tied_operations.update(ours)
        self.tied_lines.update(theirs)

        def ids(records_of_side: Sequence[Operation] | Sequence[Line], positions: Iterable[int]) -> tuple[Id, ...]:
            return tuple(sorted(records_of_side[n].id for n in positions))

        candidates = sorted((ids(records.operations, o.ours), ids(records.lines, o.theirs)) for o in options)
        self.ambiguous.append(
            Ambiguous(
                ids(records.operations, ours),
                ids(records.lines, theirs),
                tuple(Candidate(*candidate) for candidate in candidates[:CANDIDATES_MAX]),
                reason,
            )
        )

    def pair_undone(self, waiting: list[int], now: datetime | None) -> None:
        """Refunds that failed before any report: the two operations explain each other."""
        records = self.records
        failed = [
            n
            for n in waiting
            if (operation := records.operations[n]).kind is LineKind.REFUND_FAILED
            and n not in self.tied_operations
            and (now is None or operation.booked_at + records.terms.skew <= now)
        ]
        if not failed:
            return
        payments = {records.operations[n].payment for n in failed}
        named = self._named_by_lines_left()
        refunds = [
            n
            for n in waiting
            if records.operations[n].kind is LineKind.REFUND
            and records.operations[n].payment in payments
            and not (n in named or n in self.tied_operations)
        ]
        options = [
            Option((refund, failure), (), 0, "undone before it was reported")
            for failure in failed
            if failure not in named
            for refund in refunds
            if _undoes(records.operations[failure], records.operations[refund])
        ]
        self.take(options)

    def _named_by_lines_left(self) -> set[int]:
        records = self.records
        hits = (hit for n in records.open_lines() for hit in records.hits[n])
        return {n for hit in hits for n in hit.operations}


def _undoes(failure: Operation, refund: Operation) -> bool:
    return (
        failure.payment == refund.payment
        and failure.currency == refund.currency
        and failure.amount_minor == -refund.amount_minor
        and not (failure.names and refund.names and set(failure.names).isdisjoint(refund.names))
    )


def _places(positions: Sequence[int]) -> dict[int, int]:
    return {position: place for place, position in enumerate(positions)}


def _moved(
    options: Iterable[Option], ours: Sequence[int] | dict[int, int], theirs: Sequence[int] | dict[int, int]
) -> list[Option]:
    """`options` with each position replaced."""

    def both(mine: Iterable[int], other: Iterable[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return tuple(sorted(ours[n] for n in mine)), tuple(sorted(theirs[n] for n in other))

    return [
        Option(*both(o.ours, o.theirs), o.cost, o.rule, tuple(sorted(both(mine, other) for mine, other in o.parts)))
        for o in options
    ]


def _all_of(options: Iterable[Option]) -> tuple[list[int], list[int]]:
    """The positions on each side that options hold."""
    some = list(options)
    return sorted({n for o in some for n in o.ours}), sorted({n for o in some for n in o.theirs})
