"""Signatures by the Standard Webhooks specification: symmetric, `v1`, over id, time and body.

While a secret is rotated each request carries a signature by every secret that is valid, so that a receiver may know
either. https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import secrets as random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32


class Secret(msgspec.Struct, frozen=True):
    """A signing secret, `whsec_...`; the newest has no end."""

    value: str
    ends_at: datetime | None = None


def new_secret() -> str:
    """A new secret of 256 random bits, as receivers' libraries read it."""
    return secret_of(random.token_bytes(_SECRET_BYTES))


def secret_of(key: bytes) -> str:
    """The secret whose key is `key`."""
    return _PREFIX + base64.b64encode(key).decode()


def rotated(known: Sequence[Secret], new: str, now: datetime, older_until: datetime) -> list[Secret]:
    """The secrets with a new one first; the older ones end then, or when they would have ended."""
    older = [
        Secret(secret.value, older_until if secret.ends_at is None else min(secret.ends_at, older_until))
        for secret in valid(known, now)
    ]
    return [Secret(new), *valid(older, now)]


def valid(known: Sequence[Secret], now: datetime) -> list[Secret]:
    """The secrets that sign now, newest first."""
    return [secret for secret in known if secret.ends_at is None or secret.ends_at > now]


def signed_headers(secrets: Sequence[str], message_id: str, timestamp_s: int, body: bytes) -> Mapping[str, str]:
    """The three headers of a request."""
    signatures = " ".join(f"v1,{_signature(secret, message_id, timestamp_s, body)}" for secret in secrets)
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp_s), "webhook-signature": signatures}


def _signature(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
