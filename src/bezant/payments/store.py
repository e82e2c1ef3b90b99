"""Every SQL statement about payments, refunds, attempts and breaks, one per table and purpose, over whole batches.

Columns are the fields of the structs in `states.py`, in their order. Rows are written in key order, so that two
processes cannot deadlock.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from bezant.base.db import Connection, Row, Transaction
from bezant.payments.states import Attempt, Payment, Refund

Key = tuple[UUID, UUID]
"""(id, merchant id): what names a row of a merchant."""

_Struct = TypeVar("_Struct", bound=msgspec.Struct)

_TYPES = {
    "uuid": {"id", "merchant_id", "payment_id", "refund_id", "psp_account_id", "told_by"},
    "jsonb": {"metadata", "details", "failure", "next_action"},
    "boolean": {"captures", "final", "keeps_open"},
    "integer": {"fee_basis_points", "checks", "event_position"},
    "smallint": {"tries"},
    "bigint": {"event_tx"},
}


def _type_of(column: str) -> str:
    for name, columns in _TYPES.items():
        if column in columns:
            return name
    if column.endswith("_minor"):
        return "bigint"
    return "timestamptz" if column.endswith(("_at", "_until")) else "text"


def _parameters(columns: Sequence[str]) -> str:
    return ", ".join(f"${n}::{_type_of(column)}[]" for n, column in enumerate(columns, 1))


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({_parameters(columns)})"


def _update(table: str, columns: Sequence[str]) -> str:
    sets = ", ".join(f"{c} = n.{c}" for c in columns if c not in ("id", "merchant_id"))
    return (
        f"UPDATE {table} AS t SET {sets} FROM unnest({_parameters(columns)}) AS n ({', '.join(columns)}) "
        "WHERE t.id = n.id AND t.merchant_id = n.merchant_id"
    )


def _columns(struct: type[msgspec.Struct], alias: str) -> str:
    return ", ".join(f"{alias}.{field}" for field in struct.__struct_fields__)


_PAYMENT_CHANGES = (
    "id merchant_id status payment_method gateway_ref authorized_minor captured_minor refunded_minor "
    "disputed_minor released_minor capturing_minor refunding_minor excess_captured_minor "
    "excess_refunded_minor settled_minor disputed_open_minor platform_fee_minor tries failure next_action action_at "
    "failed_at canceled_at deadline_at event_tx event_position updated_at"
).split()
_PAYMENT_SETTLED = "id merchant_id status settled_minor event_tx event_position updated_at".split()
# What a row begins with; the rest are the table's defaults, which spares the hot path half of its parameters.
_PAYMENT_BIRTH = (
    "id merchant_id order_id amount_minor currency status capture_strategy payment_method psp "
    "psp_account_id idempotency_key metadata "
    "details fee_basis_points fee_fixed_minor tries event_tx event_position created_at updated_at"
).split()
_ATTEMPT_BIRTH = (
    "id merchant_id payment_id refund_id operation origin amount_minor currency payment_method captures final "
    "keeps_open psp status lease_until execute_until next_check_at created_at updated_at"
).split()
_REFUND_CHANGES = "id merchant_id status psp_reference failure updated_at".split()
_ATTEMPT_CHANGES = (
    "id merchant_id psp_reference status captured_minor moved_minor failure detail lease_until execute_until "
    "next_check_at checks stuck_at told_by updated_at"
).split()

_WANTED = "FROM unnest($1::uuid[], $2::uuid[]) AS wanted (id, merchant_id)"

_LOCK_PAYMENTS = f"""
SELECT {_columns(Payment, "p")} {_WANTED}
INNER JOIN payments AS p ON p.id = wanted.id AND p.merchant_id = wanted.merchant_id
ORDER BY p.id FOR NO KEY UPDATE OF p
"""
_READ_PAYMENTS = f"""
SELECT {_columns(Payment, "p")} {_WANTED}
INNER JOIN payments AS p ON p.id = wanted.id AND p.merchant_id = wanted.merchant_id
"""
_ATTEMPTS_BY_ID = f"""
SELECT {_columns(Attempt, "a")} {_WANTED}
INNER JOIN payment_attempts AS a ON a.id = wanted.id AND a.merchant_id = wanted.merchant_id
"""
# Every attempt of a payment has its time bits, so this is a range of the primary key.
_ATTEMPTS_OF = f"""
SELECT {_columns(Attempt, "a")}
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) AS wanted (payment_id, merchant_id, first_id, last_id)
INNER JOIN payment_attempts AS a ON a.id BETWEEN wanted.first_id AND wanted.last_id
    AND a.merchant_id = wanted.merchant_id AND a.payment_id = wanted.payment_id
    AND a.status IN ('sending', 'pending', 'unknown', 'superseded')
