"""Amounts, times and columns of PSP reports: exact, or at fault."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.base.file_faults import FileRefused
from bezant.base.money import EXPONENTS
from bezant.psp.report_rows import CellFault, Columns, currency_code, major, minor, minors, moment


@pytest.mark.parametrize(
    ("text", "currency", "amount_minor"),
    [
        ("67.99", "EUR", 6799),
        ("-20.00", "USD", -2000),
        ("25", "USD", 2500),
        ("0.5", "USD", 50),
        ("500", "JPY", 500),
        ("500.00", "JPY", 500),
        ("1.234", "KWD", 1234),
        ("12,34", "EUR", 1234),
        ("1.500000", "EUR", 150),
        ("-0.00", "EUR", 0),
    ],
)
def test_major_units_are_read_exactly(text: str, currency: str, amount_minor: int):
    assert major(text, currency, "net") == amount_minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        "1.",
        ".5",
        "1.234",
        "1e3",
        "1,5",
        "1,234",
        "1.2.3",
        "1 000",
        "+1",
        "0x1",
        "\u0661",
        "NaN",
        "1" * 30,
    ],
)
def test_what_is_no_amount_of_the_currency_is_at_fault(text: str):
    with pytest.raises(CellFault) as fault:
        major(text, "EUR", "net")
    assert fault.value.field == "net"


@given(amount_minor=st.integers(-(10**12), 10**12), currency=st.sampled_from(sorted(EXPONENTS)))
def test_every_amount_that_is_written_is_read_as_it_was(amount_minor: int, currency: str):
    written = format(Decimal(amount_minor).scaleb(-EXPONENTS[currency]), "f")
    assert major(written, currency, "net") == amount_minor


@pytest.mark.parametrize("text", ["", "1.0", "1_000", "+5", " 5", "\u0665", "9" * 16, "-"])
def test_what_is_no_whole_number_is_at_fault(text: str):
    with pytest.raises(CellFault) as fault:
        minor(text, "gross")
    assert fault.value.field == "gross"
    with pytest.raises(CellFault) as fault:
        minors(("1", text, "-3"), ("gross", "fee", "net"))
    assert fault.value.field == "fee"


def test_three_whole_numbers_are_read_at_once():
    assert minors(("1", "0", "-3"), ("gross", "fee", "net")) == (1, 0, -3)
    with pytest.raises(CellFault):
        minors(("1,2", "3", "4"), ("gross", "fee", "net"))


def test_a_time_is_told_in_utc():
    at = datetime(2026, 4, 1, 10, tzinfo=UTC)
    assert moment("2026-04-01T10:00:00Z", "at") == at
    assert moment("2026-04-01T12:00:00+02:00", "at") == at
    assert moment("2026-04-01 10:00:00", "at", is_utc=True) == at
    assert moment("2026-04-01T12:00:00+02:00", "at").tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-04-01T10:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:00:00-10:00"]
)
def test_a_time_of_no_zone_or_no_payment_is_at_fault(text: str):
    with pytest.raises(CellFault):
        moment(text, "at")


def test_a_day_is_no_time():
    with pytest.raises(CellFault):
        moment("2026-04-01", "at", is_utc=True)


def test_currencies_are_those_of_iso_4217_in_any_case():
    assert currency_code("usd", "currency") == "USD"
    for text in ("", "US", "XAU", "usdc"):
        with pytest.raises(CellFault):
            currency_code(text, "currency")


def test_missing_columns_are_named_all_at_once():
    with pytest.raises(FileRefused, match="columns are missing: fee, net") as refused:
        Columns(["gross", "currency"]).need("gross", "fee", "net")
    assert refused.value.line == 1


def test_another_delimiter_is_guessed_aloud():
    with pytest.raises(FileRefused, match="parted by semicolons"):
        Columns(["gross;fee;net"]).need("gross")


def test_a_column_that_is_there_twice_is_refused():
    with pytest.raises(FileRefused) as refused:
        Columns(["gross", "net", "gross"])
    assert refused.value.field == "gross"
