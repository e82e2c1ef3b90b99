"""What has been explained so far, rule by rule: the same for operations and lines as for payouts and deposits."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from bezant.reconciliation.matching.choose import Option, choose, components
from bezant.reconciliation.matching.model import Ambiguous, Candidate, Id, Terms

CANDIDATES_MAX: Final = 20
"""How many candidates an ambiguous case lists."""

EQUALLY_GOOD: Final = "explanations that are equally good"
NOT_ENOUGH: Final = "explanations that are possible, and none that is evident"
TOO_MANY: Final = "more possible explanations than are weighed at once"

Positions = tuple[int, ...]


class HasId(Protocol):
    """A record of either side."""

    @property
    def id(self) -> Id: ...


class Taken(NamedTuple):
    """One match, by positions in the order of the records' ids."""

    ours: Positions
    theirs: Positions
    rule: str
    cost: int


class Taking:
    """Takes the best of options after options. What is taken or tied is out of reach of those that come later.

    `done` and `their_done` say by position what is taken; they are kept up to date.
    """

    def __init__(
        self, ours: Sequence[HasId], theirs: Sequence[HasId], done: bytearray, their_done: bytearray, terms: Terms
    ) -> None:
        self._ours = ours
        self._theirs = theirs
        self.done = done
        self.their_done = their_done
        self._terms = terms
        self.taken: list[Taken] = []
        self.ambiguous: list[Ambiguous] = []
        self.tied: set[int] = set()
        self.their_tied: set[int] = set()

    def take(self, options: Iterable[Option], *, report: bool = True, leave: str = "") -> None:
        """The best of those `options` that touch nothing taken or tied. What ties stays open without `report`.

        Options of the rule `leave` are weighed with the others, and not taken.
        """
        free = [option for option in options if self._is_free(option)]
        # Places in the order of ids, so that nothing depends on the order in which records are given.
        ours = sorted({n for o in free for n in o.ours}, key=lambda n: self._ours[n].id)
        theirs = sorted({n for o in free for n in o.theirs}, key=lambda n: self._theirs[n].id)
        placed = _moved(free, _places(ours), _places(theirs))
        chosen = choose(placed, items_max=self._terms.component_max, budget=self._terms.budget)
        for option in _moved(chosen.taken, ours, theirs):
            if option.rule != leave:
                self._keep(option)
        for cluster in chosen.tied if report else ():
            self._report(_moved(cluster, ours, theirs), EQUALLY_GOOD)
        for cluster in chosen.beyond if report else ():
            self._report(_moved(cluster, ours, theirs), TOO_MANY)

    def doubt(self, options: Iterable[Option]) -> None:
        """Report those of `options` that touch nothing taken or tied, without weighing them."""
        free = {option for option in options if self._is_free(option)}
        for component in components(sorted(free, key=lambda option: self._ids(option.ours, option.theirs))):
            self._report(component, NOT_ENOUGH)

    def _is_free(self, option: Option) -> bool:
        return not (
            any(self.done[n] or n in self.tied for n in option.ours)
            or any(self.their_done[n] or n in self.their_tied for n in option.theirs)
        )

    def _keep(self, option: Option) -> None:
        for ours, theirs in option.parts or ((option.ours, option.theirs),):
            by_id = self._by_id(ours, theirs)
            self.taken.append(Taken(*by_id, option.rule, option.cost))
            for n in by_id[0]:
                self.done[n] = 1
            for n in by_id[1]:
                self.their_done[n] = 1

    def _report(self, options: list[Option], reason: str) -> None:
        ours, theirs = _all_of(options)
        self.tied.update(ours)
        self.their_tied.update(theirs)
        candidates = sorted(self._ids(option.ours, option.theirs) for option in options)
        self.ambiguous.append(
            Ambiguous(
                *self._ids(ours, theirs),
                tuple(Candidate(*candidate) for candidate in candidates[:CANDIDATES_MAX]),
                reason,
            )
        )

    def _by_id(self, ours: Iterable[int], theirs: Iterable[int]) -> tuple[Positions, Positions]:
        return (
            tuple(sorted(ours, key=lambda n: self._ours[n].id)),
            tuple(sorted(theirs, key=lambda n: self._theirs[n].id)),
        )

    def _ids(self, ours: Iterable[int], theirs: Iterable[int]) -> tuple[tuple[Id, ...], tuple[Id, ...]]:
        by_id = self._by_id(ours, theirs)
        return tuple(self._ours[n].id for n in by_id[0]), tuple(self._theirs[n].id for n in by_id[1])


def _all_of(options: Sequence[Option]) -> tuple[list[int], list[int]]:
    """The positions on each side that options hold."""
    return sorted({n for o in options for n in o.ours}), sorted({n for o in options for n in o.theirs})


def _places(positions: Sequence[int]) -> dict[int, int]:
    return {position: place for place, position in enumerate(positions)}


_Map = Sequence[int] | Mapping[int, int]


def _moved(options: Iterable[Option], ours: _Map, theirs: _Map) -> list[Option]:
    """`options` with each position replaced."""

    def both(mine: Iterable[int], other: Iterable[int]) -> tuple[Positions, Positions]:
        return tuple(sorted(ours[n] for n in mine)), tuple(sorted(theirs[n] for n in other))

    return [
        Option(*both(o.ours, o.theirs), o.cost, o.rule, tuple(sorted(both(mine, other) for mine, other in o.parts)))
        for o in options
    ]
