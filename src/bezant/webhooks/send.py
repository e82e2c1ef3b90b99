"""The only place that speaks HTTP to merchants' servers.

Guarantees: no transaction is open meanwhile; the status comes within the time-out or not at all; no redirect is
followed and no proxy of the environment is used; certificates are verified; connections go only where the guard lets
them; of an answer only the beginning is read, as it comes, and its first KiB kept without card data and secrets.
"""

import asyncio
import os
import re
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from bezant import __version__
from bezant.base import ids
from bezant.base.db import transaction_is_open
from bezant.base.log import logger
from bezant.psp.records import kept_text
from bezant.webhooks.addresses import UrlRefused, parse_target
from bezant.webhooks.guard import NOT_ALLOWED, AddressNotAllowed, Guard
from bezant.webhooks.rules import BUSY
from bezant.webhooks.states import Try

TIMEOUT_S: Final = 10.0
ANSWER_MAX_BYTES: Final = 1024
ANSWER_WAIT_S: Final = 2.0
# A little more is read than is kept: of a card number at the edge the whole is seen, else its half would be kept.
_READ_MAX_BYTES: Final = ANSWER_MAX_BYTES + 64
_ERROR_MAX: Final = 500
# Below what servers commonly allow (5 s): a request on a connection that is just being closed would fail.
_KEEP_ALIVE_S: Final = 4.0
_DNS_CACHE_S: Final = 10
_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_HTTP_DATE: Final = "%a, %d %b %Y %H:%M:%S GMT"
_HEADERS: Final = {"Content-Type": "application/json", "User-Agent": f"Bezant-Webhooks/{__version__}"}

_log = logger(__name__)


class Sender:
    """Posts to merchants' servers."""

    def __init__(self, guard: Guard, *, timeout_s: float = TIMEOUT_S) -> None:
        self._guard = guard
        self.timeout_s = timeout_s
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Try:
        """One try. Whatever goes wrong is in it."""
        if transaction_is_open():
            raise RuntimeError("a transaction is open while a merchant's server is asked")
        tried_at, began = datetime.now(UTC), time.monotonic()
        status, error, answer, retry_after = None, None, None, None
        try:
            status, answer, retry_after = await self._answer(url, headers, body)
        except Exception as problem:  # a merchant's server can do anything; none of it may stop the others
            error = kept_text(self._words(problem))[:_ERROR_MAX]
        return Try(
            id=ids.new_id(),
            status=status,
            error=error,
            answer=answer,
            latency_ms=round((time.monotonic() - began) * 1000),
            tried_at=tried_at,
            retry_after=retry_after,
        )

    async def _answer(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes, timedelta | None]:
        target, parsed = parse_target(url), URL(url, encoded=True)
        if (parsed.scheme, parsed.host, parsed.port) != (target.scheme, target.host, target.port):
            raise UrlRefused("the URL is not understood")
        session = self._session(target.scheme)
        async with asyncio.timeout(self.timeout_s):
            response = await session.post(parsed, data=body, headers={**_HEADERS, **headers}, allow_redirects=False)
        async with response:
            return response.status, await _beginning(response), _retry_after(response, datetime.now(UTC))

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        session = self._sessions.get(scheme)
        if session is None:
            connector = aiohttp.TCPConnector(
                limit=0,  # the deliverer bounds what is in flight
                ssl=_verifying(),
                resolver=self._guard.resolver(scheme),
                socket_factory=self._guard.socket_factory(scheme),
                ttl_dns_cache=_DNS_CACHE_S,
                keepalive_timeout=_KEEP_ALIVE_S,
            )
            session = self._sessions[scheme] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                trust_env=False,
            )
        return session

    def _words(self, problem: Exception) -> str:
        """What went wrong, for the merchant: nothing of our own network."""
        if isinstance(problem, TimeoutError):
            return f"no answer within {self.timeout_s:g} s"
        if isinstance(problem, UrlRefused):
            return str(problem)
        if _is_caused_by(problem, AddressNotAllowed):
            return NOT_ALLOWED
        if isinstance(problem, aiohttp.ClientConnectorDNSError):
            return "the host name does not resolve"
        if isinstance(problem, aiohttp.ClientConnectorCertificateError):
            return f"the certificate is not valid: {problem.certificate_error}"
        if isinstance(problem, aiohttp.ClientSSLError):
            return "no TLS connection could be made"
        if isinstance(problem, aiohttp.ClientConnectorError):
            # Its own words may name an address that a name leads to.
            return f"no connection could be made: {os.strerror(problem.errno) if problem.errno else 'refused'}"
        if isinstance(problem, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | aiohttp.ClientPayloadError):
            return "the connection was closed before an answer came"
        if isinstance(problem, aiohttp.ClientResponseError | HttpProcessingError | ValueError):
            return "the answer is not HTTP"
        _log.warning("webhook_try_failed_unexpectedly", exc_info=problem)
        return "the request could not be made"

    async def close(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


def _verifying() -> ssl.SSLContext:
    """Verifies certificates by the authorities of this system, or of SSL_CERT_FILE."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _retry_after(response: aiohttp.ClientResponse, now: datetime) -> timedelta | None:
    """How long a busy server wants to be left alone; None where it says nothing, or nothing that can be read."""
    asked = response.headers.get("Retry-After", "").strip() if response.status in BUSY else ""
    if _SECONDS.fullmatch(asked):
        return timedelta(seconds=int(asked))
    try:
        return max(datetime.strptime(asked, _HTTP_DATE).replace(tzinfo=UTC) - now, timedelta())
    except ValueError:
        return None


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """The first KiB of an answer as text. The status is known: an answer that drips is not waited for."""
    read = b""
    try:
        async with asyncio.timeout(ANSWER_WAIT_S):
            while len(read) < _READ_MAX_BYTES and not response.content.at_eof():
                read += await response.content.read(_READ_MAX_BYTES - len(read))
    except (TimeoutError, aiohttp.ClientError):
        response.close()
    text = kept_text(read.decode(errors="replace"))
    return text.encode(errors="replace")[:ANSWER_MAX_BYTES]


def _is_caused_by(problem: BaseException | None, kind: type[BaseException]) -> bool:
    while problem is not None:
        if isinstance(problem, kind) or isinstance(getattr(problem, "os_error", None), kind):
            return True
        problem = problem.__cause__ or problem.__context__
    return False
