"""Explanations of lines without a name: by amount and moment; else by amount and day, where nothing else is possible.

A row without a name may be of any operation of its amount that no other row explains. Hardly two of them are of one
moment. On one day they may be: then the row must not be able to be a late one of another operation either.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from bezant.reconciliation.matching.choose import Option
from bezant.reconciliation.matching.known import Records, is_of_a_day, moment_cost
from bezant.reconciliation.matching.model import Line

NO_NAME: Final = 200
OF_A_DAY: Final = 10


class Nameless(NamedTuple):
    """A line without a name and an operation of its kind, currency and amount in the widest window, by position."""

    line: int
    operation: int


class Dated(NamedTuple):
    """Explanations by the day: of lines that could be of nothing else, and all those of lines that could."""

    evident: list[Option]
    doubtful: list[Option]


def momentary(records: Records, pairs: Iterable[Nameless]) -> list[Option]:
    """Explanations by the moment."""
    return [
        Option((pair.operation,), (pair.line,), NO_NAME, "amount and moment")
        for pair in pairs
        if not moment_cost(records.lines[pair.line], records.operations[pair.operation])
    ]


def dated(records: Records, pairs: Iterable[Nameless]) -> Dated:
    """Explanations by the day, of what is still open."""
    found = Dated([], [])
    of_line: defaultdict[int, list[int]] = defaultdict(list)
    for line, operation in pairs:
        if not (records.lines_done[line] or records.done[operation]):
            of_line[line].append(operation)
    for line, operations in of_line.items():
        near = sum(_is_near(records, line, n) for n in operations)
        if near:
            options = found.evident if near == len(operations) else found.doubtful
            options += [Option((n,), (line,), NO_NAME + OF_A_DAY, "amount and date") for n in operations]
    return found


def _is_near(records: Records, line: int, operation: int) -> bool:
    """Whether they are within so many days; of a line that says only its day, the day counts."""
    said, known = records.lines[line], records.operations[operation]
    if is_of_a_day(said):
        return abs((said.occurred_at.date() - known.booked_at.date()).days) <= records.terms.nameless_days
    return abs(said.occurred_at - known.booked_at) <= timedelta(days=records.terms.nameless_days)


def in_time(records: Records, operations: Iterable[int]) -> list[int]:
    """`operations` in the order of their time."""
    return sorted(operations, key=lambda n: (records.operations[n].booked_at, records.operations[n].id))


def nearest(records: Records, line: Line, ordered: Sequence[int]) -> Sequence[int]:
    """Of operations in the order of their time those around a line, one more than is weighed at once."""
    at = bisect_left(ordered, line.occurred_at, key=lambda n: records.operations[n].booked_at)
    count = records.terms.component_max + 1
    return ordered[max(0, min(at - count // 2, len(ordered) - count)) :][:count]
