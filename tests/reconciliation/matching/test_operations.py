"""Operations against lines: what explains what, and what is left for a person."""

import pytest

from bezant.psp.reports import LineKind
from bezant.reconciliation.matching.exact import match_exactly
from bezant.reconciliation.matching.model import BreakKind, Explained, Line, Operation, Terms
from bezant.reconciliation.matching.operations import match_operations
from tests.reconciliation.matching.records import NOON, line, operation, pairs

TERMS = Terms()
ATT_A = "att_7f3a9c0b5d1e4826"
ATT_B = "att_21d08e6bb74f93c5"
ATT_C = "att_e05591fa3c6d7b24"


def matched(operations: list[Operation], lines: list[Line], terms: Terms = TERMS) -> set[tuple[str, str]]:
    return pairs(match_operations(operations, lines, terms))


def notes(explained: Explained) -> set[tuple[BreakKind, tuple[object, ...], tuple[object, ...]]]:
    return {(note.kind, note.ours, note.theirs) for note in explained.noted}


def test_a_line_with_the_name_of_an_operation_explains_it_however_late():
    assert matched([operation("A", 500, names=[ATT_A])], [line("1", 500, names=[ATT_A], hours=24 * 90)]) == {("A", "1")}


def test_a_fee_never_disturbs_a_match():
    assert matched([operation("A", 500, names=[ATT_A])], [line("1", 500, names=[ATT_A], fee_minor=499)]) == {("A", "1")}


def test_a_refund_is_not_explained_by_the_line_of_the_charge():
    operations = [operation("A", 500, names=["x1"]), operation("R", -500, names=["x1"], kind=LineKind.REFUND)]
    lines = [line("1", -500, names=["x1"], kind=LineKind.REFUND), line("2", 500, names=["x1"])]
    assert matched(operations, lines) == {("A", "2"), ("R", "1")}


def test_a_line_that_names_only_the_payment_explains_its_operation_of_that_kind_and_amount():
    operations = [
        operation("A", 500, names=[ATT_A], payment="P"),
        operation("B", 300, names=[ATT_B], payment="P"),
        operation("R", -300, names=[ATT_C], payment="P", kind=LineKind.REFUND),
    ]
    lines = [
        line("1", 300, payment="P"),
        line("2", 500, payment="P"),
        line("3", -300, payment="P", kind=LineKind.REFUND),
    ]
    assert matched(operations, lines) == {("A", "2"), ("B", "1"), ("R", "3")}


def test_one_operation_reported_in_parts_is_explained_by_all_of_them():
    lines = [line("1", 200, names=[ATT_A]), line("2", 250, names=[ATT_A]), line("3", 50, names=[ATT_A])]
    assert matched([operation("A", 500, names=[ATT_A])], lines) == {("A", "1+2+3")}


def test_an_operation_in_more_parts_than_groups_may_have_is_still_explained_by_all_of_them():
    lines = [line(f"{n:02}", 100, names=[ATT_A]) for n in range(20)]
    assert matched([operation("A", 2000, names=[ATT_A])], lines) == {("A", "+".join(f"{n:02}" for n in range(20)))}


def test_parts_that_do_not_add_up_explain_nothing():
    explained = match_operations(
        [operation("A", 500, names=[ATT_A])], [line("1", 200, names=[ATT_A]), line("2", 250, names=[ATT_A])], TERMS
    )
    assert not explained.matches
    assert notes(explained) == {(BreakKind.AMOUNT_MISMATCH, ("A",), (n,)) for n in "12"}


def test_partial_captures_reported_in_one_line_are_explained_by_it():
    operations = [operation("A", 200, names=[ATT_A], payment="P"), operation("B", 300, names=[ATT_B], payment="P")]
    assert matched(operations, [line("1", 500, payment="P")]) == {("A+B", "1")}
    assert matched(operations, [line("1", 500, names=[ATT_A])]) == {("A+B", "1")}


def test_captures_and_lines_cut_differently_are_explained_as_a_group():
    operations = [operation("A", 300, payment="P"), operation("B", 700, payment="P")]
    assert matched(operations, [line("1", 500, payment="P"), line("2", 500, payment="P")]) == {("A+B", "1+2")}


def test_groups_never_mix_payments():
    operations = [operation("A", 200, payment="P"), operation("B", 300, payment="Q")]
    assert matched(operations, [line("1", 500, payment="P")]) == set()


