"""Every SQL statement that reads what we believe that a PSP holds."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Connection, Database, Row
from bezant.payments.states import Attempt, Payment
from bezant.psp.contract import Holding
from bezant.verify.psp.rules import Place

_NOW = "SELECT now()"
_PLACES = """
SELECT DISTINCT a.psp, p.psp_account_id FROM payment_attempts AS a
INNER JOIN payments AS p ON p.id = a.payment_id AND p.merchant_id = a.merchant_id
"""

# What a charge must amount to: its own attempt's, and under the payment's reference what came after.
_BELIEFS = """
SELECT a.id, a.payment_id, a.status, a.currency, coalesce(a.moved_minor, 0), a.captured_minor
        + coalesce(sum(b.moved_minor) FILTER (WHERE p.gateway_ref = w.psp_reference AND b.operation = 'capture'
            AND b.status = 'approved'), 0)::bigint,
    CASE WHEN p.gateway_ref = w.psp_reference THEN p.refunded_minor ELSE 0 END,
    a.psp_reference, p.updated_at, bool_or(b.status NOT IN ('approved', 'declined'))
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[]) AS w (id, first_id, last_id, psp_reference)
INNER JOIN payment_attempts AS a ON a.id = w.id
INNER JOIN payments AS p ON p.id = a.payment_id AND p.merchant_id = a.merchant_id
INNER JOIN payment_attempts AS b ON b.id BETWEEN w.first_id AND w.last_id AND b.merchant_id = a.merchant_id
    AND b.payment_id = a.payment_id
WHERE a.operation = 'authorize' AND a.psp = $5
GROUP BY a.id, a.payment_id, a.status, a.currency, a.moved_minor, a.captured_minor, a.psp_reference, p.gateway_ref,
    p.refunded_minor, p.updated_at, w.psp_reference
"""

_AUTHORIZED = """
SELECT p.id, p.gateway_ref FROM payments AS p
WHERE p.psp = $1 AND p.psp_account_id IS NOT DISTINCT FROM $5 AND p.authorized_minor > 0 AND p.updated_at < $2
    AND ($3::uuid IS NULL OR p.id > $3)
ORDER BY p.id LIMIT $4
"""

_NEWEST = f"""
SELECT {", ".join(f"p.{field}" for field in Payment.__struct_fields__)} FROM payments AS p
WHERE p.psp = $1 AND p.psp_account_id IS NOT DISTINCT FROM $3 AND p.authorized_minor > 0 ORDER BY p.id DESC LIMIT $2
"""

_APPROVED = f"""
SELECT {", ".join(f"a.{field}" for field in Attempt.__struct_fields__)}
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS w (payment_id, first_id, last_id)
INNER JOIN payment_attempts AS a ON a.id BETWEEN w.first_id AND w.last_id AND a.payment_id = w.payment_id
WHERE a.status = 'approved' AND a.operation <> 'cancel'
"""

_UPDATED_AT = "SELECT updated_at FROM payments WHERE id = $1"


async def database_time(database: Database) -> datetime:
    """The database's time."""
    async with database.connection() as connection:
        return await connection.fetchval(_NOW)


async def places(database: Database) -> list[Place]:
    """The accounts that were ever asked for something."""
    async with database.connection() as connection:
        return sorted((Place(*row) for row in await connection.fetch(_PLACES)), key=str)


async def beliefs(database: Database, psp: str, attempts: Sequence[tuple[UUID, Holding]]) -> Sequence[Row]:
    """What we believe of charges, each given with the id of the attempt that it names, in the order of `Belief`."""
    ranges = [ids.family_range(attempt_id) for attempt_id, _ in attempts]
    async with database.connection() as connection:
        return await connection.fetch(
            _BELIEFS,
            [attempt_id for attempt_id, _ in attempts],
            [first for first, _ in ranges],
            [last for _, last in ranges],
            [holding.psp_reference for _, holding in attempts],
            psp,
        )


async def authorized(
    database: Database, place: Place, before: datetime, after: UUID | None, limit: int
) -> Sequence[Row]:
    """A page of (payment, psp reference) of what was authorized and has not changed since `before`."""
    async with database.connection() as connection:
        return await connection.fetch(_AUTHORIZED, place.psp, before, after, limit, place.account_id)


async def newest(database: Database, place: Place, limit: int) -> list[tuple[Payment, list[Attempt]]]:
    """The newest authorized payments with their approved authorizations, captures and refunds."""
    async with database.connection() as connection:
        rows = await connection.fetch(_NEWEST, place.psp, limit, place.account_id)
        payments = [Payment(*row) for row in rows]
        attempts = await _approved(connection, payments)
    return [(payment, attempts.get(payment.id, [])) for payment in payments]


async def _approved(connection: Connection, payments: Sequence[Payment]) -> dict[UUID, list[Attempt]]:
    ranges = [ids.family_range(payment.id) for payment in payments]
    found: dict[UUID, list[Attempt]] = {}
    for row in await connection.fetch(
        _APPROVED, [p.id for p in payments], [first for first, _ in ranges], [last for _, last in ranges]
    ):
        attempt = Attempt(*row)
        found.setdefault(attempt.payment_id, []).append(attempt)
    return found


async def has_changed(database: Database, payment: Payment) -> bool:
    """Whether the payment was changed since it was read."""
    async with database.connection() as connection:
        return await connection.fetchval(_UPDATED_AT, payment.id) != payment.updated_at
