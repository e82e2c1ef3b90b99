"""What a handler gets and what it gives: `Call` in, `Reply` out, nothing of HTTP's framing."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from litestar.types import Send

from bezant.base.errors import InvalidRequest
from bezant.web.body import decode_body
from bezant.web.principal import Principal
from bezant.web.query import decode_query

T = TypeVar("T")

_NO_HEADERS: Mapping[str, str] = {}


class Call:
    """One request that is authenticated, within its rate, complete, and free of card data.

    `template` is the declared path (`/api/v1/payments/{payment_id}/capture`), which names the operation; `path` is the
    one that was asked for. `body` is what was received, byte for byte; empty if there was none.
    """

    __slots__ = (
        "_principal",
        "_raw_headers",
        "_stream",
        "body",
        "idempotency_key",
        "method",
        "path",
        "path_params",
        "query",
        "request_id",
        "template",
    )

    def __init__(
        self,
        *,
        method: str,
        template: str,
        path: str,
        path_params: Mapping[str, str],
        query: Mapping[str, str],
        raw_headers: Iterable[tuple[bytes, bytes]],
        body: bytes,
        request_id: str,
        idempotency_key: str | None,
        principal: Principal | None,
        stream: AsyncIterator[bytes] | None = None,
    ) -> None:
        self.method = method
        self.template = template
        self.path = path
        self.path_params = path_params
        self.query = query
        self.body = body
        self.request_id = request_id
        self.idempotency_key = idempotency_key
        self._raw_headers = raw_headers
        self._principal = principal
        self._stream = stream

    @property
    def principal(self) -> Principal:
        """Who calls; only routes with a scope have one."""
        if self._principal is None:
            raise RuntimeError(f"{self.method} {self.template} is declared without a scope and has no principal")
        return self._principal

    @property
    def stream(self) -> AsyncIterator[bytes]:
        """The body as it arrives, in pieces of any size; only streamed routes have one. To be read once.

        Raises `content_too_large` and, for who sends too slowly, `invalid_request`.
        """
        if self._stream is None:
            raise RuntimeError(f"{self.method} {self.template} is declared without a stream")
        return self._stream

    @property
    def headers(self) -> dict[str, str]:
        """All headers, names in lower case; of one that was sent twice the last."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self._raw_headers}

    def read(self, type_: type[T]) -> T:
        """The body as `type_`; raises `invalid_request` with the pointer of what is wrong. No body counts as `{}`."""
        return decode_body(self.body, type_)

    def read_query(self, type_: type[T]) -> T:
        """The query parameters as `type_`; raises `invalid_request` with the name of what is wrong."""
        return decode_query(self.query, type_)

    def required_idempotency_key(self) -> str:
        """The Idempotency-Key; raises `idempotency_key_missing` if there is none."""
        if self.idempotency_key is None:
            raise InvalidRequest(
                "idempotency_key_missing",
                "This call moves money: send an Idempotency-Key header, and the same one when you repeat the call.",
            )
        return self.idempotency_key


class Reply(msgspec.Struct, frozen=True):
    """A finished answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = _NO_HEADERS
    content_type: str = "application/json"


def json_reply(status: int, document: Any, headers: Mapping[str, str] = _NO_HEADERS) -> Reply:
    """A reply with `document` as JSON."""
    return Reply(status, msgspec.json.encode(document), headers)


async def send_reply(reply: Reply, send: Send) -> None:
    """Send `reply` as one ASGI response."""
    headers = [
        (b"content-type", reply.content_type.encode("latin-1")),
        (b"content-length", b"%d" % len(reply.body)),
    ]
    if reply.headers:
        headers.extend(
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()
        )
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})