def test_of_duplicate_rows_the_earliest_explains_and_the_others_are_noted():
    explained = match_operations(
        [operation("A", 500, names=[ATT_A])],
        [
            line("1", 500, names=[ATT_A], hours=30),
            line("2", 500, names=[ATT_A], hours=20),
            line("3", 500, names=[ATT_A]),
        ],
        TERMS,
    )
    assert pairs(explained) == {("A", "2")}
    assert notes(explained) == {(BreakKind.DUPLICATE_PSP_ROW, ("A",), (n,)) for n in "13"}


def test_a_row_that_comes_again_after_its_operation_was_explained_is_a_duplicate():
    explained = match_operations(
        [], [line("1", 500, names=[ATT_A])], TERMS, explained_before=[operation("A", 500, names=[ATT_A])]
    )
    assert notes(explained) == {(BreakKind.DUPLICATE_PSP_ROW, ("A",), ("1",))}
    assert explained.operations == []


def test_a_further_line_of_another_amount_is_excess():
    explained = match_operations(
        [operation("A", 500, names=[ATT_A])], [line("1", 500, names=[ATT_A]), line("2", 70, names=[ATT_A])], TERMS
    )
    assert pairs(explained) == {("A", "1")}
    assert notes(explained) == {(BreakKind.EXCESS, ("A",), ("2",))}


def test_a_line_with_the_name_but_another_amount_does_not_match():
    explained = match_operations([operation("A", 500, names=[ATT_A])], [line("1", 499, names=[ATT_A])], TERMS)
    assert not explained.matches
    assert notes(explained) == {(BreakKind.AMOUNT_MISMATCH, ("A",), ("1",))}


def test_a_line_that_names_one_operation_is_never_given_to_another_for_its_amount():
    operations = [operation("A", 500, names=[ATT_A]), operation("B", 499, names=[ATT_B])]
    assert matched(operations, [line("1", 499, names=[ATT_A])]) == set()


def test_another_currency_without_a_presented_amount_does_not_match():
    explained = match_operations(
        [operation("A", 500, names=[ATT_A], currency="EUR")], [line("1", 500, names=[ATT_A], currency="USD")], TERMS
    )
    assert not explained.matches
    assert notes(explained) == {(BreakKind.CURRENCY_MISMATCH, ("A",), ("1",))}


@pytest.mark.parametrize(("presented", "fits"), [(100_000, True), (100_100, True), (99_900, True), (100_101, False)])
def test_an_exchanged_line_matches_by_what_was_presented_within_tolerance(presented: int, fits: bool):
    operations = [operation("A", 100_000, names=[ATT_A], currency="EUR")]
    lines = [line("1", 108_310, names=[ATT_A], currency="USD", presented=("EUR", presented))]
    assert bool(matched(operations, lines)) is fits


def test_small_exchanged_amounts_have_the_tolerance_in_minor_units():
    operations = [operation("A", 100, names=[ATT_A], currency="EUR")]
    assert matched(operations, [line("1", 108, names=[ATT_A], presented=("EUR", 102))]) == {("A", "1")}
    assert matched(operations, [line("1", 108, names=[ATT_A], presented=("EUR", 103))]) == set()


def test_without_an_exchange_there_is_no_tolerance():
    operations = [operation("A", 100_000, names=[ATT_A])]
    assert matched(operations, [line("1", 100_001, names=[ATT_A], presented=("USD", 100_001))]) == set()


def test_an_operation_exchanged_in_parts_is_explained_by_them():
    operations = [operation("A", 1000, names=[ATT_A], currency="EUR")]
    lines = [
        line("1", 650, names=[ATT_A], presented=("EUR", 600)),
        line("2", 433, names=[ATT_A], presented=("EUR", 399)),
    ]
    assert matched(operations, lines) == {("A", "1+2")}


def test_names_that_two_lines_exchanged_are_put_right():
    operations = [operation("A", 500, names=[ATT_A]), operation("B", 700, names=[ATT_B])]
    lines = [
        line("1", 700, names=[ATT_A], payment="payment of A"),
        line("2", 500, names=[ATT_B], payment="payment of B"),
    ]
    assert matched(operations, lines) == {("A", "2"), ("B", "1")}


