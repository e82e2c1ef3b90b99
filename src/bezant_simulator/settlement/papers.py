"""What was settled so far: every batch, which charges may have something that is not, and what is to be planted."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from bezant_simulator.model import Charge
from bezant_simulator.settlement.closing import Before, Terms, close
from bezant_simulator.settlement.model import Batch, Movement, Plan, Statement
from bezant_simulator.settlement.movements import movements
from bezant_simulator.settlement.report import lines_in


class Papers:
    """All batches, oldest first. A charge is looked at only once something has happened to it."""

    def __init__(self) -> None:
        self.plan = Plan()
        self._batches: dict[str, Batch] = {}
        self._settled: set[str] = set()
        self._touched: dict[str, None] = {}
        self._accounts: dict[str, Statement] = {}

    def touch(self, charge_id: str) -> None:
        """Something has happened to the charge."""
        self._touched[charge_id] = None

    def put(self, batch: Batch) -> None:
        """Enters a batch."""
        self._batches[batch.report_id] = batch
        self._settled.update(lines_in(batch.report), batch.withheld, (row.line_id for row in batch.late))
        self._accounts.update((statement.currency, statement) for statement in batch.statements)
        self.plan = batch.left

    def clear(self) -> None:
        """Forgets everything."""
        self.plan = Plan()
        self._batches.clear()
        self._settled.clear()
        self._touched.clear()
        self._accounts.clear()

    def batches(self) -> Iterable[Batch]:
        """All batches, oldest first."""
        return self._batches.values()

    def batch(self, report_id: str) -> Batch | None:
        """A batch by its report."""
        return self._batches.get(report_id)

    def statements(self) -> Iterator[Statement]:
        """All statements, oldest first."""
        for batch in self._batches.values():
            yield from batch.statements

    @property
    def last(self) -> Batch | None:
        """The last batch."""
        return next(reversed(self._batches.values()), None)

    def close(self, charge_of: Callable[[str], Charge | None], terms: Terms) -> Batch | None:
        """Settles everything that moved until `terms.at`; None where there is nothing to say."""
        found: list[Movement] = []
        later: dict[str, None] = {}
        for charge_id in list(self._touched):
            charge = charge_of(charge_id)
            open_ones = [] if charge is None else [m for m in movements(charge) if m.line_id not in self._settled]
            found.extend(movement for movement in open_ones if movement.at <= terms.at)
            if any(movement.at > terms.at for movement in open_ones):
                later[charge_id] = None
        last = self.last
        before = Before() if last is None else _left_by(last, self._accounts)
        batch = close(found, before, terms, self.plan)
        self._touched = later
        if batch is not None:
            self.put(batch)
        return batch


def _left_by(last: Batch, accounts: Mapping[str, Statement]) -> Before:
    return Before(number=last.number, late=last.late, unpaid=last.unpaid, accounts=accounts)
