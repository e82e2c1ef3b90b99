"""What the PSP itself believes, asked behind Bezant's back, and where that differs from what Bezant shows."""

from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec

from bezant.demo.desk import STRIPE_HEADERS
from bezant.demo.provider import PspName
from bezant.demo.shop import Json


class Entry(msgspec.Struct, frozen=True):
    """A charge in the PSP's books."""

    reference: str
    order_id: str | None
    currency: str
    captured: int
    refunded: int


async def differences(
    session: aiohttp.ClientSession, psp: PspName, psp_url: str, payments: Sequence[Json]
) -> list[str]:
    """Where the PSP's books and these payments do not agree, one sentence each."""
    if psp == "simulator":
        orders = {payment["order_id"] for payment in payments}
        entries = [entry for entry in await _simulator(session, psp_url) if entry.order_id in orders]
    else:
        entries = await _stripe(session, psp_url)
    return compare(payments, entries)


def compare(payments: Sequence[Json], entries: Sequence[Entry]) -> list[str]:
    """One charge per payment that moved money, with the same amounts; no charge that moved money without a payment."""
    wrong: list[str] = []
    by_reference = {entry.reference: entry for entry in entries}
    for payment in payments:
        entry = by_reference.pop(payment["psp_reference"], None)
        ours = (payment["amount"]["currency"], payment["amounts"]["captured"], payment["amounts"]["refunded"])
        theirs = (entry.currency, entry.captured, entry.refunded) if entry else (ours[0], 0, 0)
        if ours != theirs:
            wrong.append(f"{payment['payment_id']}: the PSP holds {theirs}, Bezant {ours} (captured, refunded)")
    wrong += [
        f"{entry.reference}: the PSP took money that no payment shows"
        for entry in by_reference.values()
        if entry.captured
    ]
    return wrong


async def _simulator(session: aiohttp.ClientSession, psp_url: str) -> list[Entry]:
    charges = await _get(session, f"{psp_url}/_simulator/charges", {})
    return [
        Entry(c["id"], c["payment_reference"], c["currency"], c["amount_captured"], c["amount_refunded"])
        for c in charges["data"]
    ]


async def _stripe(session: aiohttp.ClientSession, psp_url: str) -> list[Entry]:
    """Every PaymentIntent of localstripe, which began empty."""
    entries: list[Entry] = []
    after = ""
    while True:
        page = await _get(session, f"{psp_url}/v1/payment_intents?limit=100{after}", STRIPE_HEADERS)
        entries += [_stripe_entry(intent) for intent in page["data"]]
        if not page["has_more"]:
            return entries
        after = f"&starting_after={page['data'][-1]['id']}"


def _stripe_entry(intent: Json) -> Entry:
    """localstripe books what a partial capture leaves as a refund that belongs to no PaymentIntent."""
    charge: Json = intent["latest_charge"] or {}
    refunds: list[Json] = charge["refunds"]["data"] if charge else []
    released = sum(refund["amount"] for refund in refunds if refund["payment_intent"] is None)
    refunded = sum(refund["amount"] for refund in refunds if refund["payment_intent"] is not None)
    is_taken = bool(charge) and charge["captured"] and charge["status"] == "succeeded"
    return Entry(
        intent["id"], None, intent["currency"].upper(), charge["amount"] - released if is_taken else 0, refunded
    )


async def _get(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> Any:
    async with session.get(url, headers=headers, raise_for_status=True) as response:
        return await response.json()