def test_where_only_the_own_names_were_exchanged_the_payment_tells():
    operations = [operation("A", 500, names=[ATT_A]), operation("B", 700, names=[ATT_B])]
    lines = [
        line("1", 700, names=[ATT_A], payment="payment of B"),
        line("2", 500, names=[ATT_B], payment="payment of A"),
    ]
    assert matched(operations, lines) == {("A", "2"), ("B", "1")}


def test_three_lines_that_could_have_exchanged_names_are_ambiguous():
    operations = [
        operation("A", 500, names=[ATT_A]),
        operation("B", 700, names=[ATT_B]),
        operation("C", 700, names=[ATT_C]),
    ]
    lines = [line("1", 700, names=[ATT_A]), line("2", 500, names=[ATT_B]), line("3", 500, names=[ATT_C])]
    explained = match_operations(operations, lines, TERMS)
    assert not explained.matches
    assert [(one.ours, one.theirs) for one in explained.ambiguous] == [(("A", "B", "C"), ("1", "2", "3"))]


@pytest.mark.parametrize(
    "mistyped",
    [
        "att_7f3a9c0b5d1e4862",  # two changed places
        "att_7f3a9c0b5d1e482",  # one lost
        "att_7f3a9c0bb5d1e4826",  # one doubled
        "att_7f3a9cOb5d1e4B26",  # two misread
        "ATT-7F3A9C0B5D1E4826",
        "7f3a9c0b5d1e4826",
        "ref att_7f3a9c0b5d1e4826 thanks",
    ],
)
def test_a_name_off_by_a_slip_is_recognised_where_the_amount_is_the_same(mistyped: str):
    operations = [operation("A", 500, names=[ATT_A]), operation("B", 500, names=[ATT_B])]
    assert matched(operations, [line("1", 500, names=[mistyped])]) == {("A", "1")}
    assert matched(operations, [line("1", 501, names=[mistyped])]) == set()


def test_parts_with_a_mistyped_name_are_still_parts():
    mistyped = ATT_A.replace("9c", "c9")
    operations = [operation("A", 500, names=[ATT_A])]
    assert matched(operations, [line("1", 300, names=[mistyped]), line("2", 200, names=[mistyped])]) == {("A", "1+2")}
    assert matched(operations, [line("1", 300, names=[ATT_A]), line("2", 200, names=[mistyped])]) == {("A", "1+2")}


def test_parts_with_names_in_other_letters_are_still_parts():
    operations = [operation("A", 500, names=[ATT_A, "cap_0d42d2a9d91dac23"], payment="P")]
    lines = [
        line("1", 200, names=["ATT 7F3A9C0B5D1E4826", "cap0d42d2a9d91dac23"]),
        line("2", 250, names=[" att_7f3a9c0b5d1e4826 ", "CAP-0D42D2A9D91DAC23"]),
        line("3", 50, names=["cap-0d42d2a9d91dac23"]),
    ]
    assert matched(operations, lines) == {("A", "1+2+3")}
    stranger = line("4", 50, names=["cap-e05591fa3c6d7b24"])
    assert matched(operations, [*lines[:2], stranger]) == set()


def test_a_name_off_by_a_slip_is_recognised_months_later():
    lines = [line("1", 500, names=[ATT_A.replace("9c", "c9")], hours=24 * 80)]
    assert matched([operation("A", 500, names=[ATT_A])], lines) == {("A", "1")}


def test_names_of_an_operation_and_its_payment_outvote_one_that_nobody_knows():
    operations = [operation("A", 500, names=[ATT_A, "cap_0d42d2a9d91dac23"], payment="P")]
    lines = [line("1", 500, names=[ATT_B, "cap_0d42d2a9d91dac23"], payment="P")]
    assert len(match_exactly(operations, lines).matches) == 1
    lines = [line("1", 500, names=[ATT_B, "cap_0d42d2a9d91dac23"])]
    assert len(match_exactly(operations, lines).matches) == 0


def test_one_line_is_not_two_parts_of_an_operation():
    operations = [operation("A", 200, names=[ATT_A])]
    assert matched(operations, [line("1", 100, names=[ATT_A], payment="another")]) == set()


