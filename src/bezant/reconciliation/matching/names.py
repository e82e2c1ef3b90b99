"""How names of records resemble each other: the slips of a pen that lead from one to the other.

A slip is a character too many, missing or wrong, or two neighbours that changed places. A name may be off by more
slips the longer it is. The prefix that says what is named (`att_`, `ch_`) is its kind: two names of one kind that do
not resemble each other name different things.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

_KIND: Final = re.compile(r"[A-Za-z]{1,12}(?=[_:\-])")
_NUMBER: Final = re.compile(r"[0-9]+(?=[^0-9]*$)")
_NOISE: Final = re.compile(r"[\W_]+")

CACHED: Final = 65_536

PART_CHARS_MIN: Final = 12
"""A part of a name says which name it is from this length on."""

COMPARED_MAX: Final = 200

SLIPS_BY_LENGTH: Final = ((16, 3), (10, 2), (6, 1))
"""How many slips a name of at least so many characters, its prefix aside, may be off by."""


@lru_cache(CACHED)
def kind_of(name: str) -> str:
    """The prefix that says what is named, without its separator; empty where there is none."""
    found = _KIND.match(name.strip())
    return found[0].casefold() if found else ""


@lru_cache(CACHED)
def folded(name: str) -> str:
    """`name` without what is easily lost on its way: capitals, blanks, punctuation."""
    return _NOISE.sub("", name).casefold()


@lru_cache(CACHED)
def slips_max(name: str) -> int:
    """How many slips may be between `name` and another."""
    length = len(name) - len(kind_of(name))
    return next((slips for least, slips in SLIPS_BY_LENGTH if length >= least), 0)


def slips(one: str, other: str, limit: int) -> int | None:
    """The slips between two names (optimal string alignment); None where they are more than `limit`."""
    if abs(len(one) - len(other)) > limit:
        return None
    start, end = 0, min(len(one), len(other))
    while start < end and one[start] == other[start]:
        start += 1
    one, other = one[start:], other[start:]
    end -= start
    cut = 0
    while cut < end and one[-1 - cut] == other[-1 - cut]:
        cut += 1
    if cut:
        one, other = one[:-cut], other[:-cut]
    if not one or not other:
        found = len(one) + len(other)
        return found if found <= limit else None
    return _aligned(one, other, limit) if _may_align(one, other, limit) else None


def _may_align(one: str, other: str, limit: int) -> bool:
    """Cut into more pieces than slips can harm, two each at a joint, one piece must be found unharmed."""
    pieces = 2 * limit + 1
    size = len(other) // pieces
    return size < 2 or any(other[n * size : (n + 1) * size] in one for n in range(pieces))


def _aligned(one: str, other: str, limit: int) -> int | None:
    """The slips within a band around the diagonal: what is further off it than `limit` takes more of them."""
    width = len(other)
    before: list[int] = []
    row = list(range(width + 1))
    for i, char in enumerate(one, 1):
        first, last = max(1, i - limit), min(width, i + limit)
        above, row = row, [limit + 1] * (width + 1)
        row[0] = i
        for j in range(first, last + 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (char != other[j - 1]))
            if i > 1 and j > 1 and char == other[j - 2] and one[i - 2] == other[j - 1]:
                cost = min(cost, before[j - 2] + 1)
            row[j] = cost
        if min(row) > limit and min(above) > limit:
            return None
        before = above
    return row[width] if row[width] <= limit else None


def likeness(one: str, known: str) -> int | None:
    """The slips between a name as it was reported and one that is known; None where they do not resemble each other.

    Other capitals or punctuation, or text around the name, count as one slip, a name that was cut off as two.
    """
    if one == known:
        return 0
    found = slips(one, known, min(slips_max(one), slips_max(known)))
    if found is not None:
        return found
    short, full = folded(one), folded(known)
    if (short == full and full) or (len(full) >= PART_CHARS_MIN and full in short):
        return 1
    return 2 if len(short) >= PART_CHARS_MIN and (full.startswith(short) or full.endswith(short)) else None


class Relation(NamedTuple):
    """What names of one record say of another.

    `slips`: the fewest of a pair that is alike, None where none is. `alike`: how many pairs are, counting once those
    that are the same number apart: the next order's names are like this one's, all in the same way. `denials`: how
    many names are of a kind that the other is also named by, and like none of those.
    """

    slips: int | None
    alike: int
    denials: int


def relation(reported: Iterable[str], known: Collection[str]) -> Relation:
    """How the names that were `reported` relate to those that a record is `known` by."""
    met: dict[str, tuple[int, object]] = {}
    denials = 0
    kinds: set[str] | None = None
    for name in dict.fromkeys(reported):
        alike = [(found, other) for other in known if (found := likeness(name, other)) is not None]
        if alike:
            found, other = min(alike)
            if other not in met or found < met[other][0]:
                met[other] = found, _apart(name, other)
            continue
        kinds = {kind_of(other) for other in known} if kinds is None else kinds
        denials += kind_of(name) in kinds
    fewest = min((found for found, _ in met.values()), default=None)
    return Relation(fewest, len({apart for _, apart in met.values()}), denials)


def _apart(name: str, other: str) -> object:
    """How two names differ: their numbers by how much, where it is those; else which names they are."""
    one, two = _NUMBER.search(name), _NUMBER.search(other)
    if one and two and name[: one.start()] == other[: two.start()] and name[one.end() :] == other[two.end() :]:
        return int(one[0]) - int(two[0])
    return name, other


def one_slip_away(names: Collection[str], known: Iterable[str]) -> dict[str, set[str]]:
    """For each of `names` that has some: the known names that are one slip away from it.

    What is one slip off is no longer or shorter than by one character, and has its first or its last half unharmed, so
    few of the known names are looked at.
    """
    heads: dict[str, set[str]] = {_head(name): set() for name in names}
    tails: dict[str, set[str]] = {_tail(name): set() for name in names}
    lengths = {len(name) for name in names}
    halves = {
        length + by: {len(_head("x" * near)) for near in lengths if abs(near - length - by) <= 1}
        for length in lengths
        for by in (-1, 0, 1)
    }
    for other in known:
        for half in halves.get(len(other), ()):
            if (found := heads.get(other[:half])) is not None:
                found.add(other)
            if (found := tails.get(other[len(other) - half :])) is not None:
                found.add(other)
    kept = [*heads.values(), *tails.values()]
    letters: list[str] = []
    if any(len(found) >= COMPARED_MAX for found in kept):
        letters = sorted({letter for other in set[str]().union(*kept) for letter in other})
    away: dict[str, set[str]] = {}
    for name in names:
        found = _one_away(name, heads[_head(name)], letters) | _one_away(name, tails[_tail(name)], letters)
        if found:
            away[name] = found
    return away


def _head(name: str) -> str:
    return name[: (len(name) - 1) // 2]


def _tail(name: str) -> str:
    return name[len(name) // 2 + 1 :]


def _one_away(name: str, known: set[str], letters: Sequence[str]) -> set[str]:
    """Compared one by one while they are few; else everything one slip away is looked up."""
    if len(known) < COMPARED_MAX:
        return {other for other in known if slips(name, other, 1) == 1}
    return known.intersection(_slipped(name, letters)) - {name}


def _slipped(name: str, letters: Sequence[str]) -> Iterator[str]:
    for n in range(len(name) + 1):
        start, end = name[:n], name[n:]
        for letter in letters:
            yield start + letter + end
            if end:
                yield start + letter + end[1:]
        if end:
            yield start + end[1:]
        if len(end) > 1:
            yield start + end[1] + end[0] + end[2:]
