"""The way of a request through one route: caller, rate, scope, headers, body, handler, reply.

Litestar routes to it and it answers by raw ASGI: Litestar's own request, parameter and response objects would cost more
than all else that happens here.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final

import msgspec
from litestar.types import HTTPScope, Receive, Scope, Send

from bezant.base.card_data import refuse_card_data_in_body
from bezant.base.errors import Forbidden
from bezant.web.body import DisconnectedError, read_body, refuse_encoding, refuse_nul, require_json, stream_body
from bezant.web.call import Call, Reply, send_reply
from bezant.web.exchange import exchange_of
from bezant.web.headers import bearer_token, idempotency_key, pick_headers
from bezant.web.principal import Authenticate, Principal
from bezant.web.problems import reply_to
from bezant.web.rate_limit import RateLimit
from bezant.web.route import Route

ANY_ORIGIN: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Request-Id, Idempotent-Replayed, Retry-After",
}
"""For calls that a browser makes with a publishable key. No cookie is ever involved, so any origin may."""


class Endpoint:
    """The ASGI application of one route."""

    def __init__(self, route: Route, authenticate: Authenticate, rate_limit: RateLimit) -> None:
        self._route = route
        self._authenticate = authenticate
        self._rate_limit = rate_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http"  # Litestar routes nothing else here; this narrows the type
        exchange = exchange_of(scope)
        try:
            reply = await self._answer(scope, receive, exchange.request_id, exchange.query)
        except DisconnectedError:
            return
        except Exception as error:  # a refusal or a defect: either way a reply
            reply = reply_to(error, exchange.request_id)
        if self._route.publishable:
            reply = msgspec.structs.replace(reply, headers={**reply.headers, **ANY_ORIGIN})
        await send_reply(reply, send)

    async def _answer(self, scope: HTTPScope, receive: Receive, request_id: str, query: Mapping[str, str]) -> Reply:
        route = self._route
        headers = pick_headers(scope["headers"])
        principal = None if route.scope is None else await self._principal(route.scope, headers)
        key = idempotency_key(headers) if route.takes_json else None
        call = Call(
            method=route.method,
            template=route.template,
            path=scope["path"],
            path_params=scope["path_params"],
            query=query,
            raw_headers=scope["headers"],
            body=await self._body(headers, receive) if route.takes_body and not route.streamed else b"",
            stream=self._stream(headers, receive) if route.streamed else None,
            request_id=request_id,
            idempotency_key=key,
            principal=principal,
        )
        if route.idempotency == "required":
            call.required_idempotency_key()
        return await route.handler(call)

    async def _principal(self, needed_scope: str, headers: Mapping[bytes, bytes]) -> Principal:
        principal = await self._authenticate(bearer_token(headers))
        self._rate_limit.require(principal.key_id, principal.rate_per_s)
        if principal.kind == "publishable":
            if not self._route.publishable:
                raise Forbidden("forbidden", "A publishable key may not make this call: use a secret key, on a server.")
        elif self._route.operator and not principal.is_operator:
            raise Forbidden(
                "forbidden", "This call is for whoever runs the installation, with a key of the operator's."
            )
        elif needed_scope not in principal.scopes:
            raise Forbidden("forbidden", f"This key lacks the scope {needed_scope}.")
        return principal

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        body = await read_body(receive, headers.get(b"content-length"), self._route.body_max)
        if body and not self._route.opaque_body:
            require_json(headers)
            refuse_nul(body)
            refuse_card_data_in_body(body)
        return body

    def _stream(self, headers: Mapping[bytes, bytes], receive: Receive) -> AsyncIterator[bytes]:
        refuse_encoding(headers)
        return stream_body(receive, headers.get(b"content-length"), self._route.body_max)