def test_where_names_lie_close_together_a_slip_needs_an_amount_of_its_own():
    numbered = [operation(f"{n}", 500 + n % 2, names=[f"order-{n}"]) for n in range(100_000, 100_030)]
    lines = [line(f"line {n}", 500 + n % 2, names=[f"order-{n}"]) for n in range(100_000, 100_028)]
    lone = operation("lone", 777, names=["order-100030"])
    mistyped = line("mistyped", 777, names=["order-1000030"])
    assert ("lone", "mistyped") in matched([*numbered, lone], [*lines, mistyped])
    assert len(matched(numbered, [*lines, line("mistyped", 500, names=["order-1000028"])])) == len(lines)


def test_where_names_lie_close_together_two_slips_that_lead_to_one_operation_are_enough():
    numbered = [operation(f"{n}", 500, names=[f"att-{n}", f"ch-{n + 400}"]) for n in range(100_000, 100_030)]
    lines = [line(f"line {n}", 500, names=[f"att-{n}", f"ch-{n + 400}"]) for n in range(100_000, 100_028)]
    next_of_another = line("another's", 500, names=["att-100039", "ch-100439"])
    assert ("100029", "another's") not in matched(numbered, [*lines, next_of_another])
    mistyped = line("mistyped", 500, names=["att-1000299", "ch-1004299"])
    assert ("100029", "mistyped") in matched(numbered, [*lines, mistyped])


def test_where_names_lie_close_together_an_exact_name_may_be_anothers_mistyped():
    numbered = [operation(f"{n}", 500, names=[f"att-{n}", f"ch-{n + 400}"]) for n in range(100_000, 100_030)]
    lines = [line(f"line {n}", 500, names=[f"att-{n}", f"ch-{n + 400}"]) for n in range(100_000, 100_028)]
    doubtful = line("doubtful", 500, names=["att-100028", "ch-777777"])
    explained = match_operations(numbered, [*lines, doubtful], TERMS)
    assert len(explained.matches) == len(lines)
    assert notes(explained) == {(BreakKind.CONTRADICTION, ("100028",), ("doubtful",))}


def test_a_line_with_a_name_that_is_not_known_is_not_matched_by_amount():
    assert matched([operation("A", 500, names=[ATT_A])], [line("1", 500, names=[ATT_B])]) == set()
    assert matched([operation("A", 500)], [line("1", 500, payment="someone else's")]) == set()


def test_a_line_without_names_matches_by_amount_and_date_where_only_one_operation_fits():
    operations = [operation("A", 500, names=[ATT_A]), operation("B", 501, names=[ATT_B])]
    assert matched(operations, [line("1", 500)]) == {("A", "1")}


@pytest.mark.parametrize(("hours", "fits"), [(-25, False), (-23, True), (23, True), (25, False)])
def test_without_names_a_line_must_be_of_a_day_with_its_operation(hours: float, fits: bool):
    assert bool(matched([operation("A", 500)], [line("1", 500, hours=hours)])) is fits


@pytest.mark.parametrize(("hours", "fits"), [(-60, False), (-36, True), (12, True), (36, False)])
def test_a_line_of_a_day_only_must_be_of_a_neighbouring_day(hours: float, fits: bool):
    assert bool(matched([operation("A", 500)], [line("1", 500, hours=hours)])) is fits


def test_without_names_a_line_that_may_be_a_late_one_of_another_operation_is_ambiguous():
    operations = [operation("A", 500), operation("B", 500, hours=24 * 30)]
    explained = match_operations(operations, [line("1", 500, hours=24 * 30 + 6)], TERMS)
    assert not explained.matches
    assert [(one.ours, one.theirs) for one in explained.ambiguous] == [(("A", "B"), ("1",))]
    [candidate, other] = explained.ambiguous[0].candidates
    assert (candidate.ours, other.ours) == (("A",), ("B",))


def test_without_names_a_line_of_the_moment_is_no_late_one_of_another_operation():
    operations = [operation("A", 500), operation("B", 500, hours=24 * 30)]
    assert matched(operations, [line("1", 500, hours=24 * 30 - 0.01)]) == {("B", "1")}


def test_without_names_a_line_of_no_day_of_an_operation_is_left_with_all_of_them():
    operations = [operation("A", 500), operation("B", 500, hours=24 * 30)]
    explained = match_operations(operations, [line("1", 500, hours=24 * 20)], TERMS)
    assert (explained.matches, explained.ambiguous) == ([], [])


