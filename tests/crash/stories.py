"""The operations whose process is killed, each with what it needs, what it asks and how it must end."""

from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.support.agreement import charge_of
from tests.support.shop import Answer, Body, Installation, Order, Server, Shop

AMOUNT = 10_000


class Story(msgspec.Struct, frozen=True):
    """An operation. `verb` and `attempt` are its names in accept and at the PSP; the rest is how it ends."""

    verb: str
    attempt: str
    strategy: str
    status: str
    moved: Mapping[str, int]

    def failpoint(self, point: str) -> str:
        """The point, for this operation alone."""
        return f"{point}:{self.verb if point.startswith('accept.') else self.attempt}=kill"


_TAKEN = {"authorized": AMOUNT, "captured": AMOUNT, "refunded": 0}
_HELD = {"authorized": AMOUNT, "captured": 0, "refunded": 0}

STORIES = {
    "create_automatic": Story("create", "authorize", "automatic", "captured", _TAKEN),
    "create_manual": Story("create", "authorize", "manual", "authorized", _HELD),
    "capture": Story("capture", "capture", "manual", "captured", _TAKEN),
    "cancel": Story("cancel", "cancel", "manual", "canceled", _HELD),
    "refund": Story("refund", "refund", "automatic", "refunded", _TAKEN | {"refunded": AMOUNT}),
}


class Victim(msgspec.Struct, kw_only=True):
    """A request that something happens to, and the payment that it is about if there was one before."""

    story: Story
    order: Order
    payment: Body | None

    def order_id(self) -> str:
        return self.order.body["order_id"] if self.payment is None else self.payment["order_id"]


async def order_of(shop: Shop, story: Story, server: Server | None = None, **payment: Any) -> Victim:
    """The request that the story is about, with all that comes before it done."""
    order = shop.payment(capture_strategy=story.strategy, **payment)
    if story.verb == "create":
        return Victim(story=story, order=order, payment=None)
    created = await shop.send(order, server)
    assert created.status == 200, created.raw
    path = "refunds" if story.verb == "refund" else story.verb
    later = shop.order(f"/payments/{created.body['payment_id']}/{path}")
    return Victim(story=story, order=later, payment=created.body)


async def kill_on(shop: Shop, server: Server, story: Story) -> Victim:
    """Tell the story on an armed server until it dies of it."""
    await server.ready()
    victim = await order_of(shop, story, server)
    with pytest.raises(aiohttp.ClientError):
        await shop.send(victim.order, server)
    await server.died()
    return victim


def arm(installation: Installation, point: str, story: Story, **settings: object) -> Server:
    """A server that will die at the point of the story. It runs no jobs, so that nothing but the story reaches it."""
    return installation.start(jobs=False, failpoints=story.failpoint(point), **settings)


async def assert_done(shop: Shop, psp_url: str, victim: Victim, answer: Answer) -> None:
    """The answer is the truth: what the PSP holds, once."""
    story = victim.story
    assert answer.status == 200, answer.raw
    payment_id = answer.body["payment_id"]
    if story.verb == "refund":
        assert answer.body["status"] == "succeeded"
        assert answer.body["amount"] == {"value": AMOUNT, "currency": "USD"}
    else:
        assert answer.body["status"] == story.status
    payment = await shop.get(f"/payments/{payment_id}")
    assert payment["status"] == story.status
    assert payment["pending_operation"] is None
    charge = await charge_of(psp_url, payment)
    assert charge is not None
    assert payment["psp_reference"] == charge["id"]
    for name, moved in story.moved.items():
        assert payment["amounts"][name] == charge[f"amount_{name}"] == moved
    assert len((await shop.get(f"/payments?order_id={victim.order_id()}"))["data"]) == 1
