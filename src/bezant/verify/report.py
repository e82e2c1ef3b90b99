"""What is checked and what came of it. Pure."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from bezant.base.db import Row

VIOLATIONS_MAX = 100
"""How many violations of one check are named; all are counted."""

Progress = Callable[[str, int, int], None]
"""Told what is being checked, how many checks are done, and how many there are."""


class Check(msgspec.Struct, frozen=True):
    """A statement that finds the rows for which `says` does not hold, as (subject, detail).

    `prefix` is the kind of id that `subject` is shown with; without one the statement makes the text itself.
    """

    name: str
    says: str
    prefix: str
    sql: str


class Rows(Protocol):
    """All rows as they were at one moment."""

    def stream(self, query: str) -> AsyncIterator[Row]:
        """The rows of a query, never more than a few thousand of them in memory."""
        ...


class Violation(msgspec.Struct, frozen=True):
    """A row for which a check does not hold."""

    id: str
    detail: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a check. `count` is of all violations, `violations` holds the first of them."""

    name: str
    ok: bool
    says: str
    count: int
    violations: tuple[Violation, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of all checks."""

    ok: bool
    checks: tuple[Result, ...]
    elapsed_s: float

    @property
    def broken(self) -> tuple[Result, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.ok)


class Findings:
    """Collects the violations of a check that is made row by row."""

    def __init__(self, name: str, says: str) -> None:
        self.name = name
        self.says = says
        self._count = 0
        self._violations: list[Violation] = []

    def add(self, subject: str, detail: str) -> None:
        """A row for which the check does not hold."""
        self._count += 1
        if len(self._violations) < VIOLATIONS_MAX:
            self._violations.append(Violation(subject, detail))

    def result(self) -> Result:
        """What was found."""
        return result(self.name, self.says, self._count, self._violations)


def result(name: str, says: str, count: int, violations: Sequence[Violation]) -> Result:
    """What came of one check."""
    return Result(name=name, ok=count == 0, says=says, count=count, violations=tuple(violations))


def report(results: Sequence[Result], elapsed_s: float) -> Report:
    """What came of all of them."""
    return Report(ok=all(r.ok for r in results), checks=tuple(results), elapsed_s=round(elapsed_s, 3))


def joined(first: Report, second: Report) -> Report:
    """Both as one."""
    return report((*first.checks, *second.checks), first.elapsed_s + second.elapsed_s)


def shown(prefix: str, subject: object) -> str:
    """A subject as people see it: an id with its prefix, or the text that the statement made."""
    return f"{prefix}_{subject.hex}" if isinstance(subject, UUID) and prefix else str(subject)