@pytest.mark.parametrize("name", [" att_21d08e6bb74f93c5 ", "att21d08e6bb74f93c5", "21d08e6bb74f93c5"])
def test_a_line_with_a_name_in_other_letters_is_not_without_a_name(name: str):
    assert matched([operation("A", 500, names=[ATT_A])], [line("1", 500, names=[name], hours=0)]) == set()


def test_a_name_of_a_kind_that_no_operation_has_says_nothing():
    assert matched([operation("A", 500, names=[ATT_A])], [line("1", 500, names=["txn_9"], hours=0)]) == {("A", "1")}


@pytest.mark.parametrize("seconds", [-1, 1])
def test_of_very_many_open_operations_those_of_the_moment_are_looked_at(seconds: int):
    operations = [operation(f"{n:04}", 500, hours=n) for n in range(2_000)]
    lines = [line(f"{n:04}", 500, hours=n + seconds / 3600) for n in range(7, 2_000, 13)]
    assert matched(operations, lines) == {(each.id, each.id) for each in lines}


def test_the_same_amounts_on_the_same_day_without_names_are_ambiguous_with_their_candidates():
    explained = match_operations(
        [operation("A", 500), operation("B", 500, hours=3)], [line("1", 500), line("2", 500)], TERMS
    )
    assert not explained.matches
    [ambiguous] = explained.ambiguous
    assert (ambiguous.ours, ambiguous.theirs) == (("A", "B"), ("1", "2"))
    assert len(ambiguous.candidates) == 4


def test_the_same_amounts_without_names_are_told_apart_by_the_moment():
    operations = [operation("A", 500), operation("B", 500, hours=3)]
    assert matched(operations, [line("1", 500, hours=3.01), line("2", 500, hours=-0.01)]) == {("A", "2"), ("B", "1")}


def test_what_one_line_leaves_over_another_may_explain():
    operations = [operation("A", 500), operation("B", 500, hours=24 * 9)]
    assert matched(operations, [line("1", 500, hours=0), line("2", 500, hours=24 * 8)]) == {("A", "1"), ("B", "2")}


def test_more_candidates_than_are_weighed_are_reported_not_guessed():
    operations = [operation(f"{n:03}", 500) for n in range(100)]
    explained = match_operations(operations, [line("1", 500)], TERMS)
    assert not explained.matches
    assert explained.ambiguous[0].theirs == ("1",)


def test_like_captures_of_one_payment_are_told_apart_by_the_moment_or_not_at_all():
    operations = [operation("A", 500, payment="P"), operation("B", 500, payment="P", hours=5)]
    lines = [line("1", 500, payment="P", hours=5), line("2", 500, payment="P", hours=0)]
    assert matched(operations, lines) == {("A", "2"), ("B", "1")}
    lines = [line("1", 500, payment="P", hours=40), line("2", 500, payment="P", hours=30)]
    explained = match_operations(operations, lines, TERMS)
    assert not explained.matches
    assert [(one.ours, one.theirs) for one in explained.ambiguous] == [(("A", "B"), ("1", "2"))]


def test_like_captures_under_one_name_are_told_apart_by_the_moment():
    operations = [operation("A", 500, names=[ATT_A], payment="P"), operation("B", 500, names=[ATT_A], payment="P")]
    operations[1] = operation("B", 500, names=[ATT_A], payment="P", hours=30)
    lines = [line("1", 500, names=[ATT_A], payment="P", hours=30), line("2", 500, names=[ATT_A], payment="P", hours=0)]
    assert matched(operations, lines) == {("A", "2"), ("B", "1")}
    assert matched(operations, lines[:1]) == {("B", "1")}
    late = line("3", 500, names=[ATT_A], payment="P", hours=24 * 30)
    assert matched(operations, [lines[0], late]) == {("A", "3"), ("B", "1")}
    assert matched(operations, [late]) == set()


def test_of_like_captures_one_booked_late_is_not_crossed_with_the_other():
    operations = [
        operation("A", 500, names=[ATT_A], payment="P", hours=0.75),
        operation("B", 500, names=[ATT_A], payment="P", hours=0.5),
    ]
    lines = [
        line("1", 500, names=[ATT_A], payment="P", hours=0),
        line("2", 500, names=[ATT_A], payment="P", hours=0.499),
    ]
    assert matched(operations, lines) == {("A", "1"), ("B", "2")}


