"""Identifiers: UUIDv7 (RFC 9562 section 5.7), shown with a prefix that names the kind (`pay_`, `ref_`, `evt_`).

What belongs to a payment carries the payment's 48 time bits. All rows of a payment's family then lie next to each
other under the primary key and in the same time range, so one range scan finds them and a later partition by time
keeps them together. A journal's id is derived from its natural key, so the primary key refuses a second posting.
"""

import hashlib
import os
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

PAYMENT: Final = "pay"
REFUND: Final = "ref"
ATTEMPT: Final = "att"
JOURNAL: Final = "jrn"
EVENT: Final = "evt"
MERCHANT: Final = "mer"
API_KEY: Final = "key"
PSP_ACCOUNT: Final = "acc"
REQUEST: Final = "req"
INBOX_EVENT: Final = "inb"
REPORT_FILE: Final = "fil"
PSP_LINE: Final = "psl"
PAYOUT_AT_PSP: Final = "pyo"
BANK_ACCOUNT: Final = "bka"
BANK_LINE: Final = "bkl"
MATCH: Final = "mat"
BREAK: Final = "brk"
DISPUTE: Final = "dsp"
DISPUTE_ACTION: Final = "dsa"
DISPUTE_EVIDENCE: Final = "dse"
WEBHOOK_ENDPOINT: Final = "whe"
WEBHOOK_DELIVERY: Final = "whd"
WEBHOOK_TRY: Final = "wht"

OPERATOR_MERCHANT: Final = UUID("00000000-0000-7000-8000-000000000001")
"""The operator's own book, which is there from the beginning."""

_DIGITS: Final = re.compile("[0-9a-f]{32}")
_VERSION_AND_VARIANT: Final = (7 << 76) | (2 << 62)
_LOW_80_MASK: Final = ~((0xF << 76) | (3 << 62)) & ((1 << 80) - 1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class _RandomBits:
    """80 bits at a time from the system's generator, asked for four hundred ids at once: a system call each adds up."""

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def take(self) -> int:
        at = self._at
        if at >= len(self._pool):
            self._pool, at = os.urandom(4_000), 0
        self._at = at + 10
        return int.from_bytes(self._pool[at : at + 10])

    def forget(self) -> None:
        self._at = len(self._pool)


_random = _RandomBits()
os.register_at_fork(after_in_child=_random.forget)


def new_id() -> UUID:
    """A new UUIDv7 of this moment."""
    return _build(time.time_ns() // 1_000_000, _random.take())


def child_of(parent: UUID) -> UUID:
    """A new random id in the family of `parent`: the same 48 time bits."""
    return _build(parent.int >> 80, _random.take())


def derived(parent: UUID, *natural_key: str) -> UUID:
    """The one id in the family of `parent` for this natural key."""
    digest = hashlib.sha256("\x1f".join(natural_key).encode()).digest()
    return _build(parent.int >> 80, int.from_bytes(digest[:10]))


def digest_id(*natural_key: str) -> UUID:
    """A 128-bit digest of a natural key, for rows that have no time of their own."""
    return UUID(bytes=hashlib.sha256("\x1f".join(natural_key).encode()).digest()[:16])


def dated(at: datetime, *natural_key: str) -> UUID:
    """The one id for this natural key of something that happened `at`: its time bits, then a hash of the key."""
    digest = hashlib.sha256("\x1f".join(natural_key).encode()).digest()
    return _build(max(0, (at - _EPOCH) // _MILLISECOND), int.from_bytes(digest[:10]))


def earliest(at: datetime) -> UUID:
    """The lowest id that something of this moment can have."""
    return _build(max(0, (at - _EPOCH) // _MILLISECOND), 0)


def family_range(member: UUID) -> tuple[UUID, UUID]:
    """The lowest and the highest id that the family of `member` can have, both inclusive."""
    time_bits = member.int >> 80 << 80
    return UUID(int=time_bits), UUID(int=time_bits | ((1 << 80) - 1))


def show(prefix: str, value: UUID) -> str:
    """`value` as the outside sees it, e.g. `pay_0190...` (32 hexadecimal digits)."""
    return f"{prefix}_{value.hex}"


def parse(prefix: str, text: str) -> UUID | None:
    """The id in `text`, or None if it is not one of this kind (then nothing can be found under it)."""
    head, separator, digits = text.partition("_")
    # Only as `show` writes it: an id with a second spelling would be a second path, hence a second idempotency scope.
    if head != prefix or not separator or not _DIGITS.fullmatch(digits):
        return None
    return UUID(hex=digits)


def _build(time_ms: int, low_80: int) -> UUID:
    return UUID(int=(time_ms << 80) | (low_80 & _LOW_80_MASK) | _VERSION_AND_VARIANT)