"""
_ALL_ATTEMPTS_OF = f"""
SELECT {_columns(Attempt, "a")}
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) AS wanted (payment_id, merchant_id, first_id, last_id)
INNER JOIN payment_attempts AS a ON a.id BETWEEN wanted.first_id AND wanted.last_id
    AND a.merchant_id = wanted.merchant_id AND a.payment_id = wanted.payment_id
ORDER BY a.created_at, a.id
"""
# A notice knows no merchant: whose it is follows from what it names, and is checked against the account it came from.
_PAYMENTS_BY_ATTEMPT = """
SELECT a.id, a.payment_id, a.merchant_id FROM unnest($1::uuid[]) AS wanted (id)
INNER JOIN payment_attempts AS a ON a.id = wanted.id
"""
_PAYMENTS_BY_NAME = """
SELECT a.psp, a.psp_reference, a.payment_id, a.merchant_id FROM unnest($1::text[]) AS wanted (name)
INNER JOIN payment_attempts AS a ON a.psp_reference = wanted.name
"""
_REFUNDS_BY_ID = f"""
SELECT {_columns(Refund, "r")} {_WANTED}
INNER JOIN refunds AS r ON r.id = wanted.id AND r.merchant_id = wanted.merchant_id
"""
_REFUNDS_OF = (
    f"SELECT {_columns(Refund, 'r')} FROM refunds AS r WHERE r.payment_id = $2 AND r.merchant_id = $1 "
    "ORDER BY r.created_at, r.id"
)

_INSERT_PAYMENTS = _insert("payments", _PAYMENT_BIRTH)
_UPDATE_PAYMENTS = _update("payments", _PAYMENT_CHANGES)
_UPDATE_SETTLED = _update("payments", _PAYMENT_SETTLED)
_INSERT_REFUNDS = _insert("refunds", Refund.__struct_fields__)
_UPDATE_REFUNDS = _update("refunds", _REFUND_CHANGES)
_INSERT_ATTEMPTS = _insert("payment_attempts", _ATTEMPT_BIRTH)
_INSERT_FACTS = _insert("payment_attempts", Attempt.__struct_fields__)
_UPDATE_ATTEMPTS = _update("payment_attempts", _ATTEMPT_CHANGES)
_INSERT_BREAKS = """
INSERT INTO breaks (id, merchant_id, payment_id, attempt_id, kind, detail, created_at)
SELECT b.*, $7 FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[]) AS b
ON CONFLICT DO NOTHING
"""

# One taker at a time: the row lock, and the lease that the taker writes.
_TAKE_UP = f"""
UPDATE payment_attempts AS t SET lease_until = clock_timestamp() + $3, updated_at = clock_timestamp(),
    execute_until = greatest(t.execute_until, clock_timestamp() + $4::interval)
FROM (
    SELECT a.id, a.merchant_id, a.lease_until FROM payment_attempts AS a
    WHERE a.id = $1 AND a.merchant_id = $2 AND a.status IN ('sending', 'pending', 'unknown')
        AND a.lease_until < clock_timestamp() AND ($5::interval IS NULL OR a.updated_at < clock_timestamp() - $5)
    FOR UPDATE SKIP LOCKED
) AS free
WHERE t.id = free.id AND t.merchant_id = free.merchant_id
RETURNING {_columns(Attempt, "t")}, free.lease_until, clock_timestamp()
"""
# The lease names the very claim: whoever took the attempt up since then keeps it.
_WITHDRAW = """
UPDATE payment_attempts AS a
SET status = 'unknown', execute_until = clock_timestamp(), lease_until = clock_timestamp(),
    next_check_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE a.id = $1 AND a.merchant_id = $2 AND a.status = 'sending' AND a.lease_until = $3
