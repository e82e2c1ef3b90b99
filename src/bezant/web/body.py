"""Reads a request's body: bounded, JSON, without card data, of the documented type and nothing besides."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from typing import Final, TypeVar

import msgspec
from litestar.types import Receive

from bezant.base.errors import ContentTooLarge, InvalidRequest, UnsupportedMediaType
from bezant.web.pointer import refusal

T = TypeVar("T")

BODY_MAX: Final = 64 * 1024
_WAIT_S: Final = 30.0
_RATE_MIN: Final = 64 * 1024
_NUL_ESCAPE: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_decoders: dict[object, msgspec.json.Decoder[object]] = {}


class DisconnectedError(Exception):
    """The client went away before its request was complete: there is nobody to answer."""


async def read_body(
    receive: Receive, content_length: bytes | None, size_max: int, *, wait_max_s: float = _WAIT_S
) -> bytes:
    """The whole body, however it comes, chunked or not; raises `content_too_large` over `size_max` bytes.

    Who sends nothing is not waited for either: webhooks are read before anybody knows who sends them, and each request
    that waits is one of those that may be in flight.
    """
    _refuse_announced(content_length, size_max)
    try:
        async with asyncio.timeout(wait_max_s):
            return await _received(receive, size_max)
    except TimeoutError:
        raise InvalidRequest("invalid_request", f"The body did not arrive within {wait_max_s:g} s.") from None


async def stream_body(
    receive: Receive,
    content_length: bytes | None,
    size_max: int,
    *,
    wait_max_s: float = _WAIT_S,
    rate_min: int = _RATE_MIN,
) -> AsyncIterator[bytes]:
    """The body piece by piece; raises `content_too_large` once it is over `size_max` bytes.

    Who sends is waited for `wait_max_s` in all, and a second more for each `rate_min` bytes that came: who sends a byte
    now and then is not waited for longer than who sends nothing. What the reader takes between the pieces is his own.
    """
    _refuse_announced(content_length, size_max)
    size, waited_s, has_more = 0, 0.0, True
    while has_more:
        began_at_s = time.monotonic()
        try:
            async with asyncio.timeout(wait_max_s + size / rate_min - waited_s):
                message = await receive()
        except TimeoutError:
            raise InvalidRequest("invalid_request", "The body arrives too slowly.") from None
        if message["type"] != "http.request":
            raise DisconnectedError
        waited_s += time.monotonic() - began_at_s
        size += len(message["body"])
        if size > size_max:
            raise _too_large(size_max)
        has_more = bool(message.get("more_body"))
        if message["body"]:
            yield message["body"]


def _refuse_announced(content_length: bytes | None, size_max: int) -> None:
    if content_length is not None and (not content_length.isdigit() or int(content_length[:20]) > size_max):
        raise _too_large(size_max)


async def _received(receive: Receive, size_max: int) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return _bounded(message["body"], size_max)
    parts = bytearray()
    while True:
        if message["type"] != "http.request":
            raise DisconnectedError
        parts += message["body"]
        _bounded(parts, size_max)
        if not message.get("more_body"):
            return bytes(parts)
        message = await receive()


def require_json(headers: Mapping[bytes, bytes]) -> None:
    """Raise `unsupported_media_type` unless the headers announce plain JSON in UTF-8."""
    media_type, _, parameters = headers.get(b"content-type", b"").lower().partition(b";")
    charset = parameters.strip().removeprefix(b"charset=").strip(b'"')
    if media_type.strip() != b"application/json" or charset not in (b"", b"utf-8"):
        raise UnsupportedMediaType(
            "unsupported_media_type", "Send the body as 'Content-Type: application/json' in UTF-8."
        )
    refuse_encoding(headers)


def refuse_encoding(headers: Mapping[bytes, bytes]) -> None:
    """Raise `unsupported_media_type` if the body is announced as packed."""
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMediaType("unsupported_media_type", "Send the body without a Content-Encoding.")


def refuse_nul(raw: bytes) -> None:
    """Raise `invalid_request` if a JSON string holds U+0000, which no PostgreSQL text can."""
    if b"\\u0000" in raw and _NUL_ESCAPE.search(raw):
        raise InvalidRequest("invalid_request", "The character U+0000 is not accepted.")


def decode_body(raw: bytes, type_: type[T]) -> T:
    """`raw` as `type_`; raises `invalid_request` with the pointer of the field at fault. No body counts as `{}`."""
    decoder = _decoders.get(type_)
    if decoder is None:
        decoder = _decoders[type_] = msgspec.json.Decoder(type_)
    try:
        return decoder.decode(raw or b"{}")  # type: ignore[return-value]
    except msgspec.ValidationError as error:
        raise refusal(error, "The body") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest("invalid_request", f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequest("invalid_request", "The body is nested too deeply.") from None


def _bounded(raw: bytes | bytearray, size_max: int) -> bytes:
    if len(raw) > size_max:
        raise _too_large(size_max)
    return raw if isinstance(raw, bytes) else b""


def _too_large(size_max: int) -> ContentTooLarge:
    return ContentTooLarge("content_too_large", f"The body may have at most {size_max} bytes.")