def test_a_line_of_a_day_only_is_of_no_moment():
    midnight = [operation("A", 500, hours=12), operation("B", 500, hours=20)]
    assert matched(midnight, [line("1", 500, hours=12)]) == set()
    assert matched(midnight, [line("1", 500, hours=20)]) == {("B", "1")}


def test_exchanged_names_are_told_apart_by_the_moment():
    operations = [operation("A", 500, names=[ATT_A]), operation("B", 700, names=[ATT_B], hours=5)]
    operations.append(operation("C", 700, names=[ATT_C], hours=9))
    lines = [line("1", 700, names=[ATT_A], hours=9), line("2", 500, names=[ATT_C], hours=0)]
    assert matched(operations, lines) == {("A", "2"), ("C", "1")}


def test_one_line_for_either_of_two_like_captures_is_ambiguous():
    operations = [operation("A", 500, payment="P"), operation("B", 500, payment="P")]
    explained = match_operations(operations, [line("1", 500, payment="P")], TERMS)
    assert not explained.matches
    assert explained.ambiguous[0].ours == ("A", "B")


def test_a_refund_that_failed_before_any_report_is_explained_by_its_failure():
    operations = [
        operation("R", -500, names=["re_1"], payment="P", kind=LineKind.REFUND),
        operation("F", 500, names=["re_1"], payment="P", kind=LineKind.REFUND_FAILED),
    ]
    assert matched(operations, []) == {("F+R", "")}
    assert match_operations(operations, [], TERMS, now=NOON).matches == []


def test_a_refund_and_its_failure_wait_for_reports_of_long_after_them():
    operations = [
        operation("R", -500, names=["re_1"], payment="P", kind=LineKind.REFUND),
        operation("F", 500, names=["re_1"], payment="P", kind=LineKind.REFUND_FAILED, hours=5),
    ]
    assert matched(operations, [line("1", 700, names=[ATT_A], hours=24)]) == set()
    assert matched(operations, [line("1", 700, names=[ATT_A], hours=24 * 4)]) == {("F+R", "")}


def test_a_refund_and_its_failure_that_are_reported_are_explained_by_their_lines():
    operations = [
        operation("R", -500, names=["re_1"], payment="P", kind=LineKind.REFUND),
        operation("F", 500, names=["re_1"], payment="P", kind=LineKind.REFUND_FAILED),
    ]
    lines = [
        line("1", -500, names=["re_1"], kind=LineKind.REFUND),
        line("2", 500, names=["re_1"], kind=LineKind.REFUND_FAILED),
    ]
    assert matched(operations, lines) == {("R", "1"), ("F", "2")}
    assert matched(operations, lines[:1]) == {("R", "1")}


def test_a_line_whose_names_belong_to_different_payments_that_it_fits_neither_of_contradicts_itself():
    operations = [operation("A", 500, names=[ATT_A]), operation("B", 700, names=[ATT_B])]
    explained = match_operations(operations, [line("1", 600, names=[ATT_A, ATT_B])], TERMS)
    assert notes(explained) == {(BreakKind.CONTRADICTION, ("A", "B"), ("1",))}


def test_a_line_with_names_of_two_that_it_fits_both_is_ambiguous():
    operations = [operation("A", 500, names=[ATT_A]), operation("B", 500, names=[ATT_B])]
    explained = match_operations(operations, [line("1", 500, names=[ATT_A, ATT_B])], TERMS)
    assert not explained.matches
    assert explained.ambiguous[0].ours == ("A", "B")


def test_a_refund_that_we_never_made_names_its_payment():
    operations = [operation("A", 500, names=[ATT_A], payment="P")]
    explained = match_operations(
        operations, [line("1", 500, names=[ATT_A]), line("2", -500, payment="P", kind=LineKind.REFUND)], TERMS
    )
    assert [(note.kind, note.ours, note.payment) for note in explained.noted] == [
        (BreakKind.MISSING_INTERNAL_ROW, (), "P")
    ]


def test_fees_payouts_and_adjustments_are_left_as_they_are():
    kinds = (LineKind.FEE, LineKind.PAYOUT, LineKind.PAYOUT_FAILED, LineKind.ADJUSTMENT)
    lines = [line(kind, 500, names=[ATT_A], kind=kind) for kind in kinds]
    explained = match_operations([operation("A", 500, names=[ATT_A])], lines, TERMS)
    assert (explained.matches, explained.noted, explained.lines) == ([], [], lines)
