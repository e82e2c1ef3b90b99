"""What the PSP believes, what the payments say and what the ledger booked must be the same. Read past Bezant's code."""

import asyncio
import json
import urllib.request
from collections import Counter
from collections.abc import Iterable
from typing import Any

import asyncpg

from tests.support.verification import assert_verified_async
from tests.support.waiting import wait_until_async

Fact = dict[str, Any]

_MONEY = "authorized_minor, captured_minor, refunded_minor, released_minor, capturing_minor, refunding_minor"
_PAYMENTS = f"SELECT id, status, amount_minor, psp, gateway_ref, {_MONEY} FROM payments"
_ATTEMPTS = """
SELECT 'att_' || replace(id::text, '-', '') AS reference, payment_id, operation, status, moved_minor, captured_minor
FROM payment_attempts
"""
_UNRESOLVED = "SELECT count(*) FROM payment_attempts WHERE status NOT IN ('approved', 'declined')"
_JOURNALS = """
SELECT j.payment_id, j.kind, j.correlation_id, sum(e.debit_minor) AS moved_minor,
    sum(e.debit_minor - e.credit_minor) FILTER (WHERE e.account_code = 'customer_funds_in_transit') AS in_transit_minor
FROM ledger_journals AS j INNER JOIN ledger_entries AS e ON e.journal_id = j.id AND e.merchant_id = j.merchant_id
GROUP BY j.id, j.payment_id, j.kind, j.correlation_id
"""
_REFUNDS = "SELECT payment_id, sum(amount_minor) FROM refunds WHERE status = 'succeeded' GROUP BY payment_id"


def charges(psp_url: str) -> list[Fact]:
    """What the simulator holds."""
    with urllib.request.urlopen(f"{psp_url}/_simulator/charges", timeout=10) as response:
        return json.load(response)["data"]


async def charge_of(psp_url: str, payment: dict[str, Any]) -> Fact | None:
    """The one charge that the simulator holds for a payment, None where it has never heard of it."""
    found = [c for c in await asyncio.to_thread(charges, psp_url) if c["payment_reference"] == payment["order_id"]]
    assert len(found) <= 1, found
    return found[0] if found else None


async def wait_until_resolved(database_url: str, timeout_s: float = 60.0) -> None:
    """Wait until no attempt is without its outcome."""
    connection = await asyncpg.connect(database_url)
    try:

        async def none_is_left() -> bool:
            return await connection.fetchval(_UNRESOLVED) == 0

        await wait_until_async(none_is_left, timeout_s, "the outcome of every attempt")
    finally:
        await connection.close()


async def assert_agreement(database_url: str, psp_url: str) -> None:
    """Every charge, payment, attempt and journal tells one story, each effect is there once, and `verify` agrees."""
    await assert_verified_async(database_url)
    facts = await asyncio.to_thread(charges, psp_url)
    connection = await asyncpg.connect(database_url)
    try:
        payments = await connection.fetch(_PAYMENTS)
        attempts = await connection.fetch(_ATTEMPTS)
        journals = await connection.fetch(_JOURNALS)
        refunds: dict[Any, int] = {row[0]: row[1] for row in await connection.fetch(_REFUNDS)}
        events = await connection.fetch("SELECT payment_id, type, data FROM outbox_events")
    finally:
        await connection.close()
    owner = {a["reference"]: a["payment_id"] for a in attempts}
    strangers = [c["id"] for c in facts if c["reference"] not in owner]
    assert not strangers, f"the PSP holds charges that no attempt explains: {strangers}"
    for payment in payments:
        own = payment["id"]
        of_psp = [c for c in facts if owner[c["reference"]] == own]
        _same_amounts(payment, of_psp)
        _same_operations([a for a in attempts if a["payment_id"] == own], of_psp)
        booked = [j for j in journals if j["payment_id"] == own]
        in_transit = sum(j["in_transit_minor"] or 0 for j in booked)
        assert in_transit == payment["captured_minor"] - payment["refunded_minor"], (dict(payment), booked)
        names = Counter((j["kind"], j["correlation_id"]) for j in booked)
        assert all(n == 1 for n in names.values()), names
        captures = [j for j in booked if j["kind"] == "capture"]
        assert sum(j["moved_minor"] for j in captures) == payment["captured_minor"], (dict(payment), booked)
        assert refunds.get(own, 0) == payment["refunded_minor"], dict(payment)
        said = Counter(e["type"] for e in events if e["payment_id"] == own)
        assert said["payment.captured"] == len(captures), said
        assert said["payment.created"] == 1, said


def _same_amounts(payment: Any, of_psp: list[Fact]) -> None:
    sums = {
        name: sum(c[f"amount_{name}"] for c in of_psp) for name in ("authorized", "captured", "refunded", "released")
    }
    held = {name: payment[f"{name}_minor"] for name in sums}
    assert held == sums, f"payment {dict(payment)} but the PSP holds {of_psp}"
    assert payment["capturing_minor"] == payment["refunding_minor"] == 0, dict(payment)
    taken = [c for c in of_psp if c["amount_authorized"]]
    assert len(taken) <= 1, f"charged more than once: {taken}"
    if taken:
        assert payment["gateway_ref"] == taken[0]["id"]


def _same_operations(attempts: Iterable[Any], of_psp: list[Fact]) -> None:
    """Each approved attempt is one success at the PSP, and the other way round."""
    done = Counter(
        (o["kind"], o["reference"])
        for c in of_psp
        for o in c["operations"]
        if o["status"] == "succeeded" and not (o["kind"] == "capture" and o["reference"] == c["reference"])
    )
    approved = Counter((a["operation"], a["reference"]) for a in attempts if a["status"] == "approved")
    assert done == approved, f"the PSP did {done}, but we hold {approved}"
