"""How much was told by webhook in both directions, as the API's metrics, its lists and the shop's mailbox say."""

import re
from collections.abc import Sequence
from statistics import median
from typing import Final

import msgspec

from bezant.demo.shop import Json
from bezant.demo.visit import Street

_RECEIVED: Final = re.compile(r'^bezant_inbox_events_total\{psp="(\w+)",result="(\w+)"\} ([0-9.]+)$', re.MULTILINE)


class FromPsp(msgspec.Struct, frozen=True):
    """What the PSP told. `decided`: operations whose outcome a webhook brought, before any answer or look-up.

    `out_of_order`: events of a payment that came after a later one.
    """

    events: int
    requests: int
    repeats_dropped: int
    decided: int
    out_of_order: int


class ToShop(msgspec.Struct, frozen=True):
    """What the shop was told. `failed_on_purpose`: by the shop's own faults; `waited_s`: from commit to shop."""

    events: int
    deliveries: int
    tries: int
    repeats_dropped: int
    failed_on_purpose: dict[str, int]
    out_of_order: int
    forged: int
    median_waited_s: float
    slowest_waited_s: float


class Traffic(msgspec.Struct, frozen=True):
    """Both directions."""

    from_psp: FromPsp
    to_shop: ToShop


async def traffic(street: Street, api_url: str, psp: str, *, decided: int, deliveries: int) -> Traffic:
    """The figures of a demo that has ended."""
    async with street.web.get(f"{api_url}/metrics", raise_for_status=True) as response:
        received = {
            match[2]: round(float(match[3])) for match in _RECEIVED.finditer(await response.text()) if match[1] == psp
        }
    told = await street.shop.every("/inbox_events", psp=psp)
    mailbox, orders = street.mailbox, street.mailbox.orders
    waited_s = orders.waited_s.values()
    return Traffic(
        FromPsp(
            events=received.get("accepted", 0),
            requests=sum(received.values()),
            repeats_dropped=received.get("duplicate", 0),
            decided=decided,
            out_of_order=_late(told),
        ),
        ToShop(
            events=len(waited_s),
            deliveries=deliveries,
            tries=mailbox.tries,
            repeats_dropped=orders.repeats,
            failed_on_purpose=dict(mailbox.trouble.counts),
            out_of_order=len(orders.out_of_order),
            forged=mailbox.forged,
            median_waited_s=round(median(waited_s), 2) if waited_s else 0.0,
            slowest_waited_s=round(max(waited_s, default=0.0), 1),
        ),
    )


def _late(told: Sequence[Json]) -> int:
    """How many events came after one of the same payment that happened later."""
    latest: dict[str, str] = {}
    late = 0
    for event in sorted(told, key=lambda event: event["received_at"]):
        payment_id, at = event["payment_id"], event["occurred_at"]
        late += at < latest.get(payment_id, "")
        latest[payment_id] = max(at, latest.get(payment_id, ""))
    return late
