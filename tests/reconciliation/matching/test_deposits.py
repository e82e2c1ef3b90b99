"""Payouts against deposits: by name, by amount and date, in groups."""

import pytest

from bezant.reconciliation.matching.deposits import match_deposits
from bezant.reconciliation.matching.model import BreakKind, Deposit, Payout, Terms
from tests.reconciliation.matching.records import deposit, pairs, payout

TERMS = Terms()


def arrived(payouts: list[Payout], deposits: list[Deposit]) -> set[tuple[str, str]]:
    return pairs(match_deposits(payouts, deposits, TERMS))


def test_a_deposit_with_the_payouts_name_is_the_payout_however_late():
    payouts = [payout("P", 6800, names=["po_6f21"]), payout("Q", 6800, names=["po_93ac"])]
    assert arrived(payouts, [deposit("D", 6800, names=["po_93ac"], days=200)]) == {("Q", "D")}


@pytest.mark.parametrize(
    "text",
    [
        "STRIPE po_1a2b3c4d5e6f PAYOUT",
        "STRIPE PO_1A2B3C4D5E6F",
        "STRIPE PAYMENTS UK LTD PO-1A2B3C4 D5E6F/EUR",  # broken where the bank's line ends
        "TX:po_1a2b3c4d5e6f;batch 3",
        "ref/po_1a2b3c4d5e6f/inv",
    ],
)
def test_a_payouts_name_is_found_in_what_the_bank_wrote(text: str):
    payouts = [payout("P", 6800, names=["po_1a2b3c4d5e6f"]), payout("Q", 6800, names=["po_000000000000"])]
    assert arrived(payouts, [deposit("D", 6800, text=text)]) == {("P", "D")}


def test_a_number_is_not_found_inside_of_a_longer_number():
    payouts = [payout("P", 6800, names=["20260301"]), payout("Q", 6800, names=["202603010"])]
    assert arrived(payouts, [deposit("D", 6800, text="SETTLEMENT202603010")]) == {("Q", "D")}
    assert arrived(payouts[:1], [deposit("D", 6800, text="SETTLEMENT 202603010", days=60)]) == set()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("PSP LTD po_1a2b3c4d5e66/1", "PSP LTD po_1a2b3c4d5e66/2"),
        ("PSP LTD PO 1A2B3C4D5E66/1", "PSP LTD PO1A2B3C4D5E66/2"),
        ("PSP LTD po_1a2b3 c4d5e66/1", "PSP LTD po_1a2b3 c4d5e66/2"),
    ],
)
def test_the_number_of_a_part_behind_the_name_is_not_of_the_name(first: str, second: str):
    payouts = [payout("P", 6800, names=["po_1a2b3c4d5e66"]), payout("Q", 6800, names=["po_000000000000"])]
    assert arrived(payouts, [deposit("D", 4000, text=first), deposit("E", 2800, text=second)]) == {("P", "D+E")}
    in_references = [deposit("D", 4000, names=["771", first[8:]]), deposit("E", 2800, names=["772", second[8:]])]
    assert arrived(payouts, in_references) == {("P", "D+E")}


def test_a_name_that_holds_a_number_of_a_part_is_not_the_name_without_it():
    payouts = [payout("P", 6800, names=["PO-77310"]), payout("Q", 6800, names=["PO-77310/2"])]
    assert arrived(payouts, [deposit("D", 6800, text="PSP PO-77310/2")]) == {("Q", "D")}


def test_a_payout_below_zero_is_the_debit():
    payouts = [payout("P", -8500, names=["po_1"]), payout("Q", 8500)]
    assert arrived(payouts, [deposit("D", -8500)]) == {("P", "D")}


def test_one_payout_in_several_deposits_that_name_it():
    deposits = [
        deposit("D", 4000, text="po_1a2b"),
        deposit("E", 2500, text="po_1a2b"),
        deposit("F", 300, text="po_1a2b"),
    ]
    assert arrived([payout("P", 6800, names=["po_1a2b"])], deposits) == {("P", "D+E+F")}


def test_several_payouts_in_one_deposit_that_names_them():
    payouts = [payout("P", 6800, names=["po_1a2b"]), payout("Q", -300, names=["po_3c4d"])]
    assert arrived(payouts, [deposit("D", 6500, text="po_1a2b po_3c4d")]) == {("P+Q", "D")}


