"""Pages of a list: `limit`, `cursor` in; `data`, `has_more`, `next_cursor` out.

A cursor is opaque to clients: the position after which the next page starts, the kind of list that it belongs to, and a
checksum, so that a cursor that was cut, edited or taken from another list is refused. It grants nothing: each statement
names the merchant.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Annotated, Final, Generic, TypeVar

import msgspec

from bezant.base.errors import InvalidRequest

T = TypeVar("T")
P = TypeVar("P")

Limit = Annotated[int, msgspec.Meta(ge=1, le=100, description="How many items a page may have.")]
Cursor = Annotated[str, msgspec.Meta(max_length=200, description="`next_cursor` of the page before.")]

_CHECKSUM_SIZE: Final = 6


class PageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a list without filters; lists with filters inherit from it."""

    limit: Limit = 20
    cursor: Cursor | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list, and where the next one starts if there is more."""

    data: list[T]
    has_more: bool
    next_cursor: str | None


def encode_cursor(kind: str, position: str) -> str:
    """The cursor for `position` in the list `kind`."""
    payload = f"{kind}:{position}".encode()
    return base64.urlsafe_b64encode(_checksum(payload) + payload).rstrip(b"=").decode()


def decode_cursor(kind: str, cursor: str, read: Callable[[str], P]) -> P:
    """The position in `cursor`, read by `read`, which raises ValueError for what is no position.

    Raises `invalid_request` if the cursor was not made by `encode_cursor` for the list `kind`.
    """
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        payload = raw[_CHECKSUM_SIZE:]
        found, _, position = payload.decode().partition(":")
    except (binascii.Error, UnicodeError):
        raise _bad_cursor() from None
    if found != kind or raw[:_CHECKSUM_SIZE] != _checksum(payload):
        raise _bad_cursor()
    try:
        return read(position)
    except ValueError:  # the checksum has no key: whoever reads this file can make one
        raise _bad_cursor() from None


def _checksum(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=_CHECKSUM_SIZE, person=b"bezant cursor").digest()


def _bad_cursor() -> InvalidRequest:
    return InvalidRequest("invalid_request", "Use the next_cursor of the same list, unchanged.", param="/cursor")
