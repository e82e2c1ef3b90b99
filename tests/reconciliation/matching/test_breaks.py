"""What is left, told as breaks: one kind each, with what it is about and what is at risk."""

from datetime import timedelta

import pytest

from bezant.psp.reports import LineKind
from bezant.reconciliation.matching.breaks import find_breaks, find_deposit_breaks, find_payout_mismatches
from bezant.reconciliation.matching.deposits import match_deposits
from bezant.reconciliation.matching.model import BreakKind, Deposit, Fee, Found, Line, Operation, Payout, Terms
from bezant.reconciliation.matching.operations import match_operations
from tests.reconciliation.matching.records import NOON, deposit, line, operation, payout

TERMS = Terms(fees=(Fee("USD", 290, 30), Fee("USD", 0, 1500, 0, LineKind.DISPUTE)))
LATER = NOON + timedelta(days=30)
ATT_A = "att_7f3a9c0b5d1e4826"
ATT_B = "att_21d08e6bb74f93c5"


def breaks(operations: list[Operation], lines: list[Line], terms: Terms = Terms()) -> list[Found]:  # noqa: B008
    return find_breaks(match_operations(operations, lines, terms), LATER, terms)


def deposit_breaks(payouts: list[Payout], deposits: list[Deposit]) -> list[Found]:
    return find_deposit_breaks(match_deposits(payouts, deposits, TERMS), LATER, TERMS)


def told(found: list[Found]) -> list[tuple[BreakKind, tuple[object, ...], int]]:
    return [(one.kind, one.subjects, one.at_risk_minor) for one in found]


def test_what_is_explained_is_no_break():
    assert breaks([operation("A", 500, names=[ATT_A])], [line("1", 500, names=[ATT_A])]) == []


def test_an_operation_without_a_line_waits_first_and_is_missing_then():
    explained = match_operations([operation("A", 500, payment="P")], [], TERMS)
    [waits] = find_breaks(explained, NOON + TERMS.skew, TERMS)
    [missing] = find_breaks(explained, NOON + TERMS.skew + timedelta(seconds=1), TERMS)
    assert told([waits, missing]) == [
        (BreakKind.TIMING_SKEW, ("A",), 500),
        (BreakKind.MISSING_PSP_ROW, ("A",), 500),
    ]
    assert (missing.payment, missing.since, missing.currency) == ("P", NOON, "USD")


def test_a_line_without_an_operation_is_a_missing_internal_row():
    assert told(breaks([], [line("1", -500, names=[ATT_A], kind=LineKind.REFUND)])) == [
        (BreakKind.MISSING_INTERNAL_ROW, ("1",), 500)
    ]


def test_a_line_without_an_operation_on_a_known_payment_says_which():
    found = breaks([operation("A", 500, payment="P")], [line("1", 500, payment="P"), line("2", 70, payment="P")])
    assert told(found) == [(BreakKind.MISSING_INTERNAL_ROW, ("2",), 70)]
    assert found[0].payment == "P"


def test_fees_and_payouts_are_no_breaks_but_adjustments_are():
    lines = [line(kind, 90, kind=kind) for kind in (LineKind.FEE, LineKind.PAYOUT, LineKind.PAYOUT_FAILED)]
    assert told(breaks([], [*lines, line("1", 90, kind=LineKind.ADJUSTMENT)])) == [
        (BreakKind.MISSING_INTERNAL_ROW, ("1",), 90)
    ]


def test_an_amount_mismatch_is_one_break_of_both_and_risks_the_difference():
    assert told(breaks([operation("A", 500, names=[ATT_A])], [line("1", 480, names=[ATT_A])])) == [
        (BreakKind.AMOUNT_MISMATCH, ("1", "A"), 20)
    ]


def test_a_currency_mismatch_is_one_break_of_both():
    found = breaks([operation("A", 500, names=[ATT_A])], [line("1", 500, names=[ATT_A], currency="EUR")])
    assert told(found) == [(BreakKind.CURRENCY_MISMATCH, ("1", "A"), 500)]


def test_a_duplicate_row_is_a_break_of_the_later_one():
    lines = [line("1", 500, names=[ATT_A], hours=9), line("2", 500, names=[ATT_A], hours=8)]
    assert told(breaks([operation("A", 500, names=[ATT_A])], lines)) == [(BreakKind.DUPLICATE_PSP_ROW, ("1", "A"), 500)]


def test_what_is_reported_beyond_an_operation_is_excess():
    lines = [line("1", 500, names=[ATT_A]), line("2", 60, names=[ATT_A])]
    assert told(breaks([operation("A", 500, names=[ATT_A])], lines)) == [(BreakKind.EXCESS, ("2", "A"), 60)]


