"""Card numbers and verification values are found wherever they stand; ids and times are left alone."""

import json
import string
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.base.card_data import (
    contains_card_data,
    find_card_number,
    is_card_data_key,
    redact_card_data,
    refuse_card_data,
    refuse_card_data_in_body,
)
from bezant.base.errors import Unprocessable

SCHEMES = {
    "visa": (("4",), (13, 16, 19)),
    "mastercard": (("51", "55", "2221", "2299", "2300", "2720"), (16,)),
    "amex": (("34", "37"), (15,)),
    "discover": (("6011", "644", "649", "65"), (16, 17, 18, 19)),
    "diners": (("36", "38", "300", "305"), (14,)),
    "jcb": (("3528", "3589"), (16, 17, 18, 19)),
    "unionpay": (("62",), (16, 17, 18, 19)),
    "maestro": (("5018", "6304", "6759"), (16, 18, 19)),
}
PUBLISHED_TEST_NUMBERS = (
    "4111111111111111",
    "4242424242424242",
    "4222222222222",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "30569309025904",
    "38520000023237",
    "3530111333300000",
    "6200000000000005",
    "6759649826438453",
    "6771798021000008",
)
NOT_CARDS = (
    "pay_0190a4111111111111111111111111111",
    "ord_4111111111111111",
    "4111111111111112",
    "1732363200000",
    "1732363200000000000",
    "2026-11-23T12:00:00.123456Z",
    "20261123120000123",
    "0.4111111111111111",
    "+4917612345678",
    "114-3941689-8772232",
    "a4111111111111111",
    "4111111111111111a",
)


def luhn_digit(body: str) -> str:
    """The check digit, worked out as the standard's example does."""
    total = 0
    for at, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if at % 2 == 0 else 1)
        total += value // 10 + value % 10
    return str(-total % 10)


@st.composite
def card_numbers(draw: st.DrawFn) -> str:
    prefixes, lengths = SCHEMES[draw(st.sampled_from(sorted(SCHEMES)))]
    prefix, length = draw(st.sampled_from(prefixes)), draw(st.sampled_from(lengths))
    middle = draw(st.text(string.digits, min_size=length - len(prefix) - 1, max_size=length - len(prefix) - 1))
    return prefix + middle + luhn_digit(prefix + middle)


@st.composite
def written_card_numbers(draw: st.DrawFn) -> str:
    number = draw(card_numbers())
    separator = draw(st.sampled_from(["", " ", "-", "  ", " - ", "\u00a0", "\u2013"]))
    cuts = draw(st.sets(st.integers(1, len(number) - 1), max_size=5))
    return "".join(separator + digit if at in cuts else digit for at, digit in enumerate(number))


@given(written_card_numbers())
def test_card_number_of_every_scheme_is_found_and_removed(written: str) -> None:
    assert find_card_number(f"Card: {written}, thanks") == (6, 6 + len(written))
    assert redact_card_data(f"Card: {written}, thanks") == "Card: [card data removed], thanks"


@given(written_card_numbers(), st.booleans())
def test_card_number_is_refused_in_any_value_and_key(written: str, escaped: bool) -> None:
    for document, pointer in (
        ({"order_id": written}, "/order_id"),
        ({"metadata": {"a/b": ["x", f"({written})"]}}, "/metadata/a~1b/1"),
        ({"metadata": {written: "x"}}, "/metadata"),
    ):
        raw = json.dumps(document, ensure_ascii=escaped).encode()
        with pytest.raises(Unprocessable) as refused:
            refuse_card_data_in_body(raw)
        assert (refused.value.code, refused.value.param) == ("card_data_refused", pointer)
        assert written not in str(refused.value)


@given(card_numbers())
def test_card_number_is_refused_as_a_json_number_and_when_its_digits_are_escaped(number: str) -> None:
    escaped = "".join(f"\\u{ord(digit):04x}" for digit in number)
    for raw in (
        f'{{"a": {number}}}',
        f'{{"a": {number}.0}}' if len(number) <= 15 else f'{{"a": [{number}]}}',
        f'{{"a": "{escaped}"}}',
    ):
        with pytest.raises(Unprocessable):
            refuse_card_data_in_body(raw.encode())