def test_several_payouts_in_several_deposits_that_name_them():
    payouts = [payout("P", 6000, names=["po_1a2b"]), payout("Q", 4000, names=["po_3c4d"])]
    deposits = [deposit("D", 7000, text="po_1a2b po_3c4d"), deposit("E", 3000, text="po_3c4d")]
    assert arrived(payouts, deposits) == {("P+Q", "D+E")}


def test_several_payouts_in_one_deposit_that_names_one_of_them():
    payouts = [payout("P", 61_234, names=["po_1a2b"]), payout("Q", 40_077, names=["po_3c4d"]), payout("R", 55_555)]
    assert arrived(payouts, [deposit("D", 101_311, text="po_1a2b")]) == {("P+Q", "D")}


def test_several_payouts_in_one_deposit_without_a_name():
    payouts = [payout("P", 61_234), payout("Q", 40_077, days=1), payout("R", 55_555)]
    assert arrived(payouts, [deposit("D", 101_311)]) == {("P+Q", "D")}


def test_one_payout_in_several_deposits_without_a_name():
    deposits = [deposit("D", 61_234), deposit("E", 40_077, days=3), deposit("F", 55_555)]
    assert arrived([payout("P", 101_311)], deposits) == {("P", "D+E")}


def test_several_payouts_in_several_deposits_without_a_name():
    payouts = [payout("P", 61_234), payout("Q", 40_077)]
    assert arrived(payouts, [deposit("D", 51_311), deposit("E", 50_000)]) == {("P+Q", "D+E")}


def test_groups_of_deposits_are_booked_within_days_of_each_other():
    deposits = [deposit("D", 61_234, days=1), deposit("E", 40_077, days=7)]
    assert arrived([payout("P", 101_311)], deposits) == set()


def test_payouts_of_a_group_are_paid_within_days_of_each_other():
    payouts = [payout("P", 61_234), payout("Q", 40_077, days=6)]
    assert arrived(payouts, [deposit("D", 101_311, days=6)]) == set()


def test_deposits_of_a_group_without_a_name_are_of_the_same_words():
    payouts = [payout("P", 101_311)]
    deposits = [deposit("D", 61_234, text="STRIPE 0017"), deposit("E", 40_077, text="Stripe/0018")]
    assert arrived(payouts, deposits) == {("P", "D+E")}
    assert arrived(payouts, [deposits[0], deposit("E", 40_077, text="RENT")]) == set()


def test_a_payout_in_parts_of_which_only_one_names_it():
    payouts = [payout("P", 6_800, names=["po_1a2b"]), *(payout(f"Q{n}", 5_000 + 977 * n) for n in range(20))]
    deposits = [deposit("D", 4_023, days=2), deposit("E", 2_777, text="po_1a2b", days=4)]
    assert arrived(payouts, deposits) == {("P", "D+E")}


@pytest.mark.parametrize("text", ["", "po_1a2b", "po_3c4d", "po_1a2b po_3c4d"])
def test_a_payout_below_zero_may_be_taken_off_another_in_one_deposit(text: str):
    payouts = [payout("P", 61_234, names=["po_1a2b"]), payout("Q", -4_077, days=1, names=["po_3c4d"])]
    assert arrived(payouts, [deposit("D", 57_157, text=text)]) == {("P+Q", "D")}
    debited = [payout("P", -61_234, names=["po_1a2b"]), payout("Q", 4_077, days=1, names=["po_3c4d"])]
    assert arrived(debited, [deposit("D", -57_157, text=text)]) == {("P+Q", "D")}


def test_two_groups_that_add_up_to_one_deposit_are_ambiguous():
    payouts = [payout("P", 61_234), payout("Q", 40_077), payout("R", 61_000), payout("S", 40_311)]
    explained = match_deposits(payouts, [deposit("D", 101_311)], TERMS)
    assert not explained.matches
    [ambiguous] = explained.ambiguous
    assert {candidate.ours for candidate in ambiguous.candidates} == {("P", "Q"), ("R", "S")}


def test_a_pair_is_preferred_to_a_group():
    payouts = [payout("P", 61_234), payout("Q", 40_077), payout("R", 101_311)]
    assert arrived(payouts, [deposit("D", 101_311)]) == {("R", "D")}


def test_a_pair_that_may_be_either_is_settled_by_what_the_other_explains():
    payouts = [payout("P", 101_311, days=6), payout("Q", 61_234), payout("R", 40_077)]
    deposits = [deposit("D", 101_311, days=6), deposit("E", 101_311, days=8)]
    assert arrived(payouts, deposits) == {("P", "E"), ("Q+R", "D")}


