"""Our signatures by somebody else's library: the one that receivers use."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from bezant.base.sealed import SealBroken, Sealer
from bezant.webhooks.secrets import open_secrets, seal_secrets
from bezant.webhooks.sign import Secret, new_secret, rotated, signed_headers, valid

BODY = msgspec.json.encode({"type": "payment.captured", "data": {"name": "Zoë", "amount": 4999}})
NOW = datetime.now(UTC)


def headers_of(*secrets: str, at: datetime | None = None) -> dict[str, str]:
    """Signed now unless told otherwise: a long run must not make what it signs too old."""
    return dict(signed_headers(secrets, "evt_1", int((at or datetime.now(UTC)).timestamp()), BODY))


def verified(secret: str, body: bytes, headers: dict[str, str]) -> Any:
    return Webhook(secret).verify(body.decode(), headers)


def test_a_receivers_library_verifies_what_we_sign():
    secret = new_secret()
    assert verified(secret, BODY, headers_of(secret)) == msgspec.json.decode(BODY)


def test_the_librarys_own_signature_is_the_same_as_ours():
    secret = new_secret()
    theirs = Webhook(secret).sign("evt_1", NOW.replace(microsecond=0), BODY.decode())
    assert headers_of(secret, at=NOW)["webhook-signature"] == theirs


def test_another_secret_does_not_verify():
    with pytest.raises(WebhookVerificationError):
        verified(new_secret(), BODY, headers_of(new_secret()))


@pytest.mark.parametrize("at", range(len(BODY)))
def test_each_altered_byte_of_the_body_fails(at: int):
    secret = new_secret()
    altered = bytearray(BODY)
    altered[at] = (altered[at] ^ 1) & 0x7F
    if bytes(altered) == BODY:
        return
    with pytest.raises(WebhookVerificationError):
        verified(secret, altered.decode("latin-1").encode(), headers_of(secret))


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "evt_2"},
        {"webhook-timestamp": str(int(NOW.timestamp()) + 1)},
        {"webhook-timestamp": str(int(NOW.timestamp()) - 301)},
        {"webhook-timestamp": str(int(NOW.timestamp()) + 301)},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": ""},
    ],
)
def test_each_altered_header_fails(change: dict[str, str]):
    secret = new_secret()
    with pytest.raises(WebhookVerificationError):
        verified(secret, BODY, headers_of(secret) | change)


def test_each_altered_character_of_a_signature_fails():
    secret = new_secret()
    headers = headers_of(secret)
    version, _, signature = headers["webhook-signature"].partition(",")
    raw = base64.b64decode(signature)
    for at in range(len(raw)):
        altered = bytearray(raw)
        altered[at] ^= 1
        forged = f"{version},{base64.b64encode(bytes(altered)).decode()}"
        with pytest.raises(WebhookVerificationError):
            verified(secret, BODY, headers | {"webhook-signature": forged})


def test_while_a_secret_is_rotated_a_receiver_may_know_either():
    old, new = new_secret(), new_secret()
    headers = headers_of(new, old)
    assert verified(old, BODY, headers) == verified(new, BODY, headers)


def test_an_older_secret_signs_until_it_ends():
    known = rotated([Secret("old")], "new", NOW, NOW + timedelta(hours=1))
    assert [secret.value for secret in valid(known, NOW + timedelta(minutes=59))] == ["new", "old"]
    assert [secret.value for secret in valid(known, NOW + timedelta(hours=1))] == ["new"]


def test_rotating_without_overlap_ends_every_older_secret_at_once():
    known = rotated([Secret("b"), Secret("a", NOW + timedelta(days=1))], "c", NOW, NOW)
    assert [secret.value for secret in known] == ["c"]


@given(st.lists(st.integers(0, 100), min_size=1, max_size=8))
def test_rotating_never_lets_a_secret_live_longer_than_it_was_to(overlaps_h: list[int]):
    known = [Secret("0")]
    ends: dict[str, datetime] = {}
    for number, overlap_h in enumerate(overlaps_h, 1):
        known = rotated(known, str(number), NOW, NOW + timedelta(hours=overlap_h))
        assert known[0] == Secret(str(number))
        for secret in known[1:]:
            assert secret.ends_at is not None
            assert secret.ends_at <= ends.get(secret.value, secret.ends_at)
            ends[secret.value] = secret.ends_at


def test_secrets_have_the_length_that_the_specification_wants():
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(24 <= len(base64.b64decode(secret.removeprefix("whsec_"))) <= 64 for secret in secrets)


def test_sealed_secrets_open_for_their_own_endpoint_only():
    sealer, endpoint_id = Sealer([b"k" * 32]), uuid4()
    known = [Secret("new"), Secret("old", NOW)]
    key_id, sealed = seal_secrets(sealer, endpoint_id, known)
    assert b"new" not in sealed
    assert open_secrets(sealer, endpoint_id, key_id, sealed) == known
    with pytest.raises(SealBroken):
        open_secrets(sealer, uuid4(), key_id, sealed)
