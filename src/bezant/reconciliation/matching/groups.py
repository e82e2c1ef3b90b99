"""Which of our amounts add up to which of theirs: the smallest groups of both sides with equal sums."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

Members = tuple[int, ...]


def balanced(
    ours: Sequence[int], theirs: Sequence[int], slack: Callable[[int, Members], int] | None = None
) -> list[tuple[Members, Members]]:
    """Groups of positions whose sums are equal and that hold no smaller such group, the smallest first.

    `slack`: by how much the sum of ours may differ from the sum of theirs, given the first and who they are. For short
    lists: all subsets of both sides are looked at.
    """
    our_sums = _sums(ours)
    order = sorted(range(1, len(our_sums)), key=our_sums.__getitem__)
    ordered = [our_sums[mask] for mask in order]
    their_sums = _sums(theirs)
    widest = max((slack(total, (n,)) for total in ordered for n in range(len(theirs))), default=0) if slack else 0
    pairs: list[tuple[int, int, int]] = []
    for mask in range(1, len(their_sums)):
        total = their_sums[mask]
        for at in range(bisect_left(ordered, total - widest), bisect_right(ordered, total + widest)):
            off = abs(ordered[at] - total)
            if off and not (slack and off <= slack(ordered[at], _members(mask))):
                continue
            pairs.append((order[at].bit_count() + mask.bit_count(), order[at], mask))
    found: list[tuple[int, int]] = []
    for _, mine, other in sorted(pairs):
        if not any(m & mine == m and o & other == o for m, o in found):
            found.append((mine, other))
    return [(_members(mine), _members(other)) for mine, other in found]


def _sums(amounts: Sequence[int]) -> list[int]:
    sums = [0]
    for amount in amounts:
        sums += [total + amount for total in sums]
    return sums


def _members(mask: int) -> Members:
    return tuple(n for n in range(mask.bit_length()) if mask >> n & 1)