def test_an_ambiguous_case_is_one_break_of_all_of_it():
    found = breaks([operation("A", 500), operation("B", 500)], [line("1", 500)])
    assert told(found) == [(BreakKind.AMBIGUOUS, ("1", "A", "B"), 500)]
    assert "2 candidates" in found[0].detail


def test_a_contradiction_is_a_break_of_all_of_it():
    operations = [operation("A", 500, names=[ATT_A]), operation("B", 700, names=[ATT_B])]
    assert told(breaks(operations, [line("1", 600, names=[ATT_A, ATT_B])])) == [
        (BreakKind.CONTRADICTION, ("1", "A", "B"), 600)
    ]


def test_refunds_of_one_payment_that_may_have_undone_each_other_are_ambiguous():
    operations = [operation(n, -500, payment="P", kind=LineKind.REFUND) for n in "AB"]
    operations.append(operation("F", 500, payment="P", kind=LineKind.REFUND_FAILED))
    assert told(breaks(operations, [])) == [(BreakKind.AMBIGUOUS, ("A", "B", "F"), 1500)]


# 2.9 % of 10 050 is 291.45, with 30: 321.
@pytest.mark.parametrize(("fee_minor", "off_by"), [(321, 0), (320, 0), (322, 0), (319, 2), (323, 2), (0, 321)])
def test_a_fee_beyond_the_tolerance_is_a_mismatch_although_the_line_matches(fee_minor: int, off_by: int):
    lines = [line("1", 10_050, names=[ATT_A], fee_minor=fee_minor)]
    found = breaks([operation("A", 10_050, names=[ATT_A])], lines, TERMS)
    assert told(found) == ([(BreakKind.FEE_MISMATCH, ("1", "A"), off_by)] if off_by else [])


@pytest.mark.parametrize(
    ("fees", "fits"), [((160, 161), True), ((175, 176), True), ((140, 141), False), ((190, 191), False)]
)
def test_a_charge_in_parts_may_bear_the_fixed_fee_once_or_with_each(fees: tuple[int, int], fits: bool):
    lines = [line(str(n), 5_025, names=[ATT_A], fee_minor=fee) for n, fee in enumerate(fees)]
    assert (breaks([operation("A", 10_050, names=[ATT_A])], lines, TERMS) == []) is fits


def test_fees_are_agreed_by_kind_and_currency():
    dispute = operation("D", -500, names=[ATT_A], kind=LineKind.DISPUTE)
    assert told(breaks([dispute], [line("1", -500, names=[ATT_A], kind=LineKind.DISPUTE)], TERMS)) == [
        (BreakKind.FEE_MISMATCH, ("1", "D"), 1500)
    ]
    euros = operation("A", 500, names=[ATT_A], currency="EUR")
    assert breaks([euros], [line("1", 500, names=[ATT_A], currency="EUR")], TERMS) == []


def test_a_deposit_that_nothing_explains_is_unmatched():
    assert told(deposit_breaks([], [deposit("D", 4200, text="rent")])) == [(BreakKind.UNMATCHED_DEPOSIT, ("D",), 4200)]


def test_a_payout_waits_for_its_deposit_first_and_misses_it_then():
    explained = match_deposits([payout("P", -6800)], [], TERMS)
    assert told(find_deposit_breaks(explained, NOON + TERMS.deposit_skew, TERMS)) == [
        (BreakKind.TIMING_SKEW, ("P",), 6800)
    ]
    assert told(find_deposit_breaks(explained, LATER, TERMS)) == [(BreakKind.MISSING_DEPOSIT, ("P",), 6800)]


def test_a_deposit_of_another_amount_than_its_payout_is_one_break_of_both():
    found = deposit_breaks([payout("P", 6800, names=["po_1a2b"])], [deposit("D", 6785, text="po_1a2b")])
    assert told(found) == [(BreakKind.AMOUNT_MISMATCH, ("D", "P"), 15)]


def test_a_second_deposit_of_a_payout_is_excess():
    deposits = [deposit("D", 6800, text="po_1a2b"), deposit("E", 6800, text="po_1a2b", days=3)]
    assert told(deposit_breaks([payout("P", 6800, names=["po_1a2b"])], deposits)) == [
        (BreakKind.EXCESS, ("E", "P"), 6800)
    ]


def test_equal_payouts_and_a_deposit_that_may_be_either_are_one_break():
    found = deposit_breaks([payout("P", 6800), payout("Q", 6800)], [deposit("D", 6800)])
    assert told(found) == [(BreakKind.AMBIGUOUS, ("D", "P", "Q"), 6800)]


def test_a_payout_that_its_lines_do_not_add_up_to_is_a_mismatch():
    payouts = [payout("P", 6800), payout("Q", 500), payout("R", 300)]
    assert told(find_payout_mismatches(payouts, {"P": 6790, "Q": 500})) == [(BreakKind.PAYOUT_MISMATCH, ("P",), 10)]
