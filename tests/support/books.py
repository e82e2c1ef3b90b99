"""Rows of merchants' books, written by hand in SQL: lawful ones to begin with, then whatever an attacker types."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg

AMOUNT_MINOR = 100

AMOUNTS: Mapping[str, Mapping[str, int]] = {
    "pending": {},
    "failed": {},
    "canceled": {},
    "authorized": {"authorized_minor": 100},
    "captured": {"authorized_minor": 100, "captured_minor": 100},
    "settled": {"authorized_minor": 100, "captured_minor": 100, "settled_minor": 100},
    "refunding": {"authorized_minor": 100, "captured_minor": 100, "refunding_minor": 40},
    "refunded": {"authorized_minor": 100, "captured_minor": 100, "refunded_minor": 100},
    "chargeback_open": {
        "authorized_minor": 100,
        "captured_minor": 100,
        "disputed_minor": 40,
        "disputed_open_minor": 40,
    },
    "chargeback_lost": {"authorized_minor": 100, "captured_minor": 100, "disputed_minor": 40},
}
"""Amounts with which each status agrees."""

_MOVED = (
    "authorized_minor",
    "captured_minor",
    "refunded_minor",
    "disputed_minor",
    "disputed_open_minor",
    "settled_minor",
    "refunding_minor",
)
_ROAD = {
    "authorized": "pending",
    "captured": "pending",
    "failed": "pending",
    "canceled": "pending",
    "settled": "captured",
    "refunding": "captured",
    "refunded": "captured",
    "chargeback_open": "captured",
    "chargeback_lost": "captured",
}
_PAYMENT = """
INSERT INTO payments (id, merchant_id, order_id, amount_minor, currency, status, capture_strategy, psp,
    idempotency_key, metadata, details, fee_basis_points, fee_fixed_minor, event_tx, event_position, created_at,
    updated_at)
VALUES ($1, $2, 'order', 100, 'USD', 'pending', 'manual', 'simulator', 'key', '{}', '{}', 290, 30, 0, 0, now(), now())
"""
_REFUND = """
INSERT INTO refunds (id, merchant_id, payment_id, amount_minor, currency, status, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, 'pending', now(), now())
"""
_DISPUTE = """
INSERT INTO disputes (id, merchant_id, payment_id, psp, psp_reference, stage, status, round, amount_minor, currency,
    created_at, updated_at)
VALUES ($1, $2, $3, 'simulator', concat('dp_', $1::uuid), 'chargeback', $4, 1, $5, 'USD', now(), now())
"""
_ROUND = """
INSERT INTO dispute_rounds (dispute_id, merchant_id, payment_id, round, amount_minor, currency, held_minor, outcome,
    opened_at, decided_at)
VALUES ($1, $2, $3, 1, $4, 'USD', $4, $5, now(), $6)
"""
_ATTEMPT = """
INSERT INTO payment_attempts (id, merchant_id, payment_id, refund_id, operation, origin, amount_minor, currency,
    payment_method, captures, final, keeps_open, psp, status, lease_until, execute_until, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, 'client', 100, 'USD', 'pm', false, true, false, 'simulator', 'unknown', now(), now(),
    now(), now())
