"""Looks at a charge when the clock changes it, so that what happens by itself is told in time."""

import asyncio
import time
from collections.abc import Callable
from heapq import heappop, heappush


class Alarm:
    """The charges that wait for the clock. `ring` is called with the id of each when its time has come."""

    def __init__(self, ring: Callable[[str], None]) -> None:
        self._ring = ring
        self._times: list[tuple[float, str]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to ring."""
        self._loop = asyncio.get_running_loop()
        self._set()

    def at(self, when: float, charge_id: str) -> None:
        """Rings at `when` (in seconds since 1970)."""
        heappush(self._times, (when, charge_id))
        if self._times[0][1] == charge_id:
            self._set()

    def clear(self) -> None:
        """Forgets everything."""
        self._times.clear()
        self._set()

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None and self._times:
            self._timer = self._loop.call_later(max(0.0, self._times[0][0] - time.time()), self.ring)

    def ring(self) -> None:
        """Rings for all whose time has come."""
        now = time.time()
        while self._times and self._times[0][0] <= now:
            self._ring(heappop(self._times)[1])
        self._set()
