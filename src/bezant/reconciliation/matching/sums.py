"""Which payouts and deposits that do not name each other add up: bounded groups around each deposit.

A sum says something only where chance would hardly make it: the more groups could have been found instead, no larger
and no further apart in time, and the fewer values sums can take, the less. Groups that chance would make more often
than once in `CHANCES` are not looked at.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import date
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
    """What may form groups with one deposit: amounts by position, those of deposits of one sign, the nearest first."""

    anchor: int
    ours: dict[int, int]
    theirs: dict[int, int]
    named: dict[int, frozenset[int]]
    """By deposit, which of ours it names."""
    paid_on: dict[int, date]
    booked_on: dict[int, date]


def groups_of(pool: Pool, size_max: int, work_max: int, allowed: Callable[[Sum], bool]) -> Iterator[Sum]:
    """Groups of more than a pair that hold the anchor and whose sums are equal."""
    sizes = _sizes(len(pool.ours), size_max, work_max)
    others = [n for n in pool.theirs if n != pool.anchor][: DEPOSITS_NEAR_MAX - 1]
    sets_of_theirs = [
        (pool.anchor, *more) for extra in range(DEPOSITS_OF_GROUP_MAX) for more in combinations(others, extra)
    ]
    highest = max((sum(pool.theirs[n] for n in some) for some in sets_of_theirs), key=abs)
    sums = _sums(pool.ours, sizes, highest)
    amounts = [*pool.ours.values(), *pool.theirs.values()]
    grain = gcd(*amounts) if len(amounts) >= GRAIN_FROM else 1
    for theirs in sets_of_theirs:
        total = sum(pool.theirs[n] for n in theirs)
        for ours in sums.get(total, ()):
            found = Sum(ours, tuple(sorted(theirs)))
            if len(ours) + len(theirs) > 2 and says_something(_tried(pool, found), total // grain) and allowed(found):
                yield found


def says_something(tried: int, values: int) -> bool:
    """Whether chance would hardly make an amount of so many possible values in so many tries."""
    return tried * CHANCES <= abs(values)


def _sizes(count: int, size_max: int, work_max: int) -> int:
    """The largest groups of `count` that can be listed within `work_max`."""
    size, work = 0, 0
    while size < min(size_max, count) and work + comb(count, size + 1) <= work_max:
        size += 1
        work += comb(count, size)
    return size


def _tried(pool: Pool, found: Sum) -> int:
    """How many groups could have been found instead, those records given that names lead to."""
    since = min(pool.paid_on[n] for n in found.ours)
    until = max(pool.booked_on[n] for n in found.theirs)
    named = frozenset[int]().union(*pool.named.values())
    given = named.intersection(found.ours)
    naming = [n for n in found.theirs if pool.named.get(n)]
    free = _free(pool, {n for n in pool.ours if pool.paid_on[n] >= since} - named, found)
    mine = sum(comb(free, size) for size in range(0 if given else 1, len(found.ours) - len(given) + 1))
    others = sum(pool.booked_on[n] <= until and not pool.named.get(n) for n in pool.theirs)
    more = len(found.theirs) - max(1, len(naming))
    return mine * sum(comb(others, size) for size in range(more + 1))


def _free(pool: Pool, ours: set[int], found: Sum) -> int:
    """How many of ours may be in a group of that sum: those beyond it only as far as others take it back."""
    total = sum(pool.theirs[n] for n in found.theirs)
    back = sum(abs(pool.ours[n]) for n in pool.ours if pool.ours[n] * total < 0)
    return sum(pool.ours[n] * total < 0 or abs(pool.ours[n]) <= abs(total) + back for n in ours)


def _sums(amounts: dict[int, int], size_max: int, highest: int) -> dict[int, list[tuple[int, ...]]]:
    """The groups of up to `size_max` by their sum, none beyond `highest`, small ones first.

    Amounts of the other sign come first, so that sums only grow from where they might go beyond.
    """
    sign = 1 if highest > 0 else -1
    order: Sequence[int] = sorted(amounts, key=lambda n: (amounts[n] * sign > 0, abs(amounts[n]), n))
    found: defaultdict[int, list[tuple[int, ...]]] = defaultdict(list)

    def extend(members: tuple[int, ...], total: int, start: int) -> None:
        for at in range(start, len(order)):
            more = total + amounts[order[at]]
            if abs(more) > abs(highest) and amounts[order[at]] * sign > 0 and more * sign > 0:
                return
            group = (*members, order[at])
            found[more].append(tuple(sorted(group)))
            if len(group) < size_max:
                extend(group, more, at + 1)

    if size_max:
        extend((), 0, 0)
    return found
