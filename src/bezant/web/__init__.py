"""HTTP machinery: routing, callers, bodies, problems, paging, metrics, the reference. Knows no business word.

Guarantees: every reply carries Request-Id and every error is a problem document; a body is bounded and held in memory
once; card data is refused in bodies, queries, paths and the Idempotency-Key before a handler runs. A handler is a
function from `Call` to `Reply` and raises the errors of `bezant.base.errors`.
"""

from bezant.web.build import Lifespan, Ready, build
from bezant.web.call import Call, Reply, json_reply
from bezant.web.paging import Cursor, Limit, Page, PageQuery, decode_cursor, encode_cursor
from bezant.web.principal import Authenticate, Principal
from bezant.web.problems import problem_reply
from bezant.web.rate_limit import RateLimit
from bezant.web.route import API, Handler, Route
from bezant.web.server import UVICORN_OPTIONS

__all__ = [
    "API",
    "UVICORN_OPTIONS",
    "Authenticate",
    "Call",
    "Cursor",
    "Handler",
    "Lifespan",
    "Limit",
    "Page",
    "PageQuery",
    "Principal",
    "RateLimit",
    "Ready",
    "Reply",
    "Route",
    "build",
    "decode_cursor",
    "encode_cursor",
    "json_reply",
    "problem_reply",
]