def test_a_sum_that_chance_might_have_made_explains_nothing():
    payouts = [payout(f"P{n}", 100 + n * n) for n in range(12)]
    explained = match_deposits(payouts, [deposit("D", 401)], TERMS)
    assert not explained.matches
    assert not explained.ambiguous


def test_a_sum_says_more_the_closer_in_time_it_is():
    payouts = [payout("P", 900), payout("Q", 700), *(payout(f"R{n}", 1_001 + n, days=-3) for n in range(6))]
    assert arrived(payouts, [deposit("D", 1_600)]) == {("P+Q", "D")}
    further = [payout("P", 900, days=-3), *payouts[1:]]
    assert arrived(further, [deposit("D", 1_600)]) == set()


def test_equal_payouts_without_a_name_are_ambiguous():
    payouts = [payout("P", 6800), payout("Q", 6800, days=1)]
    explained = match_deposits(payouts, [deposit("D", 6800)], TERMS)
    assert not explained.matches
    assert (explained.ambiguous[0].ours, explained.ambiguous[0].theirs) == (("P", "Q"), ("D",))


@pytest.mark.parametrize(("days", "fits"), [(-1, False), (0, True), (2, True), (3, False)])
def test_without_a_name_a_deposit_of_a_small_amount_must_be_of_the_usual_days(days: int, fits: bool):
    assert bool(arrived([payout("P", 199)], [deposit("D", 199, days=days)])) is fits


@pytest.mark.parametrize(("days", "fits"), [(-2, False), (-1, True), (3, True), (30, True), (31, False)])
def test_without_a_name_a_deposit_may_be_late_where_hardly_another_has_its_amount(days: int, fits: bool):
    payouts = [payout("P", 123_456), payout("Q", 98_765)]
    assert bool(arrived(payouts, [deposit("D", 123_456, days=days)])) is fits


def test_where_a_payout_is_overdue_a_deposit_of_its_amount_is_anothers_unless_a_sum_explains_that_one():
    payouts = [payout("P", 7584), payout("Q", 7584, days=14)]
    assert arrived(payouts, [deposit("D", 7584, days=16)]) == {("Q", "D")}
    merged = [*payouts, payout("R", 61_111, days=14)], [deposit("D", 7584, days=16), deposit("E", 68_695, days=15)]
    explained = match_deposits(*merged, TERMS)
    assert pairs(explained) == {("Q+R", "E")}
    assert [(one.ours, one.theirs) for one in explained.ambiguous] == [(("P",), ("D",))]


def test_a_late_deposit_may_be_a_payout_of_its_amount_that_came_again():
    payouts = [payout("P", 7584), payout("Q", 7584, days=14, names=["po_1a2b"])]
    deposits = [deposit("D", 7584, days=15, text="po_1a2b"), deposit("E", 7584, days=17)]
    explained = match_deposits(payouts, deposits, TERMS)
    assert pairs(explained) == {("Q", "D")}
    assert [(one.ours, one.theirs) for one in explained.ambiguous] == [(("P",), ("E",))]


def test_a_sum_is_preferred_to_a_late_deposit():
    payouts = [payout("P", 61_234), payout("Q", 40_077)]
    deposits = [deposit("D", 101_311), deposit("E", 61_234, days=20)]
    assert arrived(payouts, deposits) == {("P+Q", "D")}


def test_a_deposit_of_other_days_is_not_made_to_fit_by_leaving_out_a_later_one():
    payouts = [payout("P", 7584), payout("Q", 7584, days=6)]
    explained = match_deposits(payouts, [deposit("D", 7584, days=7), deposit("E", 7584, days=8)], TERMS)
    assert not explained.matches
    assert [(one.ours, one.theirs) for one in explained.ambiguous] == [(("P", "Q"), ("D", "E"))]


def test_late_deposits_of_equal_payouts_are_ambiguous():
    explained = match_deposits([payout("P", 6800), payout("Q", 6800, days=1)], [deposit("D", 6800, days=20)], TERMS)
    assert not explained.matches
    assert explained.ambiguous[0].ours == ("P", "Q")


def test_equal_payouts_without_a_name_are_told_apart_by_the_days_that_banks_take():
    payouts = [payout("P", 6800), payout("Q", 6800, days=2)]  # a Monday, and Wednesday
    assert arrived(payouts, [deposit("D", 6800, days=1), deposit("E", 6800, days=4)]) == {("P", "D"), ("Q", "E")}
    assert arrived(payouts, [deposit("D", 6800, days=2), deposit("E", 6800, days=2)]) == set()


