"""The one layer around the application: what holds for every request and every reply, also for 404s and defects.

One raw ASGI wrapper instead of a stack of middleware: each layer of Litestar's would cost a call per message.
"""

import time
from typing import Final

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from bezant.base.errors import Unavailable
from bezant.base.log import bind
from bezant.web.call import send_reply
from bezant.web.exchange import Exchange, keep_exchange, new_request_id
from bezant.web.metrics import RequestMetrics
from bezant.web.problems import reply_to
from bezant.web.query import parse_query, refuse_card_data_in_path

CONTENT_SECURITY_POLICY: Final = b"content-security-policy"

_NOTHING: Final = (CONTENT_SECURITY_POLICY, b"default-src 'none'; frame-ancestors 'none'")
_EVERY_REPLY: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
)
_ALWAYS_ANSWERED: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_UNMATCHED: Final = "(none)"


class Gate:
    """Gives each request an id, bounds how many are in flight, refuses card data in URLs, adds headers, counts."""

    def __init__(self, application: ASGIApp, metrics: RequestMetrics, in_flight_max: int) -> None:
        self._application = application
        self._metrics = metrics
        self._in_flight_max = in_flight_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        metrics = self._metrics
        started_at_s = time.perf_counter()
        request_id = new_request_id()
        bind(request_id=request_id)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *_EVERY_REPLY, (b"request-id", request_id.encode())]
                if not any(name == CONTENT_SECURITY_POLICY for name, _ in message["headers"]):
                    headers.append(_NOTHING)
                message["headers"] = headers
            await send(message)

        metrics.in_flight += 1
        try:
            try:
                if metrics.in_flight > self._in_flight_max and scope["path"] not in _ALWAYS_ANSWERED:
                    raise Unavailable("Too many requests are in flight.")
                refuse_card_data_in_path(scope["path"])
                keep_exchange(scope, Exchange(request_id, parse_query(scope["query_string"])))
            except Exception as error:  # a refusal or a defect: either way a reply
                await send_reply(reply_to(error, request_id), send_with_headers)
                return
            await self._application(scope, receive, send_with_headers)
        finally:
            metrics.in_flight -= 1
            if status:
                route = scope.get("path_template", _UNMATCHED)
                method = scope["method"] if route != _UNMATCHED else ""
                metrics.observe(route, method, status, time.perf_counter() - started_at_s)
