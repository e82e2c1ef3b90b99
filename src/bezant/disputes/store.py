"""Every SQL statement about disputes, their rounds, what is done about them and what is brought against them.

Columns are the fields of the structs in `states.py`, in their order. Everything of a dispute is written under the lock
of its payment.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from operator import attrgetter
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Connection, Transaction
from bezant.disputes.cases import Break
from bezant.disputes.states import Action, Dispute, Evidence, Policy, Round

Key = tuple[UUID, UUID]
"""(id, merchant id)."""

Name = tuple[str, UUID | None, str]
"""(PSP, account, the PSP's name of the dispute)."""

_TYPES = {
    "uuid": {"id", "merchant_id", "payment_id", "dispute_id", "psp_account_id"},
    "smallint": {"round", "reminded_days"},
    "integer": {"checks"},
    "boolean": {"overturned"},
    "jsonb": {"failure"},
}


def _type_of(column: str) -> str:
    for name, columns in _TYPES.items():
        if column in columns:
            return name
    if column.endswith("_minor"):
        return "bigint"
    return "timestamptz" if column.endswith(("_at", "_until")) else "text"


def _columns(struct: type[msgspec.Struct], alias: str) -> str:
    return ", ".join(f"{alias}.{field}" for field in struct.__struct_fields__)


def _upsert(table: str, struct: type[msgspec.Struct], key: Sequence[str], fixed: Sequence[str]) -> str:
    """Rows that are new or changed; `key` names a row, `fixed` never changes."""
    columns = struct.__struct_fields__
    parameters = ", ".join(f"${n}::{_type_of(column)}[]" for n, column in enumerate(columns, 1))
    sets = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in key and c not in fixed)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({parameters}) "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {sets}"
    )


_EVIDENCE = ", ".join(
    "octet_length(e.content) AS size" if field == "size" else f"e.{field}" for field in Evidence.__struct_fields__
)

