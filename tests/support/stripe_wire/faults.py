"""What goes wrong on purpose: the next requests that match, each fault as often as it is asked for."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What happens to a request.

    LOST: executed and kept, the connection is cut instead of an answer. RESET: cut before anything was executed.
    BROKEN: 500 after it was executed; kept. UNDONE: 500 and nothing executed; kept all the same. DOWN: 503 before
    anything. BUSY: 429. LOCKED: 409, somebody else works on the object. SLOW: executed after a pause.
    """

    LOST = "lost"
    RESET = "reset"
    BROKEN = "broken"
    UNDONE = "undone"
    DOWN = "down"
    BUSY = "busy"
    LOCKED = "locked"
    SLOW = "slow"


@dataclass
class _Planned:
    fault: Fault
    path: re.Pattern[str]
    times: int


class Faults:
    """The plan."""

    def __init__(self) -> None:
        self._planned: list[_Planned] = []

    def plan(self, fault: Fault, path: str, times: int) -> None:
        """Let it happen to the next requests whose method and path contain this pattern."""
        self._planned.append(_Planned(fault, re.compile(path), times))

    def strike(self, path: str) -> Fault | None:
        """What happens to this one."""
        for planned in self._planned:
            if planned.times > 0 and planned.path.search(path):
                planned.times -= 1
                return planned.fault
        return None