"""


class Books:
    """Two merchants, and payments as they are needed. Every statement runs in the connection's open transaction."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.connection = connection
        self.merchant_id = uuid4()
        self.other_id = uuid4()

    @classmethod
    async def open(cls, connection: "asyncpg.Connection[asyncpg.Record]") -> "Books":
        """Books with two merchants."""
        books = cls(connection)
        for merchant_id in (books.merchant_id, books.other_id):
            await books.run(
                "INSERT INTO merchants (id, name, currency, psp) VALUES ($1, 'A shop', 'USD', 'simulator')", merchant_id
            )
        return books

    async def run(self, query: str, *parameters: object) -> str:
        """One statement."""
        return await self.connection.execute(query, *parameters)

    async def refused(self, query: str, *parameters: object) -> str | None:
        """The name of the constraint that refuses a statement, at the latest at commit."""
        try:
            async with self.connection.transaction():
                await self.connection.execute(query, *parameters)
                await self.at_commit()
        except asyncpg.IntegrityConstraintViolationError as refusal:
            return refusal.constraint_name
        raise AssertionError(f"not refused: {query}")

    async def at_commit(self) -> None:
        """Have checked now what would be checked at commit."""
        await self.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        await self.connection.execute("SET CONSTRAINTS ALL DEFERRED")

    async def payment(self, status: str = "pending", merchant_id: UUID | None = None) -> UUID:
        """A payment of 100 USD that came lawfully to its status."""
        payment_id, merchant_id = _new_id(), merchant_id or self.merchant_id
        await self.run(_PAYMENT, payment_id, merchant_id)
        road = [status]
        while road[0] in _ROAD:
            road.insert(0, _ROAD[road[0]])
        for step in road[1:]:
            moved = AMOUNTS[step]
            if refunded_minor := moved.get("refunding_minor", 0) + moved.get("refunded_minor", 0):
                refund_id = await self.refund(payment_id, refunded_minor, merchant_id)
                if step == "refunded":
                    await self.run("UPDATE refunds SET status = 'succeeded' WHERE id = $1", refund_id)
            if held_minor := moved.get("disputed_minor", 0):
                outcome = "open" if moved.get("disputed_open_minor") else "lost"
                await self.dispute(payment_id, held_minor, outcome, merchant_id)
            await self.run(*step_to(payment_id, step))
        await self.at_commit()
        return payment_id

    async def dispute(self, payment_id: UUID, amount_minor: int, outcome: str, merchant_id: UUID | None = None) -> UUID:
        """A dispute of one round, without what the payment says of it."""
        dispute_id, merchant_id = _new_id(), merchant_id or self.merchant_id
        status = "needs_response" if outcome == "open" else outcome
        await self.run(_DISPUTE, dispute_id, merchant_id, payment_id, status, amount_minor)
        decided_at = None if outcome == "open" else datetime.now(UTC)
        await self.run(_ROUND, dispute_id, merchant_id, payment_id, amount_minor, outcome, decided_at)
        return dispute_id

    async def refund(
        self, payment_id: UUID, amount_minor: int, merchant_id: UUID | None = None, currency: str = "USD"
    ) -> UUID:
        """A pending refund row, without the payment's reservation."""
        refund_id = _new_id()
        await self.run(_REFUND, refund_id, merchant_id or self.merchant_id, payment_id, amount_minor, currency)
        return refund_id

    async def attempt(self, payment_id: UUID, operation: str = "authorize", refund_id: UUID | None = None) -> UUID:
        """An unresolved attempt."""
        attempt_id = _new_id(payment_id)
        await self.run(_ATTEMPT, attempt_id, self.merchant_id, payment_id, refund_id, operation)
        return attempt_id

    async def journal(self, payment_id: UUID, correlation_id: str = "fact") -> UUID:
        """A balanced journal of 100 with two entries."""
        statement, *parameters = posting(self.merchant_id, payment_id, correlation_id=correlation_id)
        await self.run(statement, *parameters)
        return parameters[0]


def step_to(payment_id: UUID, status: str) -> tuple[Any, ...]:
    """The statement that gives a payment a status and amounts with which it agrees."""
    amounts = [AMOUNTS[status].get(name, 0) for name in _MOVED]
    sets = ", ".join(f"{name} = ${n}" for n, name in enumerate(_MOVED, 3))
    return (f"UPDATE payments SET status = $2, {sets} WHERE id = $1", payment_id, status, *amounts)


def posting(
    merchant_id: UUID,
    payment_id: UUID | None,
    lines: Sequence[tuple[int, int]] = ((100, 0), (0, 100)),
    *,
    correlation_id: str = "fact",
    kind: str = "capture",
    journal_id: UUID | None = None,
    entry_count: int | None = None,
) -> tuple[Any, ...]:
    """The statement of a journal with its entries (debit, credit), and its parameters; first the journal's id."""
    if journal_id is None:
        journal_id = uuid4() if payment_id is None else derived_id(merchant_id, payment_id, kind, correlation_id)
    entries = ", ".join(
        f"($1, $2, {n}, '{'cash' if n % 2 else 'suspense'}', {debit}, {credit})"
        for n, (debit, credit) in enumerate(lines, 1)
    )
    return (
        f"""WITH journal AS (
            INSERT INTO ledger_journals (id, merchant_id, payment_id, kind, correlation_id, currency, entry_count, tx,
                position, created_at, effective_at)
            VALUES ($1, $2, $3, $4, $5, 'USD', $6, 1, 1, now(), now())
        )
        INSERT INTO ledger_entries (journal_id, merchant_id, line, account_code, debit_minor, credit_minor)
        SELECT e.j::uuid, e.m::uuid, e.line, e.code, e.debit, e.credit
        FROM (VALUES {entries}) AS e (j, m, line, code, debit, credit)""",
        journal_id,
        merchant_id,
        payment_id,
        kind,
        correlation_id,
        len(lines) if entry_count is None else entry_count,
    )


def derived_id(merchant_id: UUID, payment_id: UUID, kind: str, correlation_id: str) -> UUID:
    """A journal's id as the schema wants it, worked out independently of the product."""
    text = "\x1f".join((merchant_id.hex, payment_id.hex, kind, correlation_id))
    digest = bytearray(payment_id.bytes[:6] + hashlib.sha256(text.encode()).digest()[:10])
    digest[6] = 0x70 | digest[6] & 0x0F
    digest[8] = 0x80 | digest[8] & 0x3F
    return UUID(bytes=bytes(digest))


def _new_id(of: UUID | None = None) -> UUID:
    """A UUIDv7; in the family of another one, which is of the same millisecond."""
    random = bytearray(uuid4().bytes)
    random[:6] = int(datetime.now(UTC).timestamp() * 1000).to_bytes(6) if of is None else of.bytes[:6]
    random[6] = 0x70 | random[6] & 0x0F
    return UUID(bytes=bytes(random))
