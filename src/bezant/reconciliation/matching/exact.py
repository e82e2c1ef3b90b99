"""The fast path: a line whose own names lead to one operation that it fits in all, and to which no other line leads.

A name of another kind of record says nothing, and one of a known kind that leads nowhere, as the authorization's on the
row of a capture, is outvoted by those of the operation and of its payment together. Whatever else is the least bit odd
is left for the search. One pass over the operations, one over the lines, and nothing
made but the matches.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from bezant.reconciliation.matching.model import Line, Match, Operation
from bezant.reconciliation.matching.names import kind_of

_FREE = -1
_ASKED_TWICE = -2
_NOWHERE = -3


class Exact(NamedTuple):
    """The matches, and of each operation and line by position whether it is in one."""

    matches: list[Match]
    operations: bytearray
    lines: bytearray


def match_exactly(operations: Sequence[Operation], lines: Sequence[Line]) -> Exact:
    """Lines and operations that name each other and no one else, with one amount, kind and currency."""
    leads_to = _index(operations)
    get = leads_to.get
    line_of = [_FREE] * len(operations)
    for position, line in enumerate(lines):
        names = line.names
        found = get(names[0], _NOWHERE) if names else _NOWHERE
        if found < 0 or (len(names) > 1 and names != operations[found].names):
            found = _lead(names, get)
            if found < 0:
                continue
            known = operations[found]
            if not _share(line.payment_names, known) and _is_denied(names, known.names):
                continue
        operation = operations[found]
        if line.kind is not operation.kind:
            continue
        if line.presented_currency is None:
            if line.gross_minor != operation.amount_minor or line.currency != operation.currency:
                continue
        elif line.presented_minor != operation.amount_minor or line.presented_currency != operation.currency:
            continue
        of_payment = line.payment_names
        if of_payment and of_payment[0] not in operation.payment_names and not _share(of_payment, operation):
            continue
        line_of[found] = position if line_of[found] == _FREE else _ASKED_TWICE
    return _taken(operations, lines, line_of)


def _index(operations: Sequence[Operation]) -> dict[str, int]:
    """The position of the operation that a name leads to; below zero where it is the name of several."""
    leads_to: dict[str, int] = {}
    put = leads_to.setdefault
    for position, operation in enumerate(operations):
        for name in operation.names:
            if put(name, position) != position:
                leads_to[name] = _ASKED_TWICE
    return leads_to


def _lead(names: tuple[str, ...], get: Callable[[str, int], int]) -> int:
    """The one operation that names lead to; below zero where they lead to none or to several."""
    leads = {lead for name in names if (lead := get(name, _NOWHERE)) != _NOWHERE}
    return leads.pop() if len(leads) == 1 else _NOWHERE


def _is_denied(names: tuple[str, ...], known: tuple[str, ...]) -> bool:
    """Whether a name is of a kind that the operation has a name of, and is another."""
    others = [name for name in names if name not in known]
    return bool(others) and not {kind_of(name) for name in others}.isdisjoint([kind_of(name) for name in known])


def _share(of_payment: tuple[str, ...], operation: Operation) -> bool:
    return any(name in operation.payment_names for name in of_payment)


def _taken(operations: Sequence[Operation], lines: Sequence[Line], line_of: list[int]) -> Exact:
    exact = Exact([], bytearray(len(operations)), bytearray(len(lines)))
    for position, line in enumerate(line_of):
        if line >= 0:
            exact.matches.append(Match((operations[position],), (lines[line],), "own name"))
            exact.operations[position] = exact.lines[line] = 1
    return exact
