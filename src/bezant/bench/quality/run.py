"""Gives worlds to the matcher, takes the time, and says how much of it was right."""

import secrets
from collections.abc import Callable, Iterable, Sequence
from time import process_time
from typing import Protocol

import msgspec

from bezant.bench.quality.generate import Wishes, generate
from bezant.bench.quality.score import Answer, Pair, Score, score
from bezant.bench.quality.world import World
from bezant.reconciliation.matching.breaks import find_breaks, find_deposit_breaks
from bezant.reconciliation.matching.deposits import match_deposits
from bezant.reconciliation.matching.model import BreakKind, Found, Id, Terms
from bezant.reconciliation.matching.operations import match_operations


class _HasId(Protocol):
    @property
    def id(self) -> Id: ...


class Level(msgspec.Struct, frozen=True):
    """One of the two levels. `records`: lines, or deposits. `seconds`: of a core, for matching alone."""

    records: int
    seconds: float
    score: Score


class Quality(msgspec.Struct, frozen=True):
    """What came of one seed."""

    seed: int
    operations: int
    accounts: int
    payouts: int
    troubled: float
    lines: Level
    deposits: Level


def draw_seed() -> int:
    """A seed that nobody has chosen."""
    return secrets.randbelow(1 << 32)


def measure(wishes: Wishes, progress: Callable[[str], None]) -> tuple[Quality, World]:
    """Draw a world and have it matched."""
    progress(f"seed {wishes.seed}: drawing {wishes.operations:,} operations")
    world = generate(wishes)
    progress(f"seed {wishes.seed}: matching")
    quality = Quality(
        world.seed,
        sum(len(book.operations) for book in world.books),
        len(world.books),
        len(world.payouts),
        world.troubled,
        _match_lines(world),
        _match_deposits(world),
    )
    return quality, world


def _match_lines(world: World) -> Level:
    pairs: list[Pair] = []
    listed: dict[Id, BreakKind] = {}
    seconds = 0.0
    for book in world.books:
        terms = Terms(fees=book.fees)
        started = process_time()
        explained = match_operations(book.operations, book.lines, terms)
        seconds += process_time() - started
        pairs += [Pair(_ids(match.operations), _ids(match.lines), match.rule) for match in explained.matches]
        _list(listed, find_breaks(explained, world.now, terms))
    records = [each.id for book in world.books for each in (*book.operations, *book.lines)]
    lines = sum(len(book.lines) for book in world.books)
    return Level(lines, seconds, score(world.labels, records, Answer(pairs, listed)))


def _match_deposits(world: World) -> Level:
    terms, listed = Terms(), dict[Id, BreakKind]()
    started = process_time()
    explained = match_deposits(world.payouts, world.deposits, terms)
    seconds = process_time() - started
    pairs = [Pair(_ids(match.payouts), _ids(match.deposits), match.rule) for match in explained.matches]
    _list(listed, find_deposit_breaks(explained, world.now, terms))
    records = [each.id for each in (*world.payouts, *world.deposits)]
    return Level(len(world.deposits), seconds, score(world.deposit_labels, records, Answer(pairs, listed)))


def _ids(records: Iterable[_HasId]) -> frozenset[Id]:
    return frozenset(record.id for record in records)


def _list(listed: dict[Id, BreakKind], found: Sequence[Found]) -> None:
    """What a person is told of each record; that it is ambiguous comes before what else is said of it."""
    for each in found:
        for subject in each.subjects:
            if each.kind is BreakKind.AMBIGUOUS or subject not in listed:
                listed[subject] = each.kind
