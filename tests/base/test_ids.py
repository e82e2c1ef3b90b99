"""Identifiers: UUIDv7 in families, derived ids that stay, and no alias of an id."""

import time
import unicodedata
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.base import ids

LOW_80 = (1 << 80) - 1
NAMES = st.lists(
    st.text(alphabet=st.characters(exclude_characters="\x1f", codec="utf-8"), max_size=20), min_size=1, max_size=4
)
MEMBERS = st.builds(ids.child_of, st.builds(UUID, int=st.integers(0, (1 << 128) - 1)))


def is_uuid7(value: UUID) -> bool:
    return value.version == 7 and value.variant == RFC_4122


def test_new_id_is_a_uuid7_of_this_moment() -> None:
    before_ms = time.time_ns() // 1_000_000
    value = ids.new_id()
    after_ms = time.time_ns() // 1_000_000
    assert is_uuid7(value)
    assert before_ms <= value.int >> 80 <= after_ms


def test_new_ids_and_children_differ() -> None:
    parent = ids.new_id()
    assert len({ids.new_id() for _ in range(1_000)} | {ids.child_of(parent) for _ in range(1_000)}) == 2_000


@given(MEMBERS, NAMES)
def test_family_holds_its_children_and_derived_ids_and_nothing_else(parent: UUID, names: list[str]) -> None:
    first, last = ids.family_range(parent)
    for member in (parent, ids.child_of(parent), ids.derived(parent, *names)):
        assert is_uuid7(member)
        assert first <= member <= last
        assert ids.family_range(member) == (first, last)
    assert first.int & LOW_80 == 0
    assert last.int - first.int == LOW_80
    if first.int:
        assert ids.family_range(UUID(int=first.int - 1))[1].int == first.int - 1


@given(MEMBERS, NAMES, NAMES)
def test_derived_id_is_one_per_natural_key(parent: UUID, names: list[str], others: list[str]) -> None:
    assert ids.derived(parent, *names) == ids.derived(ids.child_of(parent), *names)
    assert (ids.derived(parent, *names) == ids.derived(parent, *others)) == (names == others)
    assert (ids.digest_id(*names) == ids.digest_id(*others)) == (names == others)


def test_derived_ids_never_change() -> None:
    """What is written stays found: these values stand in databases."""
    parent = UUID("01900000-0000-7000-8000-000000000000")
    assert ids.derived(parent, "capture", "att_1").hex == "01900000000079349fbf21d5cf3c023b"
    assert ids.digest_id("merchant", "POST /api/v1/payments", "key").hex == "3006e575fc107532e46091b9e6d68581"


@given(MEMBERS, st.sampled_from(["pay", "ref", "att", "jrn", "evt", "mer", "key"]))
def test_what_is_shown_is_parsed_as_its_own_kind_only(value: UUID, prefix: str) -> None:
    shown = ids.show(prefix, value)
    assert ids.parse(prefix, shown) == value
    assert ids.parse("other", shown) is None


@given(
    st.text()
    | st.text("0123456789abcdef", min_size=31, max_size=33)
    | st.text("\u0660\u09670af", min_size=32, max_size=32)
)
def test_parse_takes_only_what_show_makes(digits: str) -> None:
    found = ids.parse("pay", f"pay_{digits}")
    assert found is None or ids.show("pay", found) == f"pay_{digits}"
    assert ids.parse("pay", digits) is None or digits.startswith("pay_")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pay",
        "pay_",
        "_" + "0" * 32,
        "PAY_" + "0" * 32,
        "pay_" + "0" * 31,
        "pay_" + "0" * 33,
        "pay_" + "A" * 32,
        "pay_" + "g" * 32,
        "pay_01900000-0000-7000-8000-000000000000",
        "pay_{" + "0" * 30 + "}",
        "pay_urn:uuid:" + "0" * 23,
        "pay__" + "0" * 31,
        "pay_+" + "0" * 31,
        "pay_" + "0" * 31 + "\n",
        "pay_" + unicodedata.lookup("ARABIC-INDIC DIGIT ONE") * 32,
        "pay_" + unicodedata.lookup("FULLWIDTH DIGIT ONE") * 32,
        "pay_\x00" + "0" * 31,
    ],
)
def test_garbage_is_no_id(text: str) -> None:
    assert ids.parse("pay", text) is None
