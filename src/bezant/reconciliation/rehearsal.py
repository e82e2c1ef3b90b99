"""A run that is only rehearsed: what it would explain is remembered and not booked."""

from collections.abc import Collection, Sequence
from uuid import UUID

from bezant.reconciliation.matching.model import DepositMatch
from bezant.reconciliation.rules import Operation, PspLine
from bezant.reconciliation.settle import Matched


class Rehearsal:
    """What a run that books nothing has explained so far: it looks at nothing of that a second time."""

    def __init__(self) -> None:
        self.matches: list[Matched] = []
        self.deposits: list[DepositMatch] = []
        self._taken: set[UUID] = set()

    def take(self, matches: Sequence[Matched], by_themselves: Sequence[PspLine]) -> None:
        """These would be explained."""
        self.matches += matches
        self._taken |= {each.id for match in matches for each in (*match.operations, *match.lines)}
        self._taken |= {line.id for line in by_themselves}

    def has(self, item_id: UUID) -> bool:
        """Whether it would be explained."""
        return item_id in self._taken

    def explained_of(self, payment_ids: Collection[UUID]) -> list[Operation]:
        """What of these payments would be explained."""
        wanted = set(payment_ids)
        return [each for match in self.matches for each in match.operations if each.payment_id in wanted]
