"""The one error tree, sorted by what the reader must do.

BezantError
|- RequestError          the caller must change the request (4xx; never repeated as it is)
|  |- InvalidRequest         400  the form of one field or header
|  |- Unauthorized           401  no key, or a key that is not valid
|  |- Forbidden              403  the key or the merchant may not do this
|  |- NotFound               404  not there, or another merchant's
|  |- Conflict               409  the state of the resource forbids it
|  `- Unprocessable          422  well formed, but a business rule refuses
|- WaitAndRepeat         the caller repeats the same request later (Retry-After)
|  |- Busy                   409  the same key, or another attempt, is still in flight
|  |- RateLimited            429
|  |- Unavailable            503  nothing was done: no PSP was called
|  `- OutcomeUnknown         504  something may have been done: the same key finds out
`- OperatorError         the operator must change the installation; the process does not start

A declined payment is a result, not an error. `code` is stable and machine readable, `detail` is for people and says
how to mend it. Rendering follows RFC 9457.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar

import msgspec

PROBLEM_TYPE_PREFIX = "https://bezant.dev/problems/"


class BezantError(Exception):
    """Root of everything that Bezant raises on purpose."""


class ApiError(BezantError):
    """An error that a caller of the HTTP API reads as a problem document."""

    status: ClassVar[HTTPStatus]

    def __init__(self, code: str, detail: str, *, param: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.param = param
        self.retry_after_s = retry_after_s


class RequestError(ApiError):
    """The caller must change the request."""


class InvalidRequest(RequestError):
    """400: a field, header or query parameter has a form that is never accepted."""

    status = HTTPStatus.BAD_REQUEST


class Unauthorized(RequestError):
    """401: no key, or one that is not valid."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, detail: str = "Send a valid key as 'Authorization: Bearer sk_...'.") -> None:
        super().__init__("unauthorized", detail)


class Forbidden(RequestError):
    """403: the key lacks the scope, or the merchant may not do this."""

    status = HTTPStatus.FORBIDDEN


class NotFound(RequestError):
    """404: not there, or another merchant's; the two cannot be told apart."""

    status = HTTPStatus.NOT_FOUND

    def __init__(self, detail: str = "There is no such resource.") -> None:
        super().__init__("not_found", detail)


class MethodNotAllowed(RequestError):
    """405: the path exists, the method does not."""

    status = HTTPStatus.METHOD_NOT_ALLOWED


class Conflict(RequestError):
    """409: the state of the resource forbids it."""

    status = HTTPStatus.CONFLICT


class ContentTooLarge(RequestError):
    """413: the body is over the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMediaType(RequestError):
    """415: the body is not JSON."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class Unprocessable(RequestError):
    """422: well formed, but a business rule refuses."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class WaitAndRepeat(ApiError):
    """The same request may succeed later."""


class Busy(WaitAndRepeat):
    """409: the same key, or an unresolved attempt, is still in flight."""

    status = HTTPStatus.CONFLICT


class RateLimited(WaitAndRepeat):
    """429: more requests than this key may send."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class Unavailable(WaitAndRepeat):
    """503: the database or capacity is missing; nothing was done and no PSP was called."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, detail: str = "The service cannot reach its database.", *, retry_after_s: int = 1) -> None:
        super().__init__("unavailable", detail, retry_after_s=retry_after_s)


class OutcomeUnknown(WaitAndRepeat):
    """504: the database was lost after a PSP may have been called; repeating the same key finds out."""

    status = HTTPStatus.GATEWAY_TIMEOUT

    def __init__(self) -> None:
        super().__init__(
            "outcome_unknown",
            "The outcome could not be stored. Repeat the request with the same Idempotency-Key to learn it.",
            retry_after_s=2,
        )


class OperatorError(BezantError):
    """The installation must be changed: configuration, schema, credentials. The message says how."""


def problem_document(error: ApiError, request_id: str) -> bytes:
    """The RFC 9457 document of `error`, as JSON bytes."""
    document: dict[str, object] = {
        "type": PROBLEM_TYPE_PREFIX + error.code.replace("_", "-"),
        "title": error.status.phrase,
        "status": int(error.status),
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
    }
    if error.param is not None:
        document["param"] = error.param
    return msgspec.json.encode(document)


def retry_headers(error: ApiError) -> Mapping[str, str]:
    """`Retry-After` in whole seconds, where the error names a time."""
    return {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
