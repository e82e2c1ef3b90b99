"""Reads the request headers that carry meaning: the key of the caller and the key of the request."""

from collections.abc import Iterable, Mapping
from typing import Final

from bezant.base.card_data import refuse_card_data_in_text
from bezant.base.errors import InvalidRequest, Unauthorized

IDEMPOTENCY_KEY_LENGTH_MAX: Final = 128

_READ: Final = frozenset(
    {b"authorization", b"content-encoding", b"content-length", b"content-type", b"idempotency-key"}
)
_PRINTABLE: Final = bytes(range(0x20, 0x7F))


def pick_headers(raw_headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers that this package reads; raises `invalid_request` if one of them was sent twice."""
    picked: dict[bytes, bytes] = {}
    for name, value in raw_headers:
        if name in _READ:
            if name in picked:
                raise InvalidRequest("invalid_request", f"The header {name.decode().title()} was sent twice.")
            picked[name] = value
    return picked


def bearer_token(headers: Mapping[bytes, bytes]) -> str:
    """The token of `Authorization: Bearer ...`; raises Unauthorized without one."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token or not token.isascii():
        raise Unauthorized
    return token.decode("ascii")


def idempotency_key(headers: Mapping[bytes, bytes]) -> str | None:
    """The Idempotency-Key, if one was sent; raises `idempotency_key_invalid` unless it is 1-128 printable ASCII."""
    value = headers.get(b"idempotency-key")
    if value is None:
        return None
    if not 1 <= len(value) <= IDEMPOTENCY_KEY_LENGTH_MAX or value.translate(None, _PRINTABLE):
        raise InvalidRequest(
            "idempotency_key_invalid",
            f"Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} printable ASCII characters.",
        )
    key = value.decode("ascii")
    refuse_card_data_in_text(key, "Idempotency-Key")
    return key
