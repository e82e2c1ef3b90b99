"""Builds the Litestar application from route tables: routing, the gate, problems, the reference, health and metrics."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, cast

from litestar import Litestar, Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, HTTPScope, Method, Receive, Scope, Send
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bezant.base.errors import ApiError, Unavailable
from bezant.base.log import logger
from bezant.web.call import Reply, json_reply, send_reply
from bezant.web.docs import docs_reply
from bezant.web.endpoint import ANY_ORIGIN, Endpoint
from bezant.web.exchange import exchange_of
from bezant.web.gate import Gate
from bezant.web.metrics import RequestMetrics
from bezant.web.openapi import openapi_document
from bezant.web.principal import Authenticate
from bezant.web.problems import reply_to
from bezant.web.rate_limit import RateLimit
from bezant.web.route import API, Route

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]
Ready = Callable[[], Awaitable[None]]
"""Returns if requests can be served, else raises: an ApiError says why to the caller, anything else only to the log."""

_READY_WAIT_S: Final = 5.0
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_PREFLIGHT: Final = {
    **ANY_ORIGIN,
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key",
    "Access-Control-Max-Age": "86400",
}

_log = logger(__name__)


def build(
    routes: Sequence[Route],
    authenticate: Authenticate,
    *,
    version: str,
    ready: Ready,
    title: str = "Bezant API",
    lifespan: Sequence[Lifespan] = (),
    registry: CollectorRegistry | None = None,
    in_flight_max: int = 2_000,
) -> Litestar:
    """The application that serves `routes`, `/api/v1/openapi.json`, `/docs`, `/healthz`, `/readyz` and `/metrics`.

    `registry` is where other packages register their metrics; the requests' own join them there.
    """
    metrics, registry = RequestMetrics(), registry or CollectorRegistry()
    registry.register(metrics)
    document = openapi_document(routes, title, version)
    reference = json_reply(200, document)
    page = docs_reply(document)
    rate_limit = RateLimit()

    async def metrics_reply() -> Reply:
        return Reply(200, generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    paths: dict[str, dict[str, ASGIApp]] = {
        f"{API}/openapi.json": {"GET": _page(_fixed(reference))},
        "/docs": {"GET": _page(_fixed(page))},
        "/healthz": {"GET": _page(_fixed(json_reply(200, {"status": "ok"})))},
        "/readyz": {"GET": _page(_readiness(ready))},
        "/metrics": {"GET": _page(metrics_reply)},
    }
    for route in routes:
        paths.setdefault(route.template, {})[route.method] = Endpoint(route, authenticate, rate_limit)
    cross_origin = {route.template for route in routes if route.publishable}
    app = Litestar(
        [_handler(template, by_method, template in cross_origin) for template, by_method in paths.items()],
        lifespan=list(lifespan),
        openapi_config=None,
        logging_config=None,
        exception_handlers={Exception: _on_exception},
    )
    app.asgi_handler = Gate(app.asgi_handler, metrics, in_flight_max)
    return app


def _handler(template: str, by_method: dict[str, ASGIApp], is_cross_origin: bool) -> HTTPRouteHandler:
    """A Litestar handler that gives each request for a path on to the endpoint of its method."""
    methods = [*by_method, "OPTIONS"]
    by_method = {**by_method, "OPTIONS": _page(_fixed(_options(methods, is_cross_origin)))}

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await by_method[cast(HTTPScope, scope)["method"]](scope, receive, send)

    async def endpoint() -> ASGIApp:
        return answer

    path = _PARAMETER.sub(r"{\1:str}", template)
    methods_known = cast(list[Method], methods)
    return HTTPRouteHandler(path, http_method=methods_known, status_code=200, include_in_schema=False)(endpoint)


def _options(methods: list[str], is_cross_origin: bool) -> Reply:
    """What a path knows; it also answers the question that a browser asks before it calls another origin."""
    allowed = ", ".join(methods)
    cross_origin = {**_PREFLIGHT, "Access-Control-Allow-Methods": allowed} if is_cross_origin else {}
    return Reply(204, headers={"Allow": allowed, **cross_origin})


def _page(make: Callable[[], Awaitable[Reply]]) -> ASGIApp:
    """An endpoint that takes no input and needs no key."""

    async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            reply = await make()
        except Exception as error:  # a refusal or a defect: either way a reply
            reply = reply_to(error, exchange_of(scope).request_id)
        await send_reply(reply, send)

    return answer


def _fixed(reply: Reply) -> Callable[[], Awaitable[Reply]]:
    async def make() -> Reply:
        return reply

    return make


def _readiness(ready: Ready) -> Callable[[], Awaitable[Reply]]:
    async def make() -> Reply:
        try:
            async with asyncio.timeout(_READY_WAIT_S):
                await ready()
        except ApiError:
            raise
        except Exception as error:
            _log.warning("not ready", exc_info=error)
            raise Unavailable("Not ready to serve; the log says why.") from error
        return json_reply(200, {"status": "ready"})

    return make


def _on_exception(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's own errors (no such path or method), and whatever nobody caught."""
    reply = reply_to(error, exchange_of(request.scope).request_id)
    return Response(reply.body, status_code=reply.status, media_type=reply.content_type, headers=dict(reply.headers))
