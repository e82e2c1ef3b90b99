"""One customer's visit to the shop: what they put into the cart, and the calls that the shop makes for it."""

import asyncio
import random
from typing import Any, Final

import aiohttp
import msgspec

from bezant.demo.desk import Desk
from bezant.demo.mailbox import Mailbox
from bezant.demo.page import press
from bezant.demo.shop import Answer, Json, Shop, StoryFailed, is_open, new_key

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


class Street(msgspec.Struct, frozen=True):
    """Where the shop is: its backend, its mailbox for webhooks, the PSP, and the web in between."""

    shop: Shop
    mailbox: Mailbox
    desk: Desk
    web: aiohttp.ClientSession


class Visit:
    """A checkout and what follows. `payment` is the payment as the API showed it last."""

    def __init__(self, street: Street, order_id: str, chance: random.Random) -> None:
        self.order_id = order_id
        self.chance = chance
        self.payment: Json = {}
        self.desk = street.desk
        self._shop = street.shop
        self._mailbox = street.mailbox
        self._web = street.web
        self._price_in(chance.choice(_CURRENCIES))

    async def pay(self, payment_method: str | None, capture: str = "automatic", simulate: str | None = None) -> None:
        """Create the payment; without a payment method it is confirmed later."""
        self._keep(await self._shop.post("/payments", self._order(payment_method, capture, simulate)))

    async def pay_by_debit(self, *, refused: bool) -> None:
        """From a bank account, in euros; its bank decides later."""
        self._price_in("EUR")
        await self.pay(await self.desk.bank_debit(refused=refused))

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

    async def act(self, decision: str, *, comes_back: bool = True) -> None:
        """The customer goes to the page of bank or wallet and presses the button there.

        Back in the shop the payment is confirmed. Who closes the browser instead leaves the rest to webhooks.
        """
        await self._until_known()
        if self.payment["next_action"] is None:
            raise StoryFailed(f"no page for the customer to act on: {self.payment_id} is {self.payment['status']}")
        url = str(self.payment["next_action"]["url"])
        led_to = await press(self._web, url, decision, follow=comes_back)
        if led_to.startswith(self._mailbox.return_url(self.order_id)) != comes_back:
            raise StoryFailed(f"after {decision} at {url} the customer is at {led_to}")
        if comes_back:
            await self._confirm_unless_decided()

    async def hears(self, event_type: str) -> None:
        """The shop waits until a webhook tells it so."""
        await self._mailbox.orders.heard(self.payment_id, event_type)
        await self.refresh()

    async def charge(self) -> str:
        """What the PSP calls the payment."""
        await self._until_known()
        return str(self.payment["psp_reference"])

    async def capture(self, amount: int | None = None, *, final: bool = True) -> None:
        """Take the money, or a part of it."""
        await self._until_known()
        body: Json = {} if amount is None else {"amount": self._money(amount)}
        self._keep(await self._shop.post(f"{self._path}/capture", body if final else {**body, "final": False}))

    async def cancel(self) -> None:
        """Give back what is not taken."""
        await self._until_known()
        self._keep(await self._shop.post(f"{self._path}/cancel", {}))

    async def refund(self, amount: int | None = None, reason: str = "requested_by_customer") -> None:
        """Give money back: all that is left, or a part."""
        await self._until_known()
        body: Json = {"reason": reason}
        answer = await self._shop.post(
            f"{self._path}/refunds", body if amount is None else {**body, "amount": self._money(amount)}
        )
        _require_done(answer)

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

    def _price_in(self, currency: str) -> None:
        low, high, step = _PRICES[currency]
        self._currency, self._amount = currency, self.chance.randrange(low, high, step)

    async def _until_known(self) -> None:
        """Nothing further is done to a payment while what was asked for last has no outcome."""
        if is_open(self.payment):
            self.payment = await self._shop.settled(self.payment_id)

    async def _confirm_unless_decided(self) -> None:
        """The PSP's webhook may be faster than the customer: then there is nothing to confirm any more."""
        answer = await self._shop.post(f"{self._path}/confirm", {})
        if answer.body.get("code") == "invalid_state":
            await self.refresh()
        else:
            self._keep(answer)

    def _money(self, amount: int) -> Json:
        return {"value": amount, "currency": self._currency}

    def _order(self, payment_method: str | None, capture: str, simulate: str | None) -> Json:
        order: dict[str, Any] = {
            "order_id": self.order_id,
            "amount": self._money(self._amount),
            "capture_strategy": capture,
            **({"return_url": self._mailbox.return_url(self.order_id)} if self.desk.takes_return_urls else {}),
            "metadata": {"cart_id": f"cart_{self.order_id}"},
        }
        if simulate is not None:
            order["metadata"]["simulate"] = simulate
        return {**order, "confirm": False} if payment_method is None else {**order, "payment_method": payment_method}

    def _keep(self, answer: Answer) -> None:
        _require_done(answer)
        self.payment = answer.body


def _require_done(answer: Answer) -> None:
    if answer.status not in (200, 202):
        raise StoryFailed(f"answered {answer}")
