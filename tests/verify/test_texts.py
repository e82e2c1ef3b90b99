"""The quick look at a text never passes what the close look would find."""

from hypothesis import example, given
from hypothesis import strategies as st

from bezant.base.card_data import contains_card_data
from bezant.verify.records.texts import Texts

NUMBERS = st.sampled_from(
    ["4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "378282246310005", "cvc: 123"]
)
AROUND = st.text(alphabet=' \t\n.-"{}:,abcCVv0123456789\u00a0\u0664', max_size=30)


@given(AROUND, NUMBERS, AROUND)
@example('{"a": "', "4242\u00a04242\u00a04242\u00a04242", '"}')
@example("", "4242\r\n4242\r\n4242\r\n4242", "")
@example("", "Security Code 123", "")
@example("", "CSC 123", "")
def test_nothing_passes_the_quick_look(before: str, number: str, after: str) -> None:
    text = before + number + after
    texts = Texts()
    texts.look("table", "id", ("column",), (text,))
    cards, _ = texts.results()

    assert cards.ok != contains_card_data(text)


def test_numbers_of_two_columns_are_not_joined() -> None:
    texts = Texts()
    texts.look("table", "id", ("a", "b"), ("42424242", "42424242"))

    assert all(result.ok for result in texts.results())
