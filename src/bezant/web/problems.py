"""Turns whatever went wrong into a problem document (RFC 9457), and only what the caller may know of it."""

from http import HTTPStatus

from litestar.exceptions import HTTPException

from bezant.base.db import DatabaseError, DataRefused
from bezant.base.errors import (
    ApiError,
    Conflict,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Unauthorized,
    Unavailable,
    problem_document,
    retry_headers,
)
from bezant.base.log import logger
from bezant.web.call import Reply

PROBLEM_TYPE = "application/problem+json"

_log = logger(__name__)


class InternalError(ApiError):
    """500: a defect of Bezant's. What it was is in the log, under the request id."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self) -> None:
        super().__init__("internal_error", "Something went wrong on our side. Quote the request_id when you report it.")


def problem_reply(error: ApiError, request_id: str) -> Reply:
    """`error` as a reply."""
    headers = dict(retry_headers(error))
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return Reply(int(error.status), problem_document(error, request_id), headers, PROBLEM_TYPE)


def reply_to(error: Exception, request_id: str) -> Reply:
    """The reply to a request that ended in `error`; what nobody foresaw is logged with its traceback."""
    if isinstance(error, ApiError):
        return problem_reply(error, request_id)
    if isinstance(error, DatabaseError):
        return problem_reply(_of_database(error, request_id), request_id)
    if isinstance(error, HTTPException) and (known := _of_litestar(error)):
        reply = problem_reply(known, request_id)
        allow = (error.headers or {}).get("allow")
        return Reply(reply.status, reply.body, {"Allow": allow}, PROBLEM_TYPE) if allow else reply
    _log.error("request failed unexpectedly", request_id=request_id, exc_info=error)
    return problem_reply(InternalError(), request_id)


def _of_database(error: DatabaseError, request_id: str) -> ApiError:
    if not isinstance(error, DataRefused):
        return Unavailable()
    _log.error("refused by the database", request_id=request_id, constraint=error.constraint, sqlstate=error.sqlstate)
    if error.sqlstate.startswith("22"):
        return InvalidRequest("invalid_request", "A value is not accepted by the database.")
    return Conflict("invalid_state", "The database refused a change that would break one of its promises.")


def _of_litestar(error: HTTPException) -> ApiError | None:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NotFound("There is nothing at this path. The API is described at /docs.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return MethodNotAllowed(
            "method_not_allowed", "This path does not know that method; the Allow header lists those it knows."
        )
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return InvalidRequest("invalid_request", "The request line or a header is malformed.")
    return None