_KNOWN = """
SELECT d.psp, d.psp_account_id, d.psp_reference, d.payment_id, d.merchant_id
FROM unnest($1::text[], $2::uuid[], $3::text[]) AS wanted (psp, psp_account_id, psp_reference)
INNER JOIN disputes AS d ON d.psp = wanted.psp AND d.psp_reference = wanted.psp_reference
    AND d.psp_account_id IS NOT DISTINCT FROM wanted.psp_account_id
"""
_OF_PAYMENTS = f"""
SELECT {_columns(Dispute, "d")} FROM unnest($1::uuid[], $2::uuid[]) AS wanted (id, merchant_id)
INNER JOIN disputes AS d ON d.payment_id = wanted.id AND d.merchant_id = wanted.merchant_id
ORDER BY d.created_at, d.id
"""
_ROUNDS = f"""
SELECT {_columns(Round, "r")} FROM unnest($1::uuid[], $2::uuid[]) AS wanted (id, merchant_id)
INNER JOIN dispute_rounds AS r ON r.dispute_id = wanted.id AND r.merchant_id = wanted.merchant_id
ORDER BY r.dispute_id, r.round
"""
_ACTIONS = f"""
SELECT {_columns(Action, "a")} FROM dispute_actions AS a
WHERE a.dispute_id = $1 AND a.merchant_id = $2 ORDER BY a.created_at, a.id
"""
_EVIDENCE_OF = (
    f"SELECT {_EVIDENCE} FROM dispute_evidence AS e WHERE e.dispute_id = $1 AND e.merchant_id = $2 ORDER BY e.field"
)
_CONTENT_OF = """
SELECT e.id, e.field, e.words, e.file_name, e.content_type, e.content FROM dispute_evidence AS e
WHERE e.dispute_id = $1 AND e.merchant_id = $2 AND e.round = $3 ORDER BY e.field
"""
_DISPUTE = (
    f"SELECT {_columns(Dispute, 'd')} FROM disputes AS d WHERE d.id = $1 AND ($2::uuid IS NULL OR d.merchant_id = $2)"
)
_POLICIES = """
SELECT m.id, m.dispute_loss_policy = 'platform', m.dispute_fee_policy = 'merchant' FROM merchants AS m
WHERE m.id = ANY($1::uuid[])
"""
_SET_POLICY = """
UPDATE merchants SET dispute_loss_policy = coalesce($2, dispute_loss_policy),
    dispute_fee_policy = coalesce($3, dispute_fee_policy), updated_at = now()
WHERE id = $1 RETURNING dispute_loss_policy, dispute_fee_policy
"""
_PAGE = f"""
SELECT {_columns(Dispute, "d")} FROM disputes AS d
WHERE ($1::uuid IS NULL OR d.merchant_id = $1) AND ($2::uuid IS NULL OR d.id < $2)
    AND ($3::uuid IS NULL OR d.payment_id = $3) AND ($4::text IS NULL OR d.status = $4)
    AND ($5::text IS NULL OR d.stage = $5)
ORDER BY d.id DESC LIMIT $6
"""
_UPSERT_DISPUTES = _upsert(
    "disputes",
    Dispute,
    ("id", "merchant_id"),
    ("payment_id", "psp", "psp_account_id", "psp_reference", "created_at"),
)
_UPSERT_ROUNDS = _upsert(
    "dispute_rounds",
    Round,
    ("dispute_id", "merchant_id", "round"),
    ("payment_id", "amount_minor", "currency", "held_minor", "opened_at"),
)
_UPSERT_ACTIONS = _upsert(
    "dispute_actions",
    Action,
    ("id", "merchant_id"),
    ("payment_id", "dispute_id", "round", "action", "created_at"),
)
_INSERT_BREAKS = """
INSERT INTO breaks (id, merchant_id, payment_id, kind, detail, subject, psp, currency, at_risk_minor, created_at)
SELECT b.*, $10 FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::bigint[]) AS b
ON CONFLICT DO NOTHING
"""
_PUT_EVIDENCE = """
INSERT INTO dispute_evidence AS e (id, merchant_id, payment_id, dispute_id, round, field, words, file_name,
    content_type, content, sha256, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, sha256($10), $11)
ON CONFLICT (dispute_id, merchant_id, round, field) DO UPDATE
SET words = excluded.words, file_name = excluded.file_name, content_type = excluded.content_type,
    content = excluded.content, sha256 = excluded.sha256, created_at = excluded.created_at
"""
_REMOVE_EVIDENCE = """
DELETE FROM dispute_evidence WHERE dispute_id = $1 AND merchant_id = $2 AND round = $3 AND field = ANY($4::text[])
"""
_SUBMITTED = """
UPDATE dispute_evidence SET submitted_by = $4 WHERE dispute_id = $1 AND merchant_id = $2 AND round = $3
"""
# Who looks puts the next look off first: nobody else looks meanwhile, and if this process dies it is due again.
_TAKE_DUE = f"""
UPDATE disputes AS d SET next_check_at = now() + $2::interval
FROM (
    SELECT w.id, w.merchant_id FROM disputes AS w WHERE w.next_check_at <= now() AND w.psp = ANY($1::text[])
    ORDER BY w.next_check_at LIMIT $3 FOR UPDATE SKIP LOCKED
) AS due
WHERE d.id = due.id AND d.merchant_id = due.merchant_id
RETURNING {_columns(Dispute, "d")}
"""
_TAKE_UP = f"""
UPDATE dispute_actions AS a SET lease_until = now() + $1::interval, next_check_at = now() + $1::interval
FROM (
    SELECT w.id, w.merchant_id FROM dispute_actions AS w WHERE w.next_check_at <= now() AND w.lease_until <= now()
    ORDER BY w.next_check_at LIMIT $2 FOR UPDATE SKIP LOCKED
) AS due
WHERE a.id = due.id AND a.merchant_id = due.merchant_id
RETURNING {_columns(Action, "a")}
"""
_TO_REMIND = """
SELECT d.payment_id, d.merchant_id FROM disputes AS d
WHERE d.status IN ('inquiry', 'needs_response') AND d.evidence_due_at BETWEEN now() AND now() + $1::interval
    AND (d.reminded_days IS NULL OR EXISTS (
        SELECT 1 FROM unnest($2::integer[]) AS day
        WHERE day < d.reminded_days AND d.evidence_due_at <= now() + make_interval(days => day)
    ))
ORDER BY d.evidence_due_at LIMIT $3
"""