"""
_DUE = """
SELECT a.id, a.merchant_id FROM payment_attempts AS a
WHERE a.status IN ('pending', 'unknown') AND a.psp = $1 AND a.next_check_at <= now() AND a.lease_until < now()
ORDER BY a.next_check_at LIMIT $2
"""
# The first condition is that of the index of unresolved attempts, which is small.
_ABANDONED = """
SELECT a.id, a.merchant_id FROM payment_attempts AS a
WHERE a.status IN ('sending', 'pending', 'unknown') AND a.status = 'sending' AND a.psp = $1 AND a.lease_until < now()
LIMIT $2
"""
_OVERDUE = "SELECT p.id, p.merchant_id FROM payments AS p WHERE p.deadline_at <= now() ORDER BY p.deadline_at LIMIT $1"
_STUCK = f"""
SELECT {_columns(Attempt, "a")} FROM payment_attempts AS a
WHERE a.status IN ('sending', 'pending', 'unknown')
    AND (a.stuck_at IS NOT NULL OR (a.status <> 'pending' AND a.created_at < now() - interval '1 hour'))
    AND ($1::uuid IS NULL OR a.merchant_id = $1)
ORDER BY a.created_at LIMIT $2
"""
_MERCHANT_OF_ATTEMPT = "SELECT a.merchant_id FROM payment_attempts AS a WHERE a.id = $1"
_REFERENCE_TAKEN = """
SELECT EXISTS (
    SELECT 1 FROM payment_attempts AS a WHERE a.psp_reference = $1 AND a.psp = $2 AND a.operation = $3 AND a.id <> $4
)
"""
_LIST = f"""
SELECT {_columns(Payment, "p")} FROM payments AS p
WHERE p.merchant_id = $1 AND ($2::uuid IS NULL OR p.id < $2)
    AND ($3::text IS NULL OR p.order_id = $3) AND ($4::text IS NULL OR p.status = $4)
    AND ($5::text IS NULL OR p.id IN (
        SELECT a.payment_id FROM payment_attempts AS a
        WHERE a.psp_reference = $5 AND a.merchant_id = $1 AND a.operation = 'authorize'
    ))
    AND ($6::timestamptz IS NULL OR p.created_at >= $6) AND ($7::timestamptz IS NULL OR p.created_at < $7)
