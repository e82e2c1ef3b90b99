"""Which payouts and deposits that do not name each other add up: bounded groups around each deposit.

A sum says something only where chance would hardly make it: the more groups are tried and the fewer values sums can
take, the less. Groups that chance would make more often than once in `CHANCES` are not looked at.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from math import comb, gcd
from typing import Final, NamedTuple

CHANCES: Final = 200

DEPOSITS_NEAR_MAX: Final = 12
DEPOSITS_OF_GROUP_MAX: Final = 4

GRAIN_FROM: Final = 6
"""From so many amounts on, what they are all multiples of is how they are made, not how they happen to be."""


class Sum(NamedTuple):
    """Positions whose amounts add up to the same."""

    ours: tuple[int, ...]
    theirs: tuple[int, ...]


class Pool(NamedTuple):
    """What may form groups with one deposit: amounts by position, all of one sign."""

    anchor: int
    ours: dict[int, int]
    theirs: dict[int, int]
    required: frozenset[int]
    """Of ours: one of them must be in a group, where there is one."""


def groups_of(pool: Pool, size_max: int, work_max: int, allowed: Callable[[Sum], bool]) -> Iterator[Sum]:
    """Groups of more than a pair that hold the anchor and whose sums are equal."""
    sizes = _sizes(len(pool.ours), size_max, work_max)
    others = sorted(n for n in pool.theirs if n != pool.anchor)[: DEPOSITS_NEAR_MAX - 1]
    sets_of_theirs = [
        (pool.anchor, *more) for extra in range(DEPOSITS_OF_GROUP_MAX) for more in combinations(others, extra)
    ]
    highest = max(abs(sum(pool.theirs[n] for n in some)) for some in sets_of_theirs)
    sums = _sums(pool.ours, sizes, highest)
    amounts = [*pool.ours.values(), *pool.theirs.values()]
    grain = gcd(*amounts) if len(amounts) >= GRAIN_FROM else 1
    for theirs in sets_of_theirs:
        total = sum(pool.theirs[n] for n in theirs)
        for ours in sums.get(total, ()):
            found = Sum(ours, tuple(sorted(theirs)))
            tried = _tried(pool, len(ours), len(others), len(theirs))
            if len(ours) + len(theirs) > 2 and tried * CHANCES <= abs(total) // grain and allowed(found):
                yield found


def _sizes(count: int, size_max: int, work_max: int) -> int:
    """The largest groups of `count` that can be listed within `work_max`."""
    size, work = 0, 0
    while size < min(size_max, count) and work + comb(count, size + 1) <= work_max:
        size += 1
        work += comb(count, size)
    return size


def _tried(pool: Pool, ours: int, others: int, theirs: int) -> int:
    """How many groups of no more records there are."""
    free = len(pool.ours) - bool(pool.required)
    least = int(bool(pool.required))
    mine = sum(comb(free, size - least) for size in range(max(1, least), ours + 1)) * max(1, len(pool.required))
    return mine * sum(comb(others, size) for size in range(theirs))


def _sums(amounts: dict[int, int], size_max: int, highest: int) -> dict[int, list[tuple[int, ...]]]:
    """The groups of up to `size_max` by their sum, none above `highest`, small ones first."""
    order: Sequence[int] = sorted(amounts, key=lambda n: (abs(amounts[n]), n))
    found: defaultdict[int, list[tuple[int, ...]]] = defaultdict(list)

    def extend(members: tuple[int, ...], total: int, start: int) -> None:
        for at in range(start, len(order)):
            more = total + amounts[order[at]]
            if abs(more) > highest:
                return
            group = (*members, order[at])
            found[more].append(tuple(sorted(group)))
            if len(group) < size_max:
                extend(group, more, at + 1)

    if size_max:
        extend((), 0, 0)
    return found
