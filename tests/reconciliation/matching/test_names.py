"""How names resemble each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.reconciliation.matching.names import kind_of, likeness, one_slip_away, relation, slips

WORDS = st.text("ab1", max_size=8)


def slips_by_definition(one: str, other: str) -> int:
    rows = [[i + j if not i * j else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (one[i - 1] != other[j - 1]))
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


@given(WORDS, WORDS, st.integers(0, 3))
def test_slips_are_counted_as_defined_up_to_a_limit(one: str, other: str, limit: int):
    expected = slips_by_definition(one, other)
    assert slips(one, other, limit) == (expected if expected <= limit else None)


@given(st.sets(WORDS.filter(lambda word: len(word) > 2), max_size=8), st.sets(WORDS, max_size=40))
def test_every_name_one_slip_away_is_found(names: set[str], known: set[str]):
    expected = {name: {other for other in known if slips_by_definition(name, other) == 1} for name in names}
    assert one_slip_away(names, known) == {name: others for name, others in expected.items() if others}


def test_among_many_names_those_one_slip_away_are_found_too():
    known = [f"order-{n}" for n in range(100_000, 101_000)]
    expected = {name for name in known if slips_by_definition("order-10012", name) == 1}
    assert one_slip_away({"order-10012"}, known) == {"order-10012": expected}
    assert len(expected) > 10


@pytest.mark.parametrize(
    ("reported", "known", "expected"),
    [
        ("ch_1a2b3c4d5e6f", "ch_1a2b3c4d5e6f", 0),
        ("ch_1a2b3c4d5e6", "ch_1a2b3c4d5e6f", 1),
        ("CH 1A2B3C4D5E6F", "ch_1a2b3c4d5e6f", 1),
        ("ch_1a2b3c4d5e6f", "ch_1a2b3c4d5e6f77889900aabb", 2),
        ("ch_99", "ch_98", None),
        ("ch_1a2b3c4d5e6f", "ch_ffeeddccbbaa", None),
    ],
)
def test_the_likeness_of_a_name(reported: str, known: str, expected: int | None):
    assert likeness(reported, known) == expected


def test_a_name_of_a_kind_that_a_record_has_but_unlike_denies_it():
    assert relation(["ch_ffeeddccbbaa"], ["ch_1a2b3c4d5e6f", "att_1"]) == (None, 0, 1)
    assert relation(["txn_ffeeddccbbaa"], ["ch_1a2b3c4d5e6f"]) == (None, 0, 0)
    assert relation(["ch_1a2b3c4d5e6", "att_zzzzzzzzzzzz"], ["ch_1a2b3c4d5e6f", "att_aaaaaaaaaaaa"]) == (1, 1, 1)


def test_names_that_are_alike_are_counted_by_the_names_that_they_meet():
    known = ["ch_1a2b3c4d5e6f", "att_aaaaaaaaaaaa"]
    assert relation(["ch_1a2b3c4d5e6", "att_aaaaaaaaaaa"], known) == (1, 2, 0)
    assert relation(["ch_1a2b3c4d5e6", "ch_1a2b3c4d5e66f"], known) == (1, 1, 0)


def test_names_that_differ_by_the_same_number_are_counted_once():
    known = ["ch-1000123", "att-1000323"]
    assert relation(["ch-1000124", "att-1000324"], known) == (1, 1, 0)
    assert relation(["ch-1000124", "att-1000823"], known) == (1, 2, 0)


def test_the_kind_of_a_name_is_its_prefix():
    assert [kind_of(name) for name in ("ch_1", "PO-7", "550e8400-e29b", "12345")] == ["ch", "po", "", ""]
