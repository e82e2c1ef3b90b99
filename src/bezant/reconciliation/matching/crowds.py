"""Where known names lie so close together that one slip leads from one to another, as numbers in a row do.

There a name that is alike says little, and even one that is exact may be another's, mistyped, where other names of the
same line deny it. What it says counts only if no other operation of the window has that kind, currency and amount.
"""

from collections.abc import Collection, Iterable

from bezant.reconciliation.matching.known import Key, Records, in_window, key_of_operation, names_of
from bezant.reconciliation.matching.names import likeness, one_slip_away, slips_max


class Crowds:
    """Of pairs of lines and operations, by position: how much the names of the line can be trusted."""

    def __init__(self, records: Records, pairs: Collection[tuple[int, int]]) -> None:
        self._records = records
        said = {name for line, _ in pairs for name in names_of(records.lines[line]) if slips_max(name)}
        known = (name for operation in records.operations for name in names_of(operation))
        self._near = one_slip_away(said, known) if said else {}
        keys = {key_of_operation(records.operations[operation]) for _, operation in pairs}
        self._rivals = operations_by_key(records, keys, only_open=False) if self._near else {}

    def is_crowded(self, line: int, operation: int) -> bool:
        """Whether another's name is one slip away from a name of the line that speaks for the operation."""
        known = names_of(self._records.operations[operation])
        return any(
            self._near.get(name, set()).difference(known)
            for name in names_of(self._records.lines[line])
            if any(likeness(name, other) is not None for other in known)
        )

    def has_rival(self, line: int, operation: int) -> bool:
        """Whether another operation of the window has the same kind, currency and amount."""
        records, terms = self._records, self._records.terms
        return any(
            n != operation
            and in_window(records.lines[line], records.operations[n], terms.window_days_before, terms.late_days_after)
            for n in self._rivals.get(key_of_operation(records.operations[operation]), ())
        )


def operations_by_key(records: Records, keys: Iterable[Key], *, only_open: bool) -> dict[Key, list[int]]:
    """Operations of each kind, currency and amount that is asked for."""
    buckets: dict[Key, list[int]] = {key: [] for key in keys}
    for n, operation in enumerate(records.operations):
        if not (only_open and records.done[n]):
            bucket = buckets.get((operation.kind, operation.currency, operation.amount_minor))
            if bucket is not None:
                bucket.append(n)
    return buckets
