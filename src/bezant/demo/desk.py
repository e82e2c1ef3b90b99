"""The PSP itself, past Bezant: where its webhooks go, what people do in its dashboard, what it has told."""

from typing import Final

import aiohttp

from bezant.demo.provider import STRIPE_KEY, PspName
from bezant.demo.shop import Json, StoryFailed

STRIPE_HEADERS: Final = {"Authorization": f"Bearer {STRIPE_KEY}"}
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30.0)
_IBANS: Final = {True: "DE62370400440532013001", False: "DE89370400440532013000"}
"""Those of accounts whose bank refuses, and does not."""


class Desk:
    """Calls the PSP as its own people and its customers' browsers do."""

    def __init__(self, web: aiohttp.ClientSession, psp: PspName, psp_url: str) -> None:
        self._web = web
        self._psp = psp
        self._url = psp_url

    @property
    def takes_return_urls(self) -> bool:
        """localstripe refuses them, so that there is no way back from a bank's page."""
        return self._psp != "stripe"

    async def send_webhooks_to(self, url: str, secret: str | None) -> None:
        """Set up where webhooks go from now on."""
        if self._psp == "simulator":
            await self._post("/_simulator/settings", json={"webhook_url": url})
        else:
            await self._post("/_config/webhooks/bezant", data={"url": url, "secret": str(secret)})

    async def refund(self, charge: str, amount: int) -> None:
        """Somebody refunds in the simulator's dashboard; Bezant hears of it by webhook alone."""
        await self._post(f"/_simulator/charges/{charge}/refund", json={"amount": amount})

    async def capture(self, charge: str) -> None:
        """Somebody captures in the simulator's dashboard."""
        await self._post(f"/_simulator/charges/{charge}/capture", json={})

    async def bank_debit(self, *, refused: bool) -> str:
        """The customer gives an account instead of a card, in Stripe's own form in the browser."""
        form = {"type": "sepa_debit", "sepa_debit[iban]": _IBANS[refused]}
        return str((await self._post("/v1/payment_methods", data=form))["id"])

    async def untold(self) -> int:
        """How many of its events the PSP has not brought to Bezant yet, as far as it can say."""
        if self._psp == "stripe":
            return 0  # localstripe sends each once and keeps no list
        async with self._web.get(f"{self._url}/_simulator/events", raise_for_status=True, timeout=_TIMEOUT) as response:
            return sum(not event["told"] for event in (await response.json())["data"])

    async def _post(self, path: str, *, json: Json | None = None, data: Json | None = None) -> Json:
        headers = STRIPE_HEADERS if self._psp == "stripe" else None
        async with self._web.post(
            self._url + path, json=json, data=data, headers=headers, timeout=_TIMEOUT
        ) as response:
            if response.status >= 400:
                raise StoryFailed(f"{self._psp} answered {response.status} to {path}: {await response.text()}")
            return dict(await response.json()) if response.content_type == "application/json" else {}