async def known(connection: Connection, names: Iterable[Name]) -> dict[Name, Key]:
    """The payments (id, merchant) of the disputes that are known under these names."""
    wanted = list(names)
    rows = await connection.fetch(_KNOWN, [n[0] for n in wanted], [n[1] for n in wanted], [n[2] for n in wanted])
    return {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}


async def of_payments(connection: Connection, keys: Iterable[Key]) -> list[Dispute]:
    """All disputes of payments, oldest first."""
    return [Dispute(*row) for row in await connection.fetch(_OF_PAYMENTS, *_split(keys))]


async def rounds(connection: Connection, keys: Iterable[Key]) -> dict[UUID, list[Round]]:
    """The rounds of disputes, oldest first, by dispute."""
    found: dict[UUID, list[Round]] = {}
    for row in await connection.fetch(_ROUNDS, *_split(keys)):
        found.setdefault(row[0], []).append(Round(*row))
    return found


async def dispute(connection: Connection, merchant_id: UUID | None, dispute_id: UUID) -> Dispute | None:
    """One dispute of the merchant, or of anybody."""
    row = await connection.fetchrow(_DISPUTE, dispute_id, merchant_id)
    return None if row is None else Dispute(*row)


async def actions(connection: Connection, key: Key) -> list[Action]:
    """What was done about a dispute, oldest first."""
    return [Action(*row) for row in await connection.fetch(_ACTIONS, *key)]


async def evidence(connection: Connection, key: Key) -> list[Evidence]:
    """What was brought against a dispute, without the documents' content."""
    return [Evidence(*row) for row in await connection.fetch(_EVIDENCE_OF, *key)]


async def contents(
    connection: Connection, key: Key, number: int
) -> list[tuple[UUID, str, str | None, str | None, str | None, bytes | None]]:
    """(id, field, words, file name, type, content) of what was brought in a round."""
    return [tuple(row) for row in await connection.fetch(_CONTENT_OF, *key, number)]


async def page(
    connection: Connection,
    merchant_id: UUID | None,
    *,
    before: UUID | None,
    payment_id: UUID | None,
    status: str | None,
    stage: str | None,
    limit: int,
) -> list[Dispute]:
    """Disputes of a merchant, or of all, those of the newest payments first."""
    rows = await connection.fetch(_PAGE, merchant_id, before, payment_id, status, stage, limit)
    return [Dispute(*row) for row in rows]


async def policies(connection: Connection, merchant_ids: Iterable[UUID]) -> dict[UUID, Policy]:
    """Who bears what, by merchant."""
    rows = await connection.fetch(_POLICIES, list(set(merchant_ids)))
    return {row[0]: Policy(row[1], row[2]) for row in rows}


async def set_policy(
    connection: Connection, merchant_id: UUID, loss: str | None, fee: str | None
) -> tuple[str, str] | None:
    """Change who bears what of a merchant's disputes; what is said of both then, None where there is no merchant."""
    row = await connection.fetchrow(_SET_POLICY, merchant_id, loss, fee)
    return None if row is None else (row[0], row[1])


async def write_disputes(transaction: Transaction, rows: Iterable[Dispute]) -> None:
    """New and changed disputes."""
    await _write(transaction, _UPSERT_DISPUTES, sorted(rows, key=attrgetter("id")), Dispute)