@pytest.mark.parametrize("number", PUBLISHED_TEST_NUMBERS)
def test_published_test_number_is_found(number: str) -> None:
    assert find_card_number(number) == (0, len(number))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4111 1111 1111 1111 12 27 123", "4111 1111 1111 1111"),
        ("2026 3782 822463 10005", "3782 822463 10005"),
        ("4111.1111.1111.1111", "4111.1111.1111.1111"),
        ("Paid with 4111111111111111.", "4111111111111111"),
        ("\u30ab\u30fc\u30c94111111111111111", "4111111111111111"),
        ("".join(chr(0xFF10 + int(digit)) for digit in "4111111111111111"), None),
    ],
)
def test_card_number_is_found_among_other_text(text: str, number: str | None) -> None:
    found = find_card_number(text)
    assert found is not None
    assert number is None or text[slice(*found)] == number


def test_all_card_numbers_of_a_text_are_removed() -> None:
    assert redact_card_data("4111111111111111 5555555555554444") == "[card data removed] [card data removed]"


@pytest.mark.parametrize("text", NOT_CARDS)
def test_what_is_no_card_number_passes(text: str) -> None:
    assert not contains_card_data(text)
    refuse_card_data_in_body(json.dumps({"order_id": text}).encode())


@given(st.integers(0, 2**128 - 1), st.sampled_from([4, 7]))
def test_uuids_are_never_taken_for_card_numbers(bits: int, version: int) -> None:
    value = uuid.UUID(int=bits & ~(0xF << 76) & ~(0x3 << 62) | version << 76 | 0x2 << 62)
    assert not contains_card_data(f"{value} {value.hex} pay_{value.hex} {str(value).upper()}")


def test_uuid_with_the_digits_of_a_card_number_passes() -> None:
    assert not contains_card_data("41111111-1111-1111-a111-111111111111")
    assert contains_card_data("41111111-1111-1111-x")


@given(st.integers(946_684_800_000_000, 1_988_150_399_000_000))
def test_times_are_never_taken_for_card_numbers(micros: int) -> None:
    moment = datetime.fromtimestamp(micros // 10**6, UTC).replace(microsecond=micros % 10**6)
    nanos = micros * 1_000
    for text in (
        moment.isoformat(),
        moment.strftime("%Y%m%d%H%M%S%f"),
        *(str(nanos // unit) for unit in (1, 10**3, 10**6, 10**9)),
    ):
        assert not contains_card_data(text)
        refuse_card_data({"at": int(text) if text.isdigit() else text})


@given(st.sampled_from(["ord_", "ORDER", "cart_", "x"]), st.text(string.digits, min_size=8, max_size=20))
def test_order_ids_are_never_taken_for_card_numbers(prefix: str, digits: str) -> None:
    assert not contains_card_data(prefix + digits)


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"cvv": "123"}, "/cvv"),
        ({"card": {"CVC2": 1234}}, "/card/CVC2"),
        ({"security-code": [" 123 "]}, "/security-code/0"),
        ({"cvc": {"value": "123"}}, "/cvc/value"),
        ({"pan": "4111111111111112"}, "/pan"),
        ({"card_number": 411111111111}, "/card_number"),
        ({"number": "4111 1111 1111 1112", "exp_month": 12}, "/number"),
        ({"track2": ";4111111111111112=2712"}, "/track2"),
        ({"note": "cvv: 123"}, "/note"),
        ({"a": "\uff14111\u00a01111 1111\u20131111"}, "/a"),
        ({"note": '{"cvc":"1234"}'}, "/note"),
    ],
)
def test_card_data_is_refused_by_its_name(document: dict[str, object], pointer: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        refuse_card_data_in_body(json.dumps(document, ensure_ascii=False).encode())
    assert refused.value.param == pointer


@pytest.mark.parametrize(
    "document",
    [
        {"payment_method": "pm_card_visa", "company": "Pan Am 123", "cvv_check": "pass"},
        {"cvv": "pass", "pan": "Peter"},
        {"number": "4111111111111112"},
        {"card_number": "tok_123"},
        {"big": 10**400},
    ],
)
def test_harmless_field_passes(document: dict[str, object]) -> None:
    refuse_card_data_in_body(json.dumps(document).encode())


def test_malformed_and_deeply_nested_bodies_are_left_to_their_reader() -> None:
    refuse_card_data_in_body(b'{"cvv": ')
    refuse_card_data_in_body(b'{"cvv":\xff}')
    refuse_card_data_in_body(b'{"cvv":' + b"[" * 60_000)


def test_card_data_field_names_are_known() -> None:
    assert all(
        is_card_data_key(name) for name in ("cvv", "cardNumber", "card_number", "PAN", "security code", "track1")
    )
    assert not any(is_card_data_key(name) for name in ("order_number", "company", "payment_method", "number"))
