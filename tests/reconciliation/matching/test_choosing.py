"""The choice among explanations: the best there is, compared with trying everything."""

from collections.abc import Sequence
from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from bezant.reconciliation.matching.assignment import in_some_best
from bezant.reconciliation.matching.choose import MATCH_WORTH, Option, choose
from bezant.reconciliation.matching.groups import balanced


def pair(ours: int, theirs: int, cost: int) -> Option:
    return Option((ours,), (theirs,), cost, "")


PLACES = st.integers(0, 4)
COSTS = st.sampled_from([0, 10, 20, 100])
PAIRS = st.lists(st.builds(pair, PLACES, PLACES, COSTS), max_size=9)
SETS = st.sets(PLACES, min_size=1, max_size=3).map(lambda some: tuple(sorted(some)))
GROUPS = st.lists(st.builds(Option, SETS, SETS, COSTS, st.just("")), max_size=8)


def best_sets(options: Sequence[Option]) -> list[set[Option]]:
    """Every set of options worth most, by trying all."""
    subsets = chain.from_iterable(combinations(options, size) for size in range(len(options) + 1))
    possible = [set(some) for some in subsets if exclude_nothing(some)]
    most = max(sum(option.worth for option in some) for some in possible)
    return [some for some in possible if sum(option.worth for option in some) == most]


def exclude_nothing(some: Sequence[Option]) -> bool:
    ours = [n for option in some for n in option.ours]
    theirs = [n for option in some for n in option.theirs]
    return len(ours) == len(set(ours)) and len(theirs) == len(set(theirs))


def check_against_all(options: list[Option]) -> None:
    options = list(set(options))
    chosen = choose(options, items_max=64, budget=10**6)
    best = best_sets(options)
    assert set(chosen.taken) == set.intersection(*best)
    assert {option for tied in chosen.tied for option in tied} == set.union(*best) - set.intersection(*best)
    assert chosen.beyond == []


@given(PAIRS)
def test_of_pairs_exactly_those_that_every_best_set_holds_are_taken(options: list[Option]):
    check_against_all(options)


@given(GROUPS)
def test_of_groups_exactly_those_that_every_best_set_holds_are_taken(options: list[Option]):
    check_against_all(options)


@given(st.lists(st.tuples(PLACES, PLACES, st.integers(1, 4)), max_size=9, unique_by=lambda pair: pair[:2]))
def test_an_assignment_finds_the_pairs_of_every_best_set(pairs: list[tuple[int, int, int]]):
    options = [Option((ours,), (theirs,), MATCH_WORTH - worth, "") for ours, theirs, worth in pairs]
    expected = set[Option]().union(*best_sets(options))
    assert [option in expected for option in options] == in_some_best(pairs)


def test_more_matches_are_worth_more_than_cheaper_ones():
    one, two, cheap = Option((0,), (0,), 900, ""), Option((1,), (1,), 900, ""), Option((0,), (1,), 0, "")
    assert choose([one, two, cheap], items_max=9, budget=99).taken == [one, two]


def test_a_set_of_records_above_the_bound_is_not_weighed():
    chain_ = [Option((n,), (m,), 0, "") for n in range(5) for m in (n, n + 1)]
    other = Option((9,), (9,), 0, "")
    chosen = choose([*chain_, other], items_max=10, budget=10**6)
    assert chosen.beyond == [chain_]
    assert chosen.taken == [other]


def test_a_search_that_takes_too_long_is_given_up():
    options = [Option((n, m), (n, m), 0, "") for n in range(8) for m in range(n)]
    chosen = choose(options, items_max=64, budget=50)
    assert [len(beyond) for beyond in chosen.beyond] == [len(options)]


AMOUNTS = st.lists(st.integers(-3, 6), max_size=4)


@given(AMOUNTS, AMOUNTS)
def test_groups_have_equal_sums_and_hold_no_smaller_group(ours: list[int], theirs: list[int]):
    def subsets(count: int) -> list[tuple[int, ...]]:
        return list(chain.from_iterable(combinations(range(count), size) for size in range(1, count + 1)))

    equal = {
        (mine, other)
        for mine in subsets(len(ours))
        for other in subsets(len(theirs))
        if sum(ours[n] for n in mine) == sum(theirs[n] for n in other)
    }
    smallest = {
        pair
        for pair in equal
        if not any(held != pair and set(held[0]) <= set(pair[0]) and set(held[1]) <= set(pair[1]) for held in equal)
    }
    assert set(balanced(ours, theirs)) == smallest
