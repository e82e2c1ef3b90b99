"""Waits until all that was said has arrived: what the PSP tells in Bezant, and Bezant's events in the shop."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from rich.progress import Progress

from bezant.demo.desk import Desk
from bezant.demo.mailbox import Mailbox
from bezant.demo.shop import Json, Shop

_WITHIN_S: Final = 90.0
_POLL_S: Final = 0.25
_EVENTS_PAGE: Final = "1000"
_NAMED_MAX: Final = 5


async def bezant_was_told(shop: Shop, desk: Desk, payments: Sequence[Json], progress: Progress) -> list[str]:
    """Wait until the PSP has brought its webhooks and each payment that took money was named by one; what is amiss."""
    bar = progress.add_task("webhooks from the PSP", total=None)
    expected = {payment["payment_id"] for payment in payments if payment["amounts"]["captured"] and _is_told(payment)}
    give_up_at = time.monotonic() + _WITHIN_S
    while True:
        untold = await desk.untold()
        named = {event["payment_id"] for event in await shop.every("/inbox_events", status="applied")}
        missing = expected - named
        progress.update(bar, total=len(expected), completed=len(expected) - len(missing))
        if not untold and not missing:
            return []
        if time.monotonic() >= give_up_at:
            return _named("no webhook of the PSP was applied to", missing) or [f"the PSP still holds {untold} webhooks"]
        await asyncio.sleep(_POLL_S)


async def shop_has_heard(shop: Shop, mailbox: Mailbox, progress: Progress) -> tuple[list[Json], list[str]]:
    """Wait until every event in /events is with the shop and no delivery waits; the deliveries, and what is amiss."""
    bar = progress.add_task("webhooks to the shop", total=None)
    path, heard = f"/webhook_endpoints/{mailbox.endpoint_id}/deliveries", mailbox.orders.waited_s
    events: list[Json] = []
    give_up_at = time.monotonic() + _WITHIN_S
    while True:
        events += await _events_after(shop, events)
        missing = [event["event_id"] for event in events if event["event_id"] not in heard]
        progress.update(bar, total=len(events), completed=len(events) - len(missing))
        waits = (await shop.get(path, status="pending", limit="1"))["data"]
        if (not missing and not waits) or time.monotonic() >= give_up_at:
            break
        await asyncio.sleep(_POLL_S)
    deliveries = await shop.every(path)
    return deliveries, [
        *_named("events that never reached the shop:", missing),
        *_named("webhooks of events that /events does not have:", heard.keys() - {e["event_id"] for e in events}),
        *_named("payments whose events came in another order than in /events:", _reordered(events, mailbox)),
        *mailbox.orders.out_of_order[:_NAMED_MAX],
        *([f"{mailbox.forged} webhooks were not signed with the shop's secret"] if mailbox.forged else []),
        *_named(
            "deliveries that are not settled:",
            (d["webhook_delivery_id"] for d in deliveries if d["status"] != "delivered"),
        ),
    ]


async def _events_after(shop: Shop, known: Sequence[Json]) -> list[Json]:
    new: list[Json] = []
    while True:
        last = new or known
        query = {"after": last[-1]["event_id"]} if last else {}
        page = await shop.get("/events", limit=_EVENTS_PAGE, **query)
        new += page["data"]
        if not page["has_more"]:
            return new


def _is_told(payment: Json) -> bool:
    """Not where the simulator was asked to keep it to itself."""
    return "webhook_never" not in payment["metadata"].get("simulate", "")


def _reordered(events: Iterable[Json], mailbox: Mailbox) -> list[str]:
    in_api: defaultdict[str, list[str]] = defaultdict(list)
    for event in events:
        if event["payment_id"] is not None:
            in_api[event["payment_id"]].append(event["event_id"])
    return [payment_id for payment_id, ids in in_api.items() if mailbox.orders.events_of(payment_id) != ids]


def _named(what: str, ids: Iterable[str]) -> list[str]:
    """One sentence that names some of them."""
    found = sorted(ids)
    more = f" and {len(found) - _NAMED_MAX} more" if len(found) > _NAMED_MAX else ""
    return [f"{what} {', '.join(found[:_NAMED_MAX])}{more}"] if found else []
