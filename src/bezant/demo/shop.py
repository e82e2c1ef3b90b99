"""A shop's backend: an HTTP client that behaves as the guide for integrators says, and counts what it sees.

Every POST carries an idempotency key; what the API asks to repeat later (409 of keys and attempts, 429, 503, 504), and
what was never answered, is repeated under the same key.
"""

import asyncio
import time
from collections import Counter
from typing import Any, Final, cast
from uuid import uuid4

import aiohttp
import msgspec

Json = dict[str, Any]

PATIENCE_S: Final = 90.0
_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.3
_PAGE: Final = "100"
_REPEAT_STATUSES: Final = frozenset({429, 503, 504})
_REPEAT_CODES: Final = frozenset({"idempotency_key_in_use", "attempt_in_progress"})


class StoryFailed(Exception):
    """The API did something that the story does not allow."""


class Answer(msgspec.Struct, frozen=True):
    """A reply of the API."""

    status: int
    body: Json
    replayed: bool

    def __str__(self) -> str:
        named = (self.body.get(name) for name in ("payment_id", "refund_id", "code", "detail", "request_id"))
        return " ".join(str(word) for word in (self.status, *named) if word is not None)


class Counts:
    """What the shop saw."""

    def __init__(self) -> None:
        self.calls = 0
        self.replays = 0
        self.repeats: Counter[str] = Counter()
        self.durations_s: list[float] = []


class Shop:
    """Calls the API with a secret key."""

    def __init__(self, session: aiohttp.ClientSession, api_url: str, secret_key: str) -> None:
        self._session = session
        self._base_url = f"{api_url}/api/v1"
        self._headers = {"Authorization": f"Bearer {secret_key}"}
        self.counts = Counts()

    async def get(self, path: str, **query: str) -> Json:
        """A read that must succeed."""
        answer = await self._send("GET", path, None, None, _TIMEOUT_S, query)
        if answer.status != 200:
            raise StoryFailed(f"GET {path}: {answer}")
        return answer.body

    async def post(
        self, path: str, body: Json, *, key: str | None = None, hangs_up_after_s: float = _TIMEOUT_S
    ) -> Answer:
        """A command under one key (a new one where none is given), repeated until it is answered for good.

        `hangs_up_after_s`: how long the first try waits for an answer.
        """
        key = key or new_key()
        give_up_at = time.monotonic() + PATIENCE_S
        timeout_s = hangs_up_after_s
        while True:
            why, pause_s = "no_answer", _POLL_S
            try:
                answer = await self._send("POST", path, body, key, timeout_s, {})
                if not _is_to_be_repeated(answer):
                    return answer
                why = str(answer.body.get("code"))
            except (aiohttp.ClientError, TimeoutError):
                if time.monotonic() >= give_up_at:
                    raise
            if time.monotonic() >= give_up_at:
                raise StoryFailed(f"POST {path}: still {why} after {PATIENCE_S:g} s")
            self.counts.repeats[why] += 1
            timeout_s = _TIMEOUT_S
            await asyncio.sleep(pause_s)

    async def settled(self, payment_id: str) -> Json:
        """The payment once nothing of it is open, asking again and again: webhooks or not, the answer is there."""
        give_up_at = time.monotonic() + PATIENCE_S
        while is_open(payment := await self.get(f"/payments/{payment_id}")):
            if time.monotonic() >= give_up_at:
                raise StoryFailed(f"{payment_id} is still open after {PATIENCE_S:g} s: {payment['pending_operation']}")
            await asyncio.sleep(_POLL_S)
        return payment

    async def every(self, path: str, **query: str) -> list[Json]:
        """All of a list, page by page."""
        page = await self.get(path, limit=_PAGE, **query)
        found: list[Json] = list(page["data"])
        while page["has_more"]:
            page = await self.get(path, limit=_PAGE, cursor=page["next_cursor"], **query)
            found += page["data"]
        return found

    async def delete(self, path: str) -> None:
        """Remove something."""
        answer = await self._send("DELETE", path, None, new_key(), _TIMEOUT_S, {})
        if answer.status != 200:
            raise StoryFailed(f"DELETE {path}: {answer}")

    async def _send(
        self, method: str, path: str, body: Json | None, key: str | None, timeout_s: float, query: dict[str, str]
    ) -> Answer:
        headers = self._headers if key is None else {**self._headers, "Idempotency-Key": key}
        began_s = time.perf_counter()
        async with self._session.request(
            method,
            self._base_url + path,
            json=body,
            params=query or None,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        ) as response:
            answered = cast(Json, msgspec.json.decode(await response.read()))
            replayed = response.headers.get("Idempotent-Replayed") == "true"
        self.counts.calls += 1
        self.counts.replays += replayed
        self.counts.durations_s.append(time.perf_counter() - began_s)
        return Answer(response.status, answered, replayed)


def new_key() -> str:
    """A new idempotency key."""
    return uuid4().hex


def is_open(payment: Json) -> bool:
    """Whether an attempt of the payment has no outcome yet, apart from one that waits for the customer."""
    return payment["pending_operation"] is not None and payment["next_action"] is None


def _is_to_be_repeated(answer: Answer) -> bool:
    return answer.status in _REPEAT_STATUSES or (answer.status == 409 and answer.body.get("code") in _REPEAT_CODES)