ORDER BY p.id DESC LIMIT $8
"""
_FAMILY_ATTEMPTS = f"""
SELECT {_columns(Attempt, "a")} FROM payment_attempts AS a
WHERE a.merchant_id = $1 AND a.id BETWEEN $2 AND $3 AND a.payment_id = $4 ORDER BY a.created_at, a.id
"""
_FAMILY_BREAKS = """
SELECT b.id, b.attempt_id, b.kind, b.detail, b.created_at FROM breaks AS b
WHERE b.merchant_id = $1 AND b.id BETWEEN $2 AND $3 AND b.payment_id = $4 ORDER BY b.created_at, b.id
"""


async def lock_payments(transaction: Transaction, keys: Iterable[Key]) -> dict[UUID, Payment]:
    """The payments, locked in the order of their ids until the transaction ends."""
    return {row[0]: Payment(*row) for row in await transaction.connection.fetch(_LOCK_PAYMENTS, *_split(keys))}


async def payments(connection: Connection, keys: Iterable[Key]) -> dict[UUID, Payment]:
    """The payments as they are, unlocked."""
    return {row[0]: Payment(*row) for row in await connection.fetch(_READ_PAYMENTS, *_split(keys))}


async def attempts(connection: Connection, keys: Iterable[Key]) -> dict[UUID, Attempt]:
    """Attempts by id."""
    return {row[0]: Attempt(*row) for row in await connection.fetch(_ATTEMPTS_BY_ID, *_split(keys))}


async def open_attempts(connection: Connection, keys: Sequence[tuple[UUID, UUID, UUID, UUID]]) -> list[Attempt]:
    """Attempts without an outcome of payments, each given as (payment, merchant, first and last id of its family)."""
    columns = [list(column) for column in zip(*keys, strict=True)]
    return [Attempt(*row) for row in await connection.fetch(_ATTEMPTS_OF, *columns)]


async def all_attempts(connection: Connection, keys: Sequence[tuple[UUID, UUID, UUID, UUID]]) -> list[Attempt]:
    """Every attempt of payments, oldest first, each given as (payment, merchant, first and last id of its family)."""
    columns = [list(column) for column in zip(*keys, strict=True)]
    return [Attempt(*row) for row in await connection.fetch(_ALL_ATTEMPTS_OF, *columns)]


async def payments_by_attempt(connection: Connection, attempt_ids: Sequence[UUID]) -> dict[UUID, Key]:
    """Whose payments these attempts are of, by attempt."""
    return {row[0]: (row[1], row[2]) for row in await connection.fetch(_PAYMENTS_BY_ATTEMPT, attempt_ids)}


async def payments_by_name(connection: Connection, names: Sequence[str]) -> dict[tuple[str, str], set[Key]]:
    """The payments of which something goes by these names at a PSP, by PSP and name."""
    found: dict[tuple[str, str], set[Key]] = {}
    for psp, name, payment_id, merchant_id in await connection.fetch(_PAYMENTS_BY_NAME, names):
        found.setdefault((psp, name), set()).add((payment_id, merchant_id))
    return found


async def refunds(connection: Connection, keys: Iterable[Key]) -> dict[UUID, Refund]:
    """Refunds by id."""
    return {row[0]: Refund(*row) for row in await connection.fetch(_REFUNDS_BY_ID, *_split(keys))}


async def refunds_of(connection: Connection, merchant_id: UUID, payment_id: UUID) -> list[Refund]:
    """All refunds of a payment, oldest first."""
    return [Refund(*row) for row in await connection.fetch(_REFUNDS_OF, merchant_id, payment_id)]


async def insert_payments(transaction: Transaction, rows: Iterable[Payment]) -> None:
    """New payments."""
    await _write(transaction, _INSERT_PAYMENTS, rows, _PAYMENT_BIRTH)


async def update_payments(transaction: Transaction, rows: Iterable[Payment], *, only_settled: bool = False) -> None:
    """The only function that changes a payment's status.

    `only_settled`: nothing but what is settled has changed, of which there are many thousands at a time.
    """
    if only_settled:
        await _write(transaction, _UPDATE_SETTLED, rows, _PAYMENT_SETTLED)
    else:
        await _write(transaction, _UPDATE_PAYMENTS, rows, _PAYMENT_CHANGES)


async def insert_refunds(transaction: Transaction, rows: Iterable[Refund]) -> None:
    """New refunds."""
    await _write(transaction, _INSERT_REFUNDS, rows, Refund.__struct_fields__)


async def update_refunds(transaction: Transaction, rows: Iterable[Refund]) -> None:
    """Changed refunds."""
    await _write(transaction, _UPDATE_REFUNDS, rows, _REFUND_CHANGES)


async def insert_attempts(transaction: Transaction, rows: Iterable[Attempt]) -> None:
    """New attempts."""
    await _write(transaction, _INSERT_ATTEMPTS, rows, _ATTEMPT_BIRTH)


async def insert_facts(transaction: Transaction, rows: Iterable[Attempt]) -> None:
    """What a PSP did without us: attempts that are born with their outcome."""
    await _write(transaction, _INSERT_FACTS, rows, Attempt.__struct_fields__)


async def update_attempts(transaction: Transaction, rows: Iterable[Attempt]) -> None:
    """Changed attempts."""
    await _write(transaction, _UPDATE_ATTEMPTS, rows, _ATTEMPT_CHANGES)


async def insert_breaks(transaction: Transaction, rows: Sequence[Row]) -> None:
    """Breaks as (id, merchant, payment, attempt, kind, detail); one that is known already stays."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    await transaction.connection.execute(_INSERT_BREAKS, *columns, transaction.now)


