"""The shop's own books, kept from webhooks alone: what it knows of each order without ever asking.

Each event has its effect once, known by its id, however often it comes; and those of one payment must come in order.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec

from bezant.demo.shop import PATIENCE_S, Json, StoryFailed


class Event(msgspec.Struct, frozen=True):
    """What the shop reads of a CloudEvent. `sequence` sorts the events of one subject."""

    id: str
    type: str
    subject: str
    sequence: str
    time: datetime
    data: Json


class Order(msgspec.Struct):
    """What the shop knows of one payment. `refunded` is its own sum over the refunds that it was told of."""

    status: str = "unheard of"
    captured: int = 0
    refunded: int = 0
    sequence: str = ""
    events: list[str] = []


class Orders:
    """All orders. `waited_s`: how long each event took from its commit to here."""

    def __init__(self) -> None:
        self.waited_s: dict[str, float] = {}
        self.repeats = 0
        self.out_of_order: list[str] = []
        self._orders: defaultdict[str, Order] = defaultdict(Order)
        self._refunds: set[str] = set()
        self._heard: defaultdict[tuple[str, str], asyncio.Event] = defaultdict(asyncio.Event)

    def learn(self, event: Event, now: datetime) -> None:
        """Take an event in, unless it was before."""
        if event.id in self.waited_s:
            self.repeats += 1
            return
        self.waited_s[event.id] = (now - event.time).total_seconds()
        order = self._orders[event.subject]
        if event.sequence <= order.sequence:
            self.out_of_order.append(f"{event.id} ({event.type}) of {event.subject} came after a later one")
        order.sequence = event.sequence
        order.events.append(event.id)
        if "amounts" in event.data:
            order.status, order.captured = event.data["status"], event.data["amounts"]["captured"]
        if "refund" in event.data:
            self._refund(order, event)
        self._heard[event.subject, event.type].set()

    async def heard(self, payment_id: str, event_type: str) -> None:
        """Wait until an event of this type has come for the payment. Raises StoryFailed if it never does."""
        try:
            await asyncio.wait_for(self._heard[payment_id, event_type].wait(), PATIENCE_S)
        except TimeoutError:
            raise StoryFailed(f"no webhook {event_type} of {payment_id} within {PATIENCE_S:g} s") from None

    def events_of(self, payment_id: str) -> list[str]:
        """The ids of the payment's events in the order in which they came first."""
        return self._orders[payment_id].events

    def differences(self, payments: Sequence[Json]) -> list[str]:
        """Where these books and the payments of the API do not agree, one sentence each."""
        wrong: list[str] = []
        for payment in payments:
            order, amounts = self._orders[payment["payment_id"]], payment["amounts"]
            ours = (order.status, order.captured, order.refunded)
            theirs = (payment["status"], amounts["captured"], amounts["refunded"])
            if ours != theirs:
                wrong.append(f"{payment['payment_id']}: by its webhooks {ours}, by the API {theirs}")
        return wrong

    def _refund(self, order: Order, event: Event) -> None:
        """Money that went back to the customer; what had gone and came back is the shop's again."""
        refund = event.data["refund"]
        if event.type == "refund.succeeded":
            order.refunded += refund["amount"]["value"]
            self._refunds.add(refund["refund_id"])
        elif event.type == "refund.failed" and refund["refund_id"] in self._refunds:
            order.refunded -= refund["amount"]["value"]
