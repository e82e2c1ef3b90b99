"""What the names of lines lead to, and what is done so far."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import time, timedelta
from typing import Final, NamedTuple

from bezant.psp.reports import LineKind
from bezant.reconciliation.matching.model import Id, Line, Operation, Terms
from bezant.reconciliation.matching.names import relation

OF_OPERATIONS: Final = frozenset(
    {LineKind.CHARGE, LineKind.REFUND, LineKind.REFUND_FAILED, LineKind.DISPUTE, LineKind.DISPUTE_REVERSED}
)
"""The kinds of lines that operations explain; others move the balance for reasons of the PSP."""

Key = tuple[LineKind, str, int]
"""Kind, currency and amount."""

MOMENT: Final = timedelta(minutes=1)
"""An operation and its line are of one moment within this time."""

NEAR: Final = timedelta(hours=1)
"""What is a little further off is still nearer than what is not."""

_MIDNIGHT: Final = time()


class Hit(NamedTuple):
    """What one name of a line leads to: operations of the line's kind, payments."""

    operations: frozenset[int]
    payments: frozenset[Id]


class Records:
    """Both sides by position, which of them are done with, and what names lead to.

    `operations` may hold some that were explained before, done from the start.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        lines: Sequence[Line],
        done: bytearray,
        lines_done: bytearray,
        terms: Terms,
    ) -> None:
        self.operations = operations
        self.lines = lines
        self.done = done
        self.lines_done = lines_done
        self.terms = terms
        self.hits: dict[int, tuple[Hit, ...]] = {}
        self._leading: set[str] = set()
        self.of_payment: defaultdict[Id, list[int]] = defaultdict(list)
        self._look_up([n for n in range(len(lines)) if not lines_done[n] and lines[n].kind in OF_OPERATIONS])

    def open_lines(self) -> list[int]:
        """Lines of operations that are not done, in the order of their ids."""
        return sorted((n for n in self.hits if not self.lines_done[n]), key=lambda n: self.lines[n].id)

    def open_of(self, payments: Iterable[Id], kind: LineKind) -> list[int]:
        """Operations of payments that wait for a line of `kind`."""
        every = {n for payment in payments for n in self.of_payment[payment]}
        return sorted(n for n in every if not self.done[n] and self.operations[n].kind is kind)

    def _look_up(self, positions: list[int]) -> None:
        wanted: set[str] = set()
        for n in positions:
            wanted.update(self.lines[n].names, self.lines[n].payment_names)
        owners: defaultdict[str, list[int]] = defaultdict(list)
        payments: defaultdict[str, set[Id]] = defaultdict(set)
        unknown = wanted.isdisjoint
        for n, operation in enumerate(self.operations if wanted else ()):
            if not unknown(operation.names):
                for name in wanted.intersection(operation.names):
                    owners[name].append(n)
            if not unknown(operation.payment_names):
                for name in wanted.intersection(operation.payment_names):
                    payments[name].add(operation.payment)
        self._leading = owners.keys() | payments.keys()
        for n in positions:
            self.hits[n] = self._hits(self.lines[n], owners, payments)
        touched = {payment for hits in self.hits.values() for hit in hits for payment in hit.payments}
        if touched:
            for n, operation in enumerate(self.operations):
                if operation.payment in touched:
                    self.of_payment[operation.payment].append(n)

    def _hits(self, line: Line, owners: dict[str, list[int]], payments: dict[str, set[Id]]) -> tuple[Hit, ...]:
        hits: list[Hit] = []
        for name in dict.fromkeys(line.names + line.payment_names):
            named = owners.get(name, ())
            of_kind = frozenset(n for n in named if self.operations[n].kind is line.kind)
            of = frozenset(payments.get(name, ())) | {self.operations[n].payment for n in named}
            if of:
                hits.append(Hit(of_kind, of))
        return tuple(hits)

    def is_denied(self, line: int, operation: int) -> bool:
        """Whether a name that leads nowhere is of a kind that the operation has a name of, and not like it."""
        known = names_of(self.operations[operation])
        astray = [name for name in names_of(self.lines[line]) if name not in known and name not in self._leading]
        return bool(astray) and relation(astray, known).denials > 0

    def names_cost(self, line: int, operation: int) -> int | None:
        """What it costs to read the exact names of `line` as those of `operation`; None where none leads there."""
        payment = self.operations[operation].payment
        own = of_several = of_payment = denials = 0
        for hit in self.hits[line]:
            if operation in hit.operations:
                own += len(hit.operations) == 1
                of_several += len(hit.operations) > 1
            elif payment in hit.payments and not hit.operations:
                of_payment += 1
            else:
                denials += 1
                of_payment += payment in hit.payments
        if not (own or of_several or of_payment):
            return None
        said, known = self.lines[line], self.operations[operation]
        related = relation([name for name in said.names if name not in known.names], known.names)
        unlike = 10 if related.denials else 3 * (related.slips or 0)
        return 40 * denials + unlike + (0 if own else 20 * (not of_several) + nearness_cost(said, known))


def moment_cost(line: Line, operation: Operation) -> int:
    """10 where the line is of another moment than the operation, or of a day only."""
    return 10 * (is_of_a_day(line) or abs(line.occurred_at - operation.booked_at) > MOMENT)


def nearness_cost(line: Line, operation: Operation) -> int:
    """By how far the line is from the operation, among the few of one payment: a moment, an hour, more."""
    if is_of_a_day(line):
        return 5
    apart = abs(line.occurred_at - operation.booked_at)
    return 0 if apart <= MOMENT else 2 if apart <= NEAR else 5


def is_of_a_day(line: Line) -> bool:
    """Whether the line says on which day it was, and not when."""
    return line.occurred_at.time() == _MIDNIGHT


def names_of(record: Line | Operation) -> tuple[str, ...]:
    """Its own names and those of its payment."""
    return record.names + record.payment_names


def key_of_operation(operation: Operation) -> Key:
    """What a line that fits the operation exactly has in common with it."""
    return operation.kind, operation.currency, operation.amount_minor


def amount_of(line: Line) -> tuple[str, int]:
    """The currency and amount of a line in the words of the operation: what the customer was charged."""
    if line.presented_currency is not None and line.presented_minor is not None:
        return line.presented_currency, line.presented_minor
    return line.currency, line.gross_minor


def key_of(line: Line) -> Key:
    """What an operation that the line fits exactly has in common with it."""
    return (line.kind, *amount_of(line))


def is_exchanged(line: Line) -> bool:
    """Whether the line is settled in another currency than the customer was charged in."""
    return line.presented_currency not in {None, line.currency}


def exchange_slack(terms: Terms, amount_minor: int) -> int:
    """By how much the presented amount of an exchanged line may be off."""
    return max(terms.fx_tolerance_minor, abs(amount_minor) * terms.fx_tolerance_basis_points // 10_000)


def fits(line: Line, operation: Operation, terms: Terms) -> bool:
    """Whether kind, currency and amount agree, the amount of an exchanged line within tolerance."""
    currency, amount = amount_of(line)
    if currency != operation.currency or line.kind is not operation.kind:
        return False
    off = abs(amount - operation.amount_minor)
    return not off or (is_exchanged(line) and off <= exchange_slack(terms, operation.amount_minor))


def in_window(line: Line, operation: Operation, before: int, after: int) -> bool:
    """Whether the line is at most `before` days before the operation and `after` days after it."""
    return -timedelta(days=before) <= line.occurred_at - operation.booked_at <= timedelta(days=after)