def test_a_weekend_is_not_among_the_days_that_banks_take():
    payouts = [payout("P", 6800, days=3), payout("Q", 6800, days=4)]  # Thursday and Friday
    assert arrived(payouts, [deposit("D", 6800, days=4), deposit("E", 6800, days=7)]) == set()
    assert arrived(payouts, [deposit("D", 6800, days=7), deposit("E", 6800, days=8)]) == {("P", "D"), ("Q", "E")}


def test_a_deposit_that_names_an_unknown_payout_is_not_matched_by_amount():
    payouts = [payout("P", 6800, names=["po_1a2b3c4d"])]
    assert arrived(payouts, [deposit("D", 6800, text="STRIPE po_99887766")]) == set()
    assert arrived(payouts, [deposit("D", 6800, text="STRIPE PAYOUT")]) == {("P", "D")}


def test_a_name_off_by_a_slip_is_recognised_where_the_amount_is_the_same():
    payouts = [payout("P", 6800, names=["po_1a2b3c4d5e6f"]), payout("Q", 6800, names=["po_000000000000"])]
    assert arrived(payouts, [deposit("D", 6800, text="STRIPE po_1a2b3c4d5e7f")]) == {("P", "D")}
    assert arrived(payouts, [deposit("D", 6801, text="STRIPE po_1a2b3c4d5e7f")]) == set()


def test_a_name_off_by_a_slip_is_recognised_where_the_banks_line_ended_within_it():
    payouts = [payout("P", 6800, names=["po_1a2b3c4d5e6f7081"]), payout("Q", 6800, names=["po_0000000000000000"])]
    assert arrived(payouts, [deposit("D", 6800, text="PSP LTD po_1a2b3 c4b5e6f7081")]) == {("P", "D")}


def test_where_payouts_are_numbered_a_slip_needs_an_amount_of_its_own():
    payouts = [payout(f"{n}", 6800 + n % 2, names=[f"PO-{n}"]) for n in range(1000100, 1000110)]
    lone = payout("lone", 777, names=["PO-1000110"])
    assert arrived([*payouts, lone], [deposit("D", 777, text="PO-10001100")]) == {("lone", "D")}
    assert arrived([*payouts, lone], [deposit("D", 6800, text="PO-100010")]) == set()


def test_of_two_deposits_of_one_payout_the_first_is_it_and_the_other_is_excess():
    payouts = [payout("P", 6800, names=["po_1a2b"])]
    explained = match_deposits(
        payouts, [deposit("D", 6800, text="po_1a2b", days=4), deposit("E", 6800, text="po_1a2b")], TERMS
    )
    assert pairs(explained) == {("P", "E")}
    assert [(note.kind, note.ours, note.theirs) for note in explained.noted] == [(BreakKind.EXCESS, ("P",), ("D",))]


def test_a_deposit_of_a_payout_that_arrived_before_is_excess():
    explained = match_deposits(
        [], [deposit("D", 6800, text="po_1a2b")], TERMS, explained_before=[payout("P", 6800, names=["po_1a2b"])]
    )
    assert [(note.kind, note.ours) for note in explained.noted] == [(BreakKind.EXCESS, ("P",))]


def test_a_deposit_with_the_name_but_another_amount_does_not_match():
    explained = match_deposits([payout("P", 6800, names=["po_1a2b"])], [deposit("D", 6785, text="po_1a2b")], TERMS)
    assert not explained.matches
    assert [(note.kind, note.ours, note.theirs) for note in explained.noted] == [
        (BreakKind.AMOUNT_MISMATCH, ("P",), ("D",))
    ]


def test_a_deposit_that_the_bank_exchanged_is_read_by_what_it_was():
    payouts = [payout("P", 6800, names=["po_1a2b"], currency="USD")]
    exchanged = deposit("D", 6283, text="po_1a2b", currency="EUR", original=("USD", 6800))
    assert arrived(payouts, [exchanged]) == {("P", "D")}
    explained = match_deposits(payouts, [deposit("D", 6283, text="po_1a2b", currency="EUR")], TERMS)
    assert not explained.matches
    assert [note.kind for note in explained.noted] == [BreakKind.CURRENCY_MISMATCH]


def test_many_payouts_and_deposits_are_matched_within_the_budget():
    payouts = [payout(f"P{n:03}", 10_000 + 7919 * n, days=n % 5) for n in range(200)]
    deposits = [deposit(f"D{n:03}", one.amount_minor, days=n % 5 + 1) for n, one in enumerate(payouts)]
    assert arrived(payouts, deposits) == {(f"P{n:03}", f"D{n:03}") for n in range(200)}
