"""Amounts: the currencies' own decimals, and text for people that loses nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.base.money import AMOUNT_MINOR_MAX, EXPONENTS, is_currency, major_text


@pytest.mark.parametrize(
    ("code", "exponent"), [("USD", 2), ("EUR", 2), ("JPY", 0), ("KRW", 0), ("ISK", 0), ("KWD", 3), ("BHD", 3)]
)
def test_exponents_are_iso_4217s_own(code: str, exponent: int) -> None:
    assert is_currency(code)
    assert EXPONENTS[code] == exponent


@pytest.mark.parametrize("code", ["", "usd", "US", "USDX", "XXX", "XAU", "XTS", "ZZZ", "DEM", "BTC", "USD "])
def test_what_has_no_minor_units_is_no_currency(code: str) -> None:
    assert not is_currency(code)


def test_exponents_are_few_and_small() -> None:
    assert len(EXPONENTS) > 140
    assert set(EXPONENTS.values()) <= {0, 2, 3, 4}


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (4999, "USD", "49.99 USD"),
        (4999, "JPY", "4999 JPY"),
        (-5, "KWD", "-0.005 KWD"),
        (0, "USD", "0.00 USD"),
        (0, "JPY", "0 JPY"),
        (7, "USD", "0.07 USD"),
        (-100, "USD", "-1.00 USD"),
        (AMOUNT_MINOR_MAX, "USD", "9999999999.99 USD"),
    ],
)
def test_text_for_people(amount_minor: int, currency: str, text: str) -> None:
    assert major_text(amount_minor, currency) == text


@given(st.integers(-AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX), st.sampled_from(sorted(EXPONENTS)))
def test_text_holds_every_minor_unit(amount_minor: int, currency: str) -> None:
    number, _, code = major_text(amount_minor, currency).partition(" ")
    whole, point, fraction = number.partition(".")
    assert code == currency
    assert len(fraction) == EXPONENTS[currency]
    assert bool(point) == bool(fraction)
    assert int(whole + fraction) == amount_minor
    assert whole.removeprefix("-") == "0" or not whole.removeprefix("-").startswith("0")
