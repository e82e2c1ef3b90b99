"""What came of it all, read back through the API: payments, ledger, and the outcomes that nobody knew for a while."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Final

import msgspec

from bezant.demo.shop import Json, Shop

_AT_ONCE: Final = 8


class UnknownOutcome(msgspec.Struct, frozen=True):
    """An attempt that the PSP did not answer for, and how its outcome was found out."""

    attempt_id: str
    operation: str
    what_happened: str
    resolved_by: str
    outcome: str
    took_s: float


class Tally(msgspec.Struct, frozen=True):
    """The state of the merchant's world."""

    payments: list[Json]
    accounts: list[Json]
    totals: dict[str, dict[str, int]]
    unknown: list[UnknownOutcome]
    decided_by_webhook: int

    @property
    def states(self) -> dict[str, int]:
        """How many payments are in each state."""
        return dict(Counter(str(payment["status"]) for payment in self.payments).most_common())


async def take(shop: Shop) -> Tally:
    """Read everything back."""
    payments = await shop.every("/payments")
    slots = asyncio.Semaphore(_AT_ONCE)

    async def timeline_of(payment: Json) -> list[Json]:
        async with slots:
            return list((await shop.get(f"/payments/{payment['payment_id']}/timeline"))["data"])

    timelines = await asyncio.gather(*map(timeline_of, payments))
    attempts = [item for timeline in timelines for item in timeline if item["type"] == "attempt"]
    trial = await shop.get("/ledger/trial_balance")
    return Tally(
        payments=payments,
        accounts=trial["accounts"],
        totals=trial["totals"],
        unknown=[outcome for timeline in timelines for outcome in unknown_outcomes(timeline)],
        decided_by_webhook=sum(attempt["data"]["told_by"] is not None for attempt in attempts),
    )


def unknown_outcomes(timeline: Sequence[Json]) -> list[UnknownOutcome]:
    """The attempts in a payment's timeline whose first call was not answered as a PSP answers."""
    found: list[UnknownOutcome] = []
    notices = {item["id"]: item for item in timeline if item["type"] == "notice"}
    for attempt in (item for item in timeline if item["type"] == "attempt"):
        calls = [item for item in timeline if item["type"] == "psp_request" and item["attempt_id"] == attempt["id"]]
        what_happened = _fault(calls[0]) if calls else _without_a_call(attempt)
        if what_happened is None:
            continue
        notice = notices.get(attempt["data"]["told_by"])
        found.append(
            UnknownOutcome(
                attempt_id=attempt["id"],
                operation=attempt["name"],
                what_happened=what_happened,
                resolved_by="told by webhook" if notice else _resolved_by(calls),
                outcome=attempt["status"],
                took_s=_seconds([*calls[:1], notice] if notice else calls),
            )
        )
    return found


def median_ms(durations_s: Sequence[float]) -> float:
    """The median in milliseconds."""
    return round(median(durations_s) * 1000, 1) if durations_s else 0.0


def _without_a_call(attempt: Json) -> str | None:
    """What was done in the PSP's dashboard was never called for."""
    return None if attempt["data"]["origin"] == "psp" else "process ended before the call"


def _fault(call: Json) -> str | None:
    status = call["data"]["status"]
    if status is None:
        return "no answer in time" if call.get("detail") in ("TimeoutError", "CancelledError") else "connection lost"
    if status >= 500 or status == 429:
        return f"answered {status}"
    return None


def _resolved_by(calls: Sequence[Json]) -> str:
    """The last usable call is what the outcome was read from."""
    if any(call["name"].startswith("POST") for call in calls[1:]):
        return "sent again, same key"
    return "looked up at the PSP" if len(calls) > 1 else "not yet"


def _seconds(items: Sequence[Json]) -> float:
    if not items:
        return 0.0
    first, last = (datetime.fromisoformat(item["at"]) for item in (items[0], items[-1]))
    return round(max(0.0, (last - first).total_seconds()), 1)
