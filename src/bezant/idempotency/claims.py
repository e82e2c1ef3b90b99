"""What a claim is, and what a claimed key says to a repeat."""

import hashlib
from enum import StrEnum
from uuid import UUID

import msgspec

from bezant.base import ids


class Mode(StrEnum):
    """How a repeat of the key is answered."""

    IN_FLIGHT = "in_flight"
    STORED = "stored"
    CURRENT = "current"


class Reply(msgspec.Struct, frozen=True):
    """An answer as it goes out: the status code and the exact bytes of the body."""

    status: int
    body: bytes
    replayed: bool = False


class Claim(msgspec.Struct, kw_only=True):
    """A key that a command wants.

    `claim_id` is drawn per request: finding it stored means that this very request claimed.
    """

    id: UUID
    merchant_id: UUID
    operation: str
    idempotency_key: str
    request_hash: bytes
    claim_id: UUID
    payment_id: UUID | None = None
    attempt_id: UUID | None = None


class Claimed(msgspec.Struct, frozen=True):
    """A key as it stands in the database."""

    id: UUID
    merchant_id: UUID
    request_hash: bytes
    mode: str
    claim_id: UUID
    payment_id: UUID | None
    attempt_id: UUID | None
    reply_status: int | None
    reply_body: bytes | None


class Keep(msgspec.Struct, frozen=True):
    """What a claimed key shall answer from now on: a stored reply, or the resource's current state."""

    id: UUID
    merchant_id: UUID
    reply: Reply | None


def key_id(merchant_id: UUID, operation: str, key: str) -> UUID:
    """The primary key of an idempotency key; its scope is merchant, operation with path, and key."""
    return ids.digest_id(merchant_id.hex, operation, key)


def request_hash(body: bytes) -> bytes:
    """What tells two requests under one key apart: SHA-256 of the body as it was sent."""
    return hashlib.sha256(body).digest()
