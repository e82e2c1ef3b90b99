"""Secrets at rest: what opens, what does not, and how the master key is changed."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.base import ids
from bezant.base.sealed import SealBroken, Sealer, bound_to

OLD, NEW = (hashlib.sha256(name).digest() for name in (b"old", b"new"))
PLACE = "psp_accounts:1"
KEY_ID_ONCE = "2c987735247b87e6"
SEALED_ONCE = "018a41cefb9e2fda519fa646deca370b3d3803d9add100932c625b0c4c517a5dde575676ed16f2fa1fd54d"


@given(st.binary(max_size=500), st.text(max_size=50))
def test_what_was_sealed_opens_again_and_is_not_seen(plaintext: bytes, associated: str) -> None:
    sealer = Sealer([NEW])
    key_id, sealed = sealer.seal(plaintext, associated)
    assert sealer.open(key_id, sealed, associated) == plaintext
    assert len(plaintext) < 4 or plaintext not in sealed


def test_no_two_seals_are_alike() -> None:
    sealer = Sealer([NEW])
    assert len({sealer.seal(b"the same", PLACE)[1] for _ in range(200)}) == 200


def test_each_altered_or_missing_byte_is_noticed() -> None:
    sealer = Sealer([NEW])
    key_id, sealed = sealer.seal(b"credentials", PLACE)
    for at in range(len(sealed)):
        altered = bytearray(sealed)
        altered[at] ^= 1 << (at % 8)
        for wrong in (bytes(altered), sealed[:at], sealed[:at] + sealed[at + 1 :]):
            with pytest.raises(SealBroken):
                sealer.open(key_id, wrong, PLACE)


def test_a_sealed_value_opens_only_in_its_own_row() -> None:
    sealer, mine, other = Sealer([NEW]), ids.new_id(), ids.new_id()
    key_id, sealed = sealer.seal(b"credentials", bound_to("psp_accounts", mine))
    for elsewhere in (bound_to("psp_accounts", other), bound_to("webhook_endpoints", mine)):
        with pytest.raises(SealBroken):
            sealer.open(key_id, sealed, elsewhere)


def test_the_newest_key_seals_and_every_given_key_opens() -> None:
    before, during, after = Sealer([OLD]), Sealer([NEW, OLD]), Sealer([NEW])
    by_old, by_new = before.seal(b"credentials", PLACE), during.seal(b"credentials", PLACE)
    assert during.open(*by_old, PLACE) == during.open(*by_new, PLACE) == after.open(*by_new, PLACE) == b"credentials"
    with pytest.raises(SealBroken, match="not given"):
        after.open(*by_old, PLACE)
    with pytest.raises(SealBroken, match="not given"):
        before.open(*by_new, PLACE)


def test_a_key_id_is_the_same_in_each_process_and_tells_no_key() -> None:
    assert Sealer([OLD]).key_id == Sealer([OLD]).key_id != Sealer([NEW]).key_id
    assert Sealer([NEW, OLD]).key_ids == (Sealer([NEW]).key_id, Sealer([OLD]).key_id)
    assert Sealer([OLD]).key_id not in OLD.hex()


def test_one_key_under_the_name_of_the_other_does_not_open() -> None:
    sealer = Sealer([NEW, OLD])
    _, sealed = sealer.seal(b"credentials", PLACE)
    with pytest.raises(SealBroken):
        sealer.open(sealer.key_ids[1], sealed, PLACE)


def test_what_is_sealed_today_opens_for_ever() -> None:
    """Rows that stand in databases: the format and how keys are derived never change."""
    sealed = bytes.fromhex(SEALED_ONCE)
    assert Sealer([OLD]).open(KEY_ID_ONCE, sealed, PLACE) == b"kept for years"


def test_a_sealer_without_a_key_is_not_made() -> None:
    with pytest.raises(ValueError, match="master key"):
        Sealer([])


def test_noise_does_not_open() -> None:
    sealer = Sealer([NEW])
    for length in (0, 1, 12, 13, 28, 29, 30, 200):
        with pytest.raises(SealBroken):
            sealer.open(sealer.key_id, b"\x01" + os.urandom(length), PLACE)
