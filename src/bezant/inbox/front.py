"""Where in the queue of due events a process begins to look.

What was applied leaves dead entries at the head of the queue, and while some long snapshot lives (a backup, a
verification) they cannot be cleared away: each look from the start would step over all of them. So a look begins where
the last one ended, and only now and then at the start, for what was skipped: held by a process that died, or left for
want of a slot.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from bezant.inbox.rules import Kept

START: Final = datetime(2000, 1, 1, tzinfo=UTC)
_FROM_START_EVERY_S: Final = 10.0
_LATE_COMMIT: Final = timedelta(seconds=60)
"""How long after its own time an event may become visible."""


class Front:
    """The time from which on a look begins, on the database's clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin_at = START
        self._from_start_at_s = clock()

    def go_back(self) -> None:
        """The next look begins at the start."""
        self._from_start_at_s = self._clock()

    def begin_at(self) -> datetime:
        """Where the next look begins."""
        now_s = self._clock()
        if now_s < self._from_start_at_s:
            return self._begin_at
        self._from_start_at_s = now_s + _FROM_START_EVERY_S
        self._begin_at = START
        return START

    def looked(self, taken: Sequence[Kept], *, is_all: bool, now: datetime) -> None:
        """`taken` was found in order of its time; `is_all`: nothing else was due `now`."""
        if is_all:
            self._begin_at = max(self._begin_at, now - _LATE_COMMIT)
        else:
            self._begin_at = taken[-1].next_try_at
