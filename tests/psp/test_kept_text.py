"""What is kept of a conversation with a PSP holds nothing that could be used."""

import pytest

from bezant.psp.records import kept_text

SECRETS = [
    '{"client_secret": "pi_6l6hUINjXeIhSe_secret_UqjFovFxCiHYc0Xc"}',
    '{"error": {"message": "Invalid API Key provided: sk_test_51HxExampleExample"}}',
    '{"echo": "Authorization: Bearer sk_live_abcdefghijklmnop"}',
    '{"url": "https://user:UqjFovFxCiHYc0Xc@psp.example/return"}',
    '{"password": "UqjFovFxCiHYc0Xc"}',
    '{"number": "4242 4242 4242 4242"}',
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_and_card_numbers_are_not_kept(text: str):
    kept = kept_text(text)
    for secret in ("UqjFovFxCiHYc0Xc", "51HxExampleExample", "abcdefghijklmnop", "4242 4242"):
        assert secret not in kept


def test_what_people_need_is_kept():
    text = '{"id":"ch_bab77acba0ecc9a2dbbbe830","reference":"att_01a208ae1c7c7c6b92a244c003f39e39","amount":12678}'
    assert kept_text(text) == text


def test_a_secret_at_the_cut_is_not_kept():
    assert "_secret_Uqj" not in kept_text("x" * 1_980 + " pi_1_secret_UqjFovFxCiHYc0Xc")


def test_long_texts_are_cut_and_null_is_replaced():
    assert len(kept_text("ab" * 5_000)) == 2_000
    assert kept_text("a\x00b") == "a\N{REPLACEMENT CHARACTER}b"