async def write_rounds(transaction: Transaction, rows: Iterable[Round]) -> None:
    """New and changed rounds. Those that are decided come first: one is open at a time."""
    in_order = sorted(rows, key=attrgetter("dispute_id", "round"))
    await _write(transaction, _UPSERT_ROUNDS, [r for r in in_order if r.outcome != "open"], Round)
    await _write(transaction, _UPSERT_ROUNDS, [r for r in in_order if r.outcome == "open"], Round)


async def write_actions(transaction: Transaction, rows: Iterable[Action]) -> None:
    """New and changed actions."""
    await _write(transaction, _UPSERT_ACTIONS, sorted(rows, key=attrgetter("id")), Action)


async def insert_breaks(transaction: Transaction, breaks: Sequence[Break]) -> None:
    """Mismatches for people; one that is known already stays."""
    if not breaks:
        return
    subjects = [ids.show(ids.DISPUTE, b.dispute_id) for b in breaks]
    await transaction.connection.execute(
        _INSERT_BREAKS,
        [ids.derived(b.payment_id, s, b.kind, b.name) for b, s in zip(breaks, subjects, strict=True)],
        [b.merchant_id for b in breaks],
        [b.payment_id for b in breaks],
        [b.kind for b in breaks],
        [b.detail for b in breaks],
        subjects,
        [b.psp for b in breaks],
        [b.currency for b in breaks],
        [b.at_risk_minor for b in breaks],
        transaction.now,
    )


async def put_evidence(
    transaction: Transaction,
    of: Dispute,
    field: str,
    *,
    words: str | None = None,
    file: tuple[str, str, bytes] | None = None,
) -> None:
    """Words, or a document (name, type, content), in place of what was brought under this field before."""
    name, content_type, content = file or (None, None, None)
    await transaction.connection.execute(
        _PUT_EVIDENCE,
        ids.child_of(of.payment_id),
        of.merchant_id,
        of.payment_id,
        of.id,
        of.round,
        field,
        words,
        name,
        content_type,
        content,
        transaction.now,
    )


async def remove_evidence(transaction: Transaction, of: Dispute, fields: Sequence[str]) -> None:
    """Take back what was brought under these fields."""
    await transaction.connection.execute(_REMOVE_EVIDENCE, of.id, of.merchant_id, of.round, fields)


async def mark_submitted(transaction: Transaction, action: Action) -> None:
    """What was brought in this round went to the PSP with this action."""
    await transaction.connection.execute(_SUBMITTED, action.dispute_id, action.merchant_id, action.round, action.id)


async def take_due(connection: Connection, psps: Sequence[str], lease: timedelta, limit: int) -> list[Dispute]:
    """Disputes about which their PSP, one of these, is to be asked now, each by one asker at a time."""
    return [Dispute(*row) for row in await connection.fetch(_TAKE_DUE, psps, lease, limit)]


async def take_up(connection: Connection, lease: timedelta, limit: int) -> list[Action]:
    """Actions whose outcome nobody knows and nobody looks for, each by one taker at a time."""
    return [Action(*row) for row in await connection.fetch(_TAKE_UP, lease, limit)]


async def to_remind(connection: Connection, days_before: Sequence[int], limit: int) -> set[Key]:
    """Payments (id, merchant) with a dispute of which a reminder is due."""
    within = timedelta(days=max(days_before))
    return {(row[0], row[1]) for row in await connection.fetch(_TO_REMIND, within, days_before, limit)}


def _split(keys: Iterable[Key]) -> tuple[list[UUID], list[UUID]]:
    ordered = sorted(keys)
    return [key[0] for key in ordered], [key[1] for key in ordered]


async def _write(
    transaction: Transaction, statement: str, rows: Sequence[msgspec.Struct], struct: type[msgspec.Struct]
) -> None:
    if rows:
        columns: Mapping[str, list[object]] = {
            name: [getattr(row, name) for row in rows] for name in struct.__struct_fields__
        }
        await transaction.connection.execute(statement, *columns.values())
