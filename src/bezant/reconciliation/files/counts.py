"""What became of the lines of a file."""

from collections.abc import Sequence

import msgspec

from bezant.base.file_faults import FileRefused
from bezant.reconciliation.files.states import BAD_LINES_MAX, Quarantined


class Counts(msgspec.Struct):
    """`seen`: lines that could be read. `repeated`: of those, what another line had said already."""

    seen: int = 0
    repeated: int = 0
    quarantined: int = 0
    contradicting: int = 0

    @property
    def loaded(self) -> int:
        """The lines that this file has brought."""
        return self.seen - self.repeated - self.contradicting

    def add(self, seen: int, bad: Sequence[Quarantined], contradicting: int = 0) -> None:
        """Count a batch. Raises FileRefused where too much is at fault for a file of this kind."""
        self.seen += seen
        self.quarantined += len(bad)
        self.contradicting += contradicting
        if self.quarantined > BAD_LINES_MAX:
            raise FileRefused(
                f"more than {BAD_LINES_MAX:,} of its lines are at fault; the last: {bad[-1].reason}", line=bad[-1].line
            )
