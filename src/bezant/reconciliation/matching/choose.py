"""Which of many explanations to take: as many as can stand beside each other, and of those the cheapest.

An option explains some of our records by some of theirs at a cost. Options that share a record exclude each other. A
set of options is worth `MATCH_WORTH` for each match in it, less their costs; the set worth most is taken, found exactly
within each connected component: by assignment where all options are pairs, else by search over sets of records. An
option is taken only if every best set holds it. Where best sets differ, what they differ in is tied.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from bezant.reconciliation.matching.assignment import in_some_best

MATCH_WORTH: Final = 10_000
"""More than any option costs, so that what can be explained is."""

SEARCH_ITEMS_MAX: Final = 10
"""Components of pairs up to this size are searched; an assignment takes longer to set up."""


class Option(NamedTuple):
    """Positions of our records and of theirs; `parts`: where it is more than one match, which."""

    ours: tuple[int, ...]
    theirs: tuple[int, ...]
    cost: int
    rule: str
    parts: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = ()

    @property
    def worth(self) -> int:
        return MATCH_WORTH * max(1, len(self.parts)) - self.cost


class Chosen(NamedTuple):
    """Options taken; sets of options that tie; sets that are too large to weigh."""

    taken: list[Option]
    tied: list[list[Option]]
    beyond: list[list[Option]]


class _TooMuch(Exception):
    """The budget of search is spent."""


def choose(options: Iterable[Option], *, items_max: int, budget: int) -> Chosen:
    """The best set of `options`, whatever their order. `items_max` and `budget` bound each component."""
    chosen = Chosen([], [], [])
    for component in components(sorted(set(options))):
        items = {(0, i) for o in component for i in o.ours} | {(1, i) for o in component for i in o.theirs}
        best = _best_options(component, len(items), budget) if len(items) <= items_max else None
        if best is None:
            chosen.beyond.append(component)
            continue
        for cluster in components(best):
            if len(cluster) == 1:
                chosen.taken.append(cluster[0])
            else:
                chosen.tied.append(cluster)
    return chosen


def components(options: Sequence[Option]) -> list[list[Option]]:
    """`options` parted so that no two parts share a record, in a fixed order."""
    root: dict[tuple[int, int], tuple[int, int]] = {}

    def find(item: tuple[int, int]) -> tuple[int, int]:
        while (above := root.setdefault(item, item)) != item:
            root[item] = root[above]
            item = above
        return item

    for option in options:
        first = find(_items(option)[0])
        for item in _items(option)[1:]:
            root[find(item)] = first
    parts: defaultdict[tuple[int, int], list[Option]] = defaultdict(list)
    for option in options:
        parts[find(_items(option)[0])].append(option)
    return list(parts.values())


def _items(option: Option) -> list[tuple[int, int]]:
    return [*((0, i) for i in option.ours), *((1, i) for i in option.theirs)]


def _best_options(component: list[Option], items: int, budget: int) -> list[Option] | None:
    """The options that some best set holds; None where finding them takes too much."""
    if len(component) == 1:
        return component
    if items > SEARCH_ITEMS_MAX and all(len(o.ours) == len(o.theirs) == 1 for o in component):
        pairs = [(o.ours[0], o.theirs[0], o.worth) for o in component]
        return [option for option, best in zip(component, in_some_best(pairs), strict=True) if best]
    try:
        return _by_search(component, budget)
    except _TooMuch:
        return None


def _by_search(component: list[Option], budget: int) -> list[Option]:
    bit = {item: 1 << n for n, item in enumerate(sorted({i for o in component for i in _items(o)}))}
    masks = [sum(bit[item] for item in _items(option)) for option in component]
    worths = [option.worth for option in component]
    with_lowest: defaultdict[int, list[int]] = defaultdict(list)
    for n, mask in enumerate(masks):
        with_lowest[mask & -mask].append(n)
    known: dict[int, int] = {0: 0}
    steps = 0

    def worth_of(free: int) -> int:
        nonlocal steps
        found = known.get(free)
        if found is not None:
            return found
        lowest = free & -free
        options = [n for n in with_lowest[lowest] if masks[n] & free == masks[n]]
        steps += 1 + len(options)
        if steps > budget:
            raise _TooMuch
        best = worth_of(free ^ lowest)
        for n in options:
            best = max(best, worths[n] + worth_of(free & ~masks[n]))
        known[free] = best
        return best

    everything = (1 << len(bit)) - 1
    best = worth_of(everything)
    return [
        option
        for option, mask, worth in zip(component, masks, worths, strict=True)
        if worth + worth_of(everything & ~mask) == best
    ]
