"""Fetches a merchant's events from the API and forwards them, signed, to a server under development.

As endpoints get them, so that what works here works there; but nothing is tried again.
"""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import msgspec

from bezant.base.errors import OperatorError
from bezant.webhooks.rules import wants
from bezant.webhooks.sign import secret_of, signed_headers

_POLL_S: Final = 0.5
_AWAY_S: Final = 2.0
_TIMEOUT_S: Final = 30.0
_PAGE: Final = 100


class Forwarded(msgspec.Struct, frozen=True):
    """What became of an event: the local server's status, or why there is none."""

    event_id: str
    type: str
    subject: str
    status: int | None
    error: str | None
    latency_ms: int


class _Page(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]
    has_more: bool
    next_cursor: str


def listening_secret(key: str) -> str:
    """The secret that signs what is forwarded: the same each time for the same API key, which it does not betray."""
    return secret_of(hmac.digest(key.encode(), b"bezant listen", hashlib.sha256))


class Listener:
    """Forwards from now on. `report` is told of each event; `away` when the API does not answer."""

    def __init__(
        self,
        api: str,
        key: str,
        forward_to: str,
        event_types: Sequence[str],
        *,
        report: Callable[[Forwarded], None],
        away: Callable[[str], None],
    ) -> None:
        self._api = api
        self._key = key
        self._forward_to = forward_to
        self._event_types = event_types
        self._report = report
        self._away = away
        self._secret = listening_secret(key)

    async def run(self, ready: Callable[[], None]) -> None:
        """Until it is cancelled; `ready` is called when events from now on are forwarded. Raises OperatorError."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            cursor: str | None = None
            while True:
                page = await self._fetch(session, cursor)
                if page is None:
                    await asyncio.sleep(_AWAY_S)
                    continue
                if cursor is None:
                    ready()
                for body in page.data:
                    await self._forward(session, bytes(body))
                cursor = page.next_cursor
                if not page.has_more:
                    await asyncio.sleep(_POLL_S)

    async def _fetch(self, session: aiohttp.ClientSession, cursor: str | None) -> _Page | None:
        query = {"limit": str(_PAGE), **({} if cursor is None else {"cursor": cursor})}
        headers = {"Authorization": f"Bearer {self._key}"}
        try:
            url = f"{self._api}/api/v1/webhook_events"
            async with session.get(url, params=query, headers=headers, allow_redirects=False) as response:
                body = await response.read()
                if response.status == 200:
                    return msgspec.json.decode(body, type=_Page)
                problem = f"{self._api} answers {response.status}: {_detail(body)}"
        except (aiohttp.ClientError, TimeoutError) as error:
            self._away(f"{self._api} does not answer: {error or 'timed out'}")
            return None
        except msgspec.DecodeError:
            raise OperatorError(f"{self._api} is not Bezant's API.") from None
        if response.status in (429, 502, 503, 504):
            self._away(problem)
            return None
        raise OperatorError(problem)

    async def _forward(self, session: aiohttp.ClientSession, body: bytes) -> None:
        event: dict[str, Any] = msgspec.json.decode(body)
        if not wants(self._event_types, event["type"]):
            return
        now = int(datetime.now(UTC).timestamp())
        headers = {
            "Content-Type": "application/json",
            **signed_headers([self._secret], event["id"], now, body),
        }
        status, error, began = None, None, time.monotonic()
        try:
            async with session.post(self._forward_to, data=body, headers=headers, allow_redirects=False) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as problem:
            error = str(problem) or "timed out"
        latency_ms = round((time.monotonic() - began) * 1000)
        self._report(Forwarded(event["id"], event["type"], event["subject"], status, error, latency_ms))


def _detail(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body, type=dict[str, Any]).get("detail", ""))[:200]
    except msgspec.DecodeError:
        return "not a problem document"
