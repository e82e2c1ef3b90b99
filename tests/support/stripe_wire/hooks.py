"""Webhook endpoints and deliveries: signed, in the background, repeated until somebody says 2xx."""

import asyncio
import hashlib
import hmac
import random
import secrets
from contextlib import suppress
from typing import Final

import aiohttp

from tests.support.stripe_wire.objects import encode, new_id, now
from tests.support.stripe_wire.refusals import Json, missing

RETRY_S: Final = 0.1
TRIES_MAX: Final = 200
TIMEOUT_S: Final = 10.0


def sign(body: bytes, secret: str, at: int) -> str:
    """The hexadecimal `v1` of a body."""
    return hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()


class Hooks:
    """All endpoints of the platform."""

    def __init__(self, platform: str) -> None:
        self._platform = platform
        self._endpoints: dict[str, Json] = {}
        self._secrets: dict[str, list[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.held: list[tuple[str, Json]] | None = None

    def add(self, url: str, events: list[str], *, connect: bool) -> Json:
        """A new endpoint; its secret is shown this once."""
        endpoint: Json = {
            "id": new_id("we"),
            "object": "webhook_endpoint",
            "api_version": None,
            "application": None,
            "created": now(),
            "description": None,
            "enabled_events": events,
            "livemode": False,
            "metadata": {},
            "status": "enabled",
            "url": url,
        }
        self._endpoints[endpoint["id"]] = {**endpoint, "connect": connect}
        self._secrets[endpoint["id"]] = [f"whsec_{secrets.token_hex(24)}"]
        return {**endpoint, "secret": self._secrets[endpoint["id"]][0]}

    def roll(self, name: str, *, finish: bool) -> str:
        """A new secret beside the old one; with `finish` the old one ends."""
        if name not in self._endpoints:
            raise missing("webhook_endpoint", name, param="id")
        if finish:
            del self._secrets[name][1:]
        else:
            self._secrets[name].insert(0, f"whsec_{secrets.token_hex(24)}")
        return self._secrets[name][0]

    def remove(self, name: str) -> Json:
        """Nothing more goes there."""
        if self._endpoints.pop(name, None) is None:
            raise missing("webhook_endpoint", name, param="id")
        return {"id": name, "object": "webhook_endpoint", "deleted": True}

    def tell(self, account: str, event: Json) -> None:
        """Deliver an event to whoever wants it, unless deliveries are held."""
        if self.held is not None:
            self.held.append((account, event))
            return
        is_connected = account != self._platform
        shown = {**event, "account": account} if is_connected else event
        for name, endpoint in self._endpoints.items():
            wanted = endpoint["enabled_events"]
            if endpoint["connect"] == is_connected and ("*" in wanted or event["type"] in wanted):
                task = asyncio.get_running_loop().create_task(self._deliver(name, encode(shown)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def hold(self) -> None:
        """Keep deliveries back."""
        self.held = self.held or []

    def release(self, *, shuffled: bool, twice: bool) -> int:
        """Deliver what was kept back; how many."""
        held, self.held = self.held or [], None
        told = held * 2 if twice else held
        if shuffled:
            random.shuffle(told)
        for account, event in told:
            self.tell(account, event)
        return len(told)

    async def close(self) -> None:
        """Stop delivering."""
        for task in self._tasks:
            task.cancel()
        if self._session is not None:
            await self._session.close()

    async def _deliver(self, name: str, body: bytes) -> None:
        self._session = self._session or aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        for _ in range(TRIES_MAX):
            if name not in self._endpoints:
                return
            at = now()
            signatures = [f"v1={sign(body, secret, at)}" for secret in self._secrets[name]]
            header = ",".join([f"t={at}", *signatures, f"v0={'0' * 64}"])
            headers = {"Stripe-Signature": header, "Content-Type": "application/json; charset=utf-8"}
            with suppress(OSError, aiohttp.ClientError, TimeoutError):
                url = self._endpoints[name]["url"]
                async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                    if 200 <= response.status < 300:
                        return
            await asyncio.sleep(RETRY_S)
