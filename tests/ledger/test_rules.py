"""Facts become balanced lines, for all amounts; and the platform's fee. Pure."""

from fractions import Fraction
from itertools import pairwise
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.base.money import AMOUNT_MINOR_MAX
from bezant.ledger.accounts import TRANSIT, TYPES, Account, Side, balance_minor, normal_side
from bezant.ledger.rules import Line, capture_lines, platform_fee_minor, refund_failed_lines, refund_lines

AMOUNTS = st.integers(-AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX)
CAPTURED = st.integers(0, AMOUNT_MINOR_MAX)
POINTS = st.integers(0, 10_000)
FIXED = st.integers(0, 10_000) | CAPTURED


def sums(lines: tuple[Line, ...]) -> tuple[int, int]:
    return sum(line.debit_minor for line in lines), sum(line.credit_minor for line in lines)


def check(lines: tuple[Line, ...]) -> None:
    debits, credits = sums(lines)
    assert debits == credits
    assert len(lines) != 1
    for line in lines:
        assert min(line.debit_minor, line.credit_minor) == 0
        assert max(line.debit_minor, line.credit_minor) > 0
    assert len({line.account for line in lines}) == len(lines)


def swapped(lines: tuple[Line, ...]) -> set[Line]:
    return {Line(line.account, line.credit_minor, line.debit_minor) for line in lines}


@given(AMOUNTS, AMOUNTS)
def test_every_capture_balances_and_its_negative_swaps_the_sides(gross: int, fee: int) -> None:
    check(capture_lines(gross, fee))
    assert set(capture_lines(-gross, -fee)) == swapped(capture_lines(gross, fee))


@given(AMOUNTS)
def test_every_refund_balances_and_its_failure_is_the_reverse(amount: int) -> None:
    check(refund_lines(amount))
    assert set(refund_failed_lines(amount)) == swapped(refund_lines(amount))


def test_capture_of_the_contract() -> None:
    assert capture_lines(10_000, 320) == (
        Line(Account.CUSTOMER_FUNDS_IN_TRANSIT, 10_000, 0),
        Line(Account.MERCHANT_PAYABLE, 0, 9_680),
        Line(Account.PLATFORM_FEE_REVENUE, 0, 320),
    )
    assert refund_lines(3_000) == (
        Line(Account.MERCHANT_PAYABLE, 3_000, 0),
        Line(Account.CUSTOMER_FUNDS_IN_TRANSIT, 0, 3_000),
    )


def test_lines_of_zero_are_left_out() -> None:
    assert [line.account for line in capture_lines(100, 0)] == ["customer_funds_in_transit", "merchant_payable"]
    assert [line.account for line in capture_lines(100, 100)] == ["customer_funds_in_transit", "platform_fee_revenue"]
    assert refund_lines(0) == ()


@pytest.mark.parametrize(
    ("captured", "fee"),
    [(0, 0), (1, 1), (30, 30), (31, 31), (32, 31), (10_000, 320), (4_999, 175), (50, 31), (51, 31), (52, 32)],
)
def test_fee_of_the_default_terms(captured: int, fee: int) -> None:
    """2.9 % half-up and 30, never above the amount: of 50 it is 1.45, of 52 it is 1.508."""
    assert platform_fee_minor(captured, 290, 30) == fee


def test_half_rounds_up() -> None:
    assert [platform_fee_minor(n, 5_000, 0) for n in (1, 2, 3, 5)] == [1, 1, 2, 3]


@given(CAPTURED, POINTS, FIXED)
def test_fee_is_half_up_and_bounded(captured: int, points: int, fixed: int) -> None:
    exact = Fraction(captured * points, 10_000)
    expected = min(captured, floor(exact + Fraction(1, 2)) + fixed) if captured else 0
    assert platform_fee_minor(captured, points, fixed) == expected
    assert 0 <= expected <= captured


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=12), POINTS, FIXED)
def test_fees_over_several_captures_are_the_fee_of_all(captures: list[int], points: int, fixed: int) -> None:
    """Each takes the fee of all so far less what was taken: never negative, never above the capture itself."""
    so_far = [0]
    for amount in captures:
        so_far.append(so_far[-1] + amount)
    fees = [platform_fee_minor(total, points, fixed) for total in so_far]
    taken = [later - earlier for earlier, later in pairwise(fees)]
    assert all(0 <= fee <= amount for fee, amount in zip(taken, captures, strict=True))
    assert sum(taken) == platform_fee_minor(sum(captures), points, fixed)


@given(st.sampled_from(list(Account)), CAPTURED, CAPTURED)
def test_balances_grow_on_the_normal_side(account: Account, debits: int, credits: int) -> None:
    balance = balance_minor(account, debits, credits)
    assert balance == (debits - credits if TYPES[account] in ("asset", "expense") else credits - debits)
    assert (normal_side(account) is Side.DEBIT) == (TYPES[account] in ("asset", "expense"))


def test_chart_of_accounts_is_the_contracts() -> None:
    assert set(TYPES) == set(Account)
    assert {a.value for a in TRANSIT} == {
        "customer_funds_in_transit",
        "psp_clearing",
        "disputed_funds_at_psp",
        "payouts_in_transit",
        "transfers_between_merchants",
        "suspense",
    }
