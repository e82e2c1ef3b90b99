"""One customer's visit to the shop: what they put into the cart, and the calls that the shop makes for it."""

import asyncio
import random
from html.parser import HTMLParser
from typing import Any, Final

import aiohttp

from bezant.demo.shop import Answer, Json, Shop, StoryFailed, new_key

HANGS_UP_AFTER_S: Final = 0.7

_PRICES: Final[dict[str, tuple[int, int, int]]] = {
    "USD": (500, 30_000, 1),
    "EUR": (500, 25_000, 1),
    "GBP": (400, 20_000, 1),
    "JPY": (800, 40_000, 10),
    "KWD": (1_000, 90_000, 10),  # thousandths; Stripe takes no others than full hundredths
}
"""Lowest and highest amount in minor units, and its step."""

_CURRENCIES: Final = ("USD", "USD", "USD", "EUR", "EUR", "GBP", "JPY", "KWD")


class Visit:
    """A checkout and what follows. `payment` is the payment as the API showed it last."""

    def __init__(self, shop: Shop, web: aiohttp.ClientSession, order_id: str, chance: random.Random) -> None:
        self.order_id = order_id
        self.chance = chance
        self.payment: Json = {}
        self._shop = shop
        self._web = web
        self._currency = chance.choice(_CURRENCIES)
        low, high, step = _PRICES[self._currency]
        self._amount = chance.randrange(low, high, step)

    async def pay(self, payment_method: str | None, capture: str = "automatic", simulate: str | None = None) -> None:
        """Create the payment; without a payment method it is confirmed later."""
        self._keep(await self._shop.post("/payments", self._order(payment_method, capture, simulate)))

    async def pay_impatiently(self, payment_method: str) -> None:
        """The customer clicks three times, and the shop asks once more later: one key, one payment, one reply."""
        order, key = self._order(payment_method, "automatic", None), new_key()
        answers = await asyncio.gather(*(self._shop.post("/payments", order, key=key) for _ in range(3)))
        answers = [*answers, await self._shop.post("/payments", order, key=key)]
        if len({str(answer.body.get("payment_id")) for answer in answers}) != 1:
            raise StoryFailed(f"one key, but several payments: {'; '.join(map(str, answers))}")
        self._keep(answers[-1])

    async def pay_and_hang_up(self, payment_method: str) -> None:
        """The shop loses patience before the PSP does, and repeats under the same key until it knows."""
        order, key = self._order(payment_method, "automatic", None), new_key()
        self._keep(await self._shop.post("/payments", order, key=key, hangs_up_after_s=HANGS_UP_AFTER_S))
        self._keep(await self._shop.post("/payments", order, key=key))

    async def confirm(self, payment_method: str | None = None) -> None:
        """After the customer's action, or with the payment method that came later."""
        body = {} if payment_method is None else {"payment_method": payment_method}
        self._keep(await self._shop.post(f"{self._path}/confirm", body))

    async def act(self, decision: str) -> None:
        """The customer goes to the page of bank or wallet and presses the button there; then the shop confirms."""
        if self.payment["next_action"] is None:
            raise StoryFailed(f"no page for the customer to act on: {self.payment_id} is {self.payment['status']}")
        url = str(self.payment["next_action"]["url"])
        async with self._web.get(url) as response:
            buttons = _Buttons()
            buttons.feed(await response.text())
        name = next((name for name, value in buttons.found if value == decision), None)
        if name is None:
            raise StoryFailed(f"no button {decision!r} at {url}")
        async with self._web.post(url, data={name: decision}, allow_redirects=False) as response:
            if response.status >= 400:
                raise StoryFailed(f"the page answered {response.status}")
        await self.confirm()

    async def capture(self, amount: int | None = None, *, final: bool = True) -> None:
        """Take the money, or a part of it."""
        body: Json = {} if amount is None else {"amount": self._money(amount)}
        self._keep(await self._shop.post(f"{self._path}/capture", body if final else {**body, "final": False}))

    async def cancel(self) -> None:
        """Give back what is not taken."""
        self._keep(await self._shop.post(f"{self._path}/cancel", {}))

    async def refund(self, amount: int | None = None, reason: str = "requested_by_customer") -> None:
        """Give money back: all that is left, or a part."""
        body: Json = {"reason": reason}
        answer = await self._shop.post(
            f"{self._path}/refunds", body if amount is None else {**body, "amount": self._money(amount)}
        )
        _require_done(answer)

    async def settle(self) -> None:
        """Wait until everything about the payment is known."""
        self.payment = await self._shop.settled(self.payment_id)

    async def refresh(self) -> None:
        """The payment as it is."""
        self.payment = await self._shop.get(self._path)

    @property
    def payment_id(self) -> str:
        """The payment's id."""
        return str(self.payment["payment_id"])

    def part(self, percent: int) -> int:
        """A part of the order's amount, at least one minor unit, in what the PSPs can move."""
        step = _PRICES[self._currency][2]
        return max(step, self._amount * percent // 100 // step * step)

    @property
    def _path(self) -> str:
        return f"/payments/{self.payment_id}"

    def _money(self, amount: int) -> Json:
        return {"value": amount, "currency": self._currency}

    def _order(self, payment_method: str | None, capture: str, simulate: str | None) -> Json:
        order: dict[str, Any] = {
            "order_id": self.order_id,
            "amount": self._money(self._amount),
            "capture_strategy": capture,
            "metadata": {"cart_id": f"cart_{self.order_id}"},
        }
        if simulate is not None:
            order["metadata"]["simulate"] = simulate
        return {**order, "confirm": False} if payment_method is None else {**order, "payment_method": payment_method}

    def _keep(self, answer: Answer) -> None:
        _require_done(answer)
        self.payment = answer.body


class _Buttons(HTMLParser):
    """The buttons of a page as (name, value)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag == "button":
            self.found.append((known.get("name") or "", known.get("value") or ""))


def _require_done(answer: Answer) -> None:
    if answer.status not in (200, 202):
        raise StoryFailed(f"answered {answer}")