async def take_up(
    connection: Connection, key: Key, lease: timedelta, window: timedelta | None, quiet: timedelta | None
) -> tuple[Attempt, datetime, datetime] | None:
    """Take the lease of an unresolved attempt whose lease is dead; None where it is resolved or somebody else has it.

    `window` gives it a new time to be executed in; `quiet` leaves alone what was looked at within that time. Also
    returns when the former lease ended, and the database's time.
    """
    row = await connection.fetchrow(_TAKE_UP, *key, lease, window, quiet)
    return None if row is None else (Attempt(*row[:-2]), row[-2], row[-1])


async def withdraw(connection: Connection, key: Key, lease_until: datetime) -> None:
    """Nobody may send the attempt any more, unless its client asks again; what became of it is to be found out."""
    await connection.execute(_WITHDRAW, *key, lease_until)


async def due(connection: Connection, psp: str, limit: int) -> list[Key]:
    """Unresolved attempts at a PSP whose next check is due."""
    return [(row[0], row[1]) for row in await connection.fetch(_DUE, psp, limit)]


async def abandoned(connection: Connection, psp: str, limit: int) -> list[Key]:
    """Attempts that were being sent to a PSP when their process died."""
    return [(row[0], row[1]) for row in await connection.fetch(_ABANDONED, psp, limit)]


async def overdue(connection: Connection, limit: int) -> list[Key]:
    """Payments whose deadline has passed."""
    return [(row[0], row[1]) for row in await connection.fetch(_OVERDUE, limit)]


async def stuck(connection: Connection, merchant_id: UUID | None, limit: int) -> list[Attempt]:
    """Attempts that wait for a person, oldest first; of all merchants where None is given."""
    return [Attempt(*row) for row in await connection.fetch(_STUCK, merchant_id, limit)]


async def merchant_of_attempt(connection: Connection, attempt_id: UUID) -> UUID | None:
    """Whose an attempt is, for an operator, who acts for all merchants."""
    return await connection.fetchval(_MERCHANT_OF_ATTEMPT, attempt_id)


async def reference_is_taken(connection: Connection, attempt: Attempt, psp_reference: str) -> bool:
    """Whether another attempt at the same operation, anybody's, goes by this name at the PSP."""
    return await connection.fetchval(_REFERENCE_TAKEN, psp_reference, attempt.psp, attempt.operation, attempt.id)


async def page(
    connection: Connection,
    merchant_id: UUID,
    *,
    before: UUID | None,
    order_id: str | None,
    status: str | None,
    psp_reference: str | None,
    created_gte: datetime | None,
    created_lt: datetime | None,
    limit: int,
) -> list[Payment]:
    """A page of a merchant's payments, newest first."""
    rows = await connection.fetch(
        _LIST, merchant_id, before, order_id, status, psp_reference, created_gte, created_lt, limit
    )
    return [Payment(*row) for row in rows]


async def attempts_of(
    connection: Connection, merchant_id: UUID, id_range: tuple[UUID, UUID], payment_id: UUID
) -> list[Attempt]:
    """Every attempt of a payment, in order."""
    return [Attempt(*row) for row in await connection.fetch(_FAMILY_ATTEMPTS, merchant_id, *id_range, payment_id)]


async def breaks_of(
    connection: Connection, merchant_id: UUID, id_range: tuple[UUID, UUID], payment_id: UUID
) -> Sequence[Row]:
    """Every break of a payment, in order."""
    return await connection.fetch(_FAMILY_BREAKS, merchant_id, *id_range, payment_id)


def _split(keys: Iterable[Key]) -> tuple[list[UUID], list[UUID]]:
    pairs = list(keys)
    return [key for key, _ in pairs], [merchant_id for _, merchant_id in pairs]


async def _write(transaction: Transaction, query: str, rows: Iterable[_Struct], columns: Sequence[str]) -> None:
    in_key_order: list[Any] = sorted(rows, key=attrgetter("id"))
    if in_key_order:
        await transaction.connection.execute(query, *[list(map(attrgetter(c), in_key_order)) for c in columns])
