"""Every SQL statement about files of PSPs and banks."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from bezant.base.db import Connection, Row, Transaction
from bezant.reconciliation.files.states import NewFile, Quarantined, ReportFile

_FILE = """
SELECT f.id, f.source, f.psp, f.psp_account_id, a.name, f.format, f.name, f.sha256, f.size_bytes, f.state, f.refusal,
    f.refused_line, f.refused_field, f.lines, f.repeated, f.quarantined, f.summary, f.uploaded_by, f.created_at,
    f.loaded_at, f.content_of
FROM report_files AS f LEFT JOIN psp_accounts AS a ON a.id = f.psp_account_id
"""

# Receiving

_BEGIN = """
INSERT INTO report_files (id, source, psp, psp_account_id, format, name, size_bytes, state, uploaded_by, lease_owner,
    lease_until, created_at)
VALUES ($1, $2, $3, $4, $5, $6, 0, 'receiving', $7, $8, clock_timestamp() + $9::interval, now())
"""
_ADD_PART = """
WITH held AS (
    UPDATE report_files SET lease_until = clock_timestamp() + $5::interval, size_bytes = $6
    WHERE id = $1 AND lease_owner = $2 AND state = 'receiving' RETURNING id
)
INSERT INTO report_file_parts (file_id, part, body) SELECT held.id, $3::integer, $4::bytea FROM held
RETURNING part
"""
_SAME = "SELECT id FROM report_files WHERE sha256 = $1 AND state <> 'refused' ORDER BY id LIMIT 1"
_RECEIVED = """
UPDATE report_files
SET state = 'received', sha256 = $3, size_bytes = $4, lease_owner = null, lease_until = null
WHERE id = $1 AND lease_owner = $2 AND state = 'receiving' RETURNING id
"""
_DISCARD_PARTS = "DELETE FROM report_file_parts WHERE file_id = $1"
_DISCARD = "DELETE FROM report_files WHERE id = $1 AND state = 'receiving'"
_LOCK_MINE = "SELECT id FROM report_files WHERE id = $1 AND lease_owner = $2 AND state = 'receiving' FOR UPDATE"
_LOCK_ABANDONED = """
SELECT id FROM report_files WHERE state = 'receiving' AND lease_until < clock_timestamp()
ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""

_READ_AGAIN = """
INSERT INTO report_files (id, source, psp, psp_account_id, format, name, sha256, size_bytes, state, uploaded_by,
    content_of, created_at)
SELECT $2, f.source, f.psp, f.psp_account_id, coalesce($3, f.format), f.name, f.sha256, f.size_bytes, 'received', $4,
    coalesce(f.content_of, f.id), now()
FROM report_files AS f WHERE f.id = $1
"""

# Loading

# What a dead process has left stands before everything else of its account.
_TAKE = """
UPDATE report_files SET state = 'loading', lease_owner = $1, lease_until = clock_timestamp() + $2::interval
WHERE id = (
    SELECT f.id FROM report_files AS f
    WHERE (f.state = 'received' OR (f.state = 'loading' AND f.lease_until < clock_timestamp()))
        AND ($3::uuid IS NULL OR f.id = $3)
        AND NOT EXISTS (
            SELECT 1 FROM report_files AS o
            WHERE o.state = 'loading' AND o.id <> f.id AND o.source = f.source
                AND (o.psp, o.psp_account_id) IS NOT DISTINCT FROM (f.psp, f.psp_account_id)
        )
    ORDER BY f.created_at, f.id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id
"""
_HOLD = """
UPDATE report_files SET lease_until = clock_timestamp() + $3::interval
WHERE id = $1 AND lease_owner = $2 AND state = 'loading' RETURNING true
"""
_PART = "SELECT body FROM report_file_parts WHERE file_id = $1 AND part = $2"
_QUARANTINE = """
INSERT INTO quarantined_lines (file_id, line, reason, field, content)
SELECT $1::uuid, q.* FROM unnest($2::integer[], $3::text[], $4::text[], $5::text[]) AS q
ON CONFLICT (file_id, line) DO NOTHING
"""
_FINISH = """
UPDATE report_files
SET state = $3, refusal = $4, refused_line = $5, refused_field = $6, format = $7, lines = $8, repeated = $9,
    quarantined = $10, summary = $11, loaded_at = CASE WHEN $3 = 'loaded' THEN now() END,
    lease_owner = null, lease_until = null
WHERE id = $1 AND lease_owner = $2 AND state = 'loading' RETURNING true
"""
_TAKE_LINES_BACK = """
WITH gone AS (
    DELETE FROM open_lines WHERE line_id = ANY(ARRAY(SELECT line_id FROM open_lines WHERE file_id = $1 LIMIT $2))
    RETURNING line_id
), lines AS (
    DELETE FROM psp_lines AS l USING gone WHERE l.id = gone.line_id
)
SELECT count(*) FROM gone
"""
_TAKE_BANK_LINES_BACK = """
WITH gone AS (
    DELETE FROM open_bank_lines
    WHERE line_id = ANY(ARRAY(SELECT line_id FROM open_bank_lines WHERE file_id = $1 LIMIT $2))
    RETURNING line_id
), lines AS (
    DELETE FROM bank_lines AS l USING gone WHERE l.id = gone.line_id
)
SELECT count(*) FROM gone
"""

# Lines of PSPs

_ADD_LINES = """
WITH added AS (
    INSERT INTO psp_lines (id, file_id, psp, psp_account_id, line, line_reference, kind, currency, gross_minor,
        fee_minor, net_minor, presented_minor, presented_currency, reference, psp_reference, operation_reference,
        payout_id, occurred_at, description)
    SELECT n.id, $1::uuid, $2::text, $3::uuid, n.line, n.line_reference, n.kind, n.currency, n.gross_minor,
        n.fee_minor, n.net_minor, n.presented_minor, n.presented_currency, n.reference, n.psp_reference,
        n.operation_reference, n.payout_id, n.occurred_at, n.description
    FROM unnest($4::uuid[], $5::integer[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[],
        $11::bigint[], $12::bigint[], $13::text[], $14::text[], $15::text[], $16::text[], $17::uuid[],
        $18::timestamptz[], $19::text[])
        AS n (id, line, line_reference, kind, currency, gross_minor, fee_minor, net_minor, presented_minor,
            presented_currency, reference, psp_reference, operation_reference, payout_id, occurred_at, description)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), opened AS (
    INSERT INTO open_lines (line_id, file_id) SELECT added.id, $1::uuid FROM added
)
SELECT count(*) FROM added
"""
_LINES_THERE = """
SELECT n.at, l.file_id, l.line, f.name, l.kind, l.currency, l.gross_minor, l.fee_minor, l.net_minor,
    l.presented_minor, l.presented_currency, l.reference, l.psp_reference, l.operation_reference, l.payout_id
FROM unnest($2::uuid[], $3::integer[]) WITH ORDINALITY AS n (id, line, at)
INNER JOIN psp_lines AS l ON l.id = n.id
INNER JOIN report_files AS f ON f.id = l.file_id
WHERE (l.file_id, l.line) <> ($1, n.line)
"""
_NAME_PAYOUT = """
UPDATE psp_lines AS l SET payout_id = n.payout_id FROM unnest($1::uuid[], $2::uuid[]) AS n (id, payout_id)
WHERE l.id = n.id AND l.payout_id IS NULL
"""
# What a payout's own line says is kept from the first file that has it.
_ADD_PAYOUTS = """
INSERT INTO psp_payouts (id, psp, psp_account_id, payout_reference, currency, amount_minor, paid_at)
SELECT n.id, $1::text, $2::uuid, n.payout_reference, n.currency, n.amount_minor, n.paid_at
FROM unnest($3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[])
    AS n (id, payout_reference, currency, amount_minor, paid_at)
ON CONFLICT (id) DO UPDATE
SET amount_minor = excluded.amount_minor, paid_at = excluded.paid_at, currency = excluded.currency
WHERE psp_payouts.amount_minor IS NULL AND excluded.amount_minor IS NOT NULL
"""

# Lines of banks

_ADD_BANK_LINES = """
WITH added AS (
    INSERT INTO bank_lines (id, file_id, line, bank_account_id, currency, amount_minor, kind, is_reversal,
        entry_reference, refs, content, counterparty, original_minor, original_currency, booked_on, value_on)
    SELECT n.id, $1::uuid, n.line, n.bank_account_id, n.currency, n.amount_minor, n.kind, n.is_reversal,
        n.entry_reference, string_to_array(n.refs, E'\\x1f'), n.content, n.counterparty, n.original_minor,
        n.original_currency, n.booked_on, n.value_on
    FROM unnest($2::uuid[], $3::integer[], $4::uuid[], $5::text[], $6::bigint[], $7::text[], $8::boolean[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::text[], $15::date[], $16::date[])
        AS n (id, line, bank_account_id, currency, amount_minor, kind, is_reversal, entry_reference, refs, content,
            counterparty, original_minor, original_currency, booked_on, value_on)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), opened AS (
    INSERT INTO open_bank_lines (line_id, file_id) SELECT added.id, $1::uuid FROM added
)
SELECT count(*) FROM added
"""
_BANK_LINES_THERE = """
SELECT n.at, l.file_id, l.line, f.name, l.currency, l.amount_minor
FROM unnest($2::uuid[], $3::integer[]) WITH ORDINALITY AS n (id, line, at)
INNER JOIN bank_lines AS l ON l.id = n.id
INNER JOIN report_files AS f ON f.id = l.file_id
WHERE (l.file_id, l.line) <> ($1, n.line)
"""

# For people

_FILES = f"""{_FILE}
WHERE f.state <> 'receiving' AND ($1::uuid IS NULL OR f.id < $1) AND ($2::text IS NULL OR f.source = $2)
    AND ($3::text IS NULL OR f.psp = $3) AND ($4::text IS NULL OR f.state = $4)
ORDER BY f.id DESC LIMIT $5
"""
_ONE_FILE = _FILE + "WHERE f.id = $1"
_QUARANTINED = """
SELECT q.file_id, f.name, q.line, q.reason, q.field, q.content
FROM quarantined_lines AS q INNER JOIN report_files AS f ON f.id = q.file_id
WHERE (q.file_id = $1 OR ($1::uuid IS NULL AND f.state = 'loaded' AND NOT EXISTS (
    SELECT 1 FROM report_files AS n
    WHERE n.content_of = coalesce(f.content_of, f.id) AND n.id > f.id AND n.state = 'loaded'
)))
    AND ($2::uuid IS NULL OR (q.file_id, -q.line) < ($2, -$3::integer))
ORDER BY q.file_id DESC, q.line LIMIT $4
"""
_KNOWN_NAMES = "SELECT DISTINCT name FROM report_files WHERE name = ANY($1::text[]) AND uploaded_by = $2"
_PSP_ACCOUNT = "SELECT id FROM psp_accounts WHERE name = $1 AND psp = $2"

_BANK_ACCOUNT_COLUMNS = "id, name, identification, currency, created_at, closed_at"
_BANK_ACCOUNTS = f"SELECT {_BANK_ACCOUNT_COLUMNS} FROM bank_accounts ORDER BY name"
_ADD_BANK_ACCOUNT = f"""
INSERT INTO bank_accounts (id, name, identification, currency) VALUES ($1, $2, $3, $4) RETURNING {_BANK_ACCOUNT_COLUMNS}
"""
_CLOSE_BANK_ACCOUNT = f"""
UPDATE bank_accounts SET closed_at = now() WHERE name = $1 AND closed_at IS NULL RETURNING {_BANK_ACCOUNT_COLUMNS}
"""


async def begin(connection: Connection, file_id: UUID, new: NewFile, owner: UUID, lease: timedelta) -> None:
    """A file begins to come."""
    await connection.execute(
        _BEGIN, file_id, new.source, new.psp, new.psp_account_id, new.format, new.name, new.by, owner, lease
    )


async def add_part(
    connection: Connection, file_id: UUID, owner: UUID, part: int, body: bytes, lease: timedelta, size_bytes: int
) -> bool:
    """A further piece of it; False where it was given up meanwhile."""
    return await connection.fetchval(_ADD_PART, file_id, owner, part, body, lease, size_bytes) is not None


async def same_file(connection: Connection, sha256: bytes) -> UUID | None:
    """The file with this hash, unless it was refused."""
    return await connection.fetchval(_SAME, sha256)


async def received(transaction: Transaction, file_id: UUID, owner: UUID, sha256: bytes, size_bytes: int) -> bool:
    """It is here; False where it was given up meanwhile. Raises DataRefused where it is there already."""
    return await transaction.connection.fetchval(_RECEIVED, file_id, owner, sha256, size_bytes) is not None


async def read_again(transaction: Transaction, file_id: UUID, again_id: UUID, format_: str | None, by: str) -> None:
    """A file of the same content, to be loaded. Raises DataRefused where there is one that waits to be."""
    await transaction.connection.execute(_READ_AGAIN, file_id, again_id, format_, by)


async def discard(transaction: Transaction, file_id: UUID, owner: UUID) -> None:
    """Forget what came of a file that is not wanted."""
    if await transaction.connection.fetchval(_LOCK_MINE, file_id, owner):
        await _forget(transaction, file_id)


async def discard_abandoned(transaction: Transaction) -> bool:
    """Forget a file that nobody sends any more; whether there was one."""
    file_id = await transaction.connection.fetchval(_LOCK_ABANDONED)
    if file_id is not None:
        await _forget(transaction, file_id)
    return file_id is not None


async def _forget(transaction: Transaction, file_id: UUID) -> None:
    await transaction.connection.execute(_DISCARD_PARTS, file_id)
    await transaction.connection.execute(_DISCARD, file_id)


async def take(connection: Connection, owner: UUID, lease: timedelta, file_id: UUID | None) -> UUID | None:
    """Begin to load the file, or the next that can be; None where there is none.

    Raises DataRefused where another one has just begun with a file of the same account.
    """
    return await connection.fetchval(_TAKE, owner, lease, file_id)


async def hold(connection: Connection, file_id: UUID, owner: UUID, lease: timedelta) -> bool:
    """Keep it for a while longer; False where it is not this one's any more."""
    return await connection.fetchval(_HOLD, file_id, owner, lease) is not None


async def part(connection: Connection, file_id: UUID, number: int) -> bytes | None:
    """A piece of a file's content, as it is kept; None behind the last one."""
    return await connection.fetchval(_PART, file_id, number)


async def quarantine(transaction: Transaction, file_id: UUID, lines: Sequence[Quarantined]) -> None:
    """Keep lines that are not loaded, once each."""
    await transaction.connection.execute(
        _QUARANTINE,
        file_id,
        [each.line for each in lines],
        [each.reason for each in lines],
        [each.field for each in lines],
        [each.content for each in lines],
    )


async def finish(
    transaction: Transaction,
    file_id: UUID,
    owner: UUID,
    state: str,
    refusal: tuple[str, int | None, str | None] | None,
    format_: str | None,
    counted: tuple[int, int, int],
    summary: str,
) -> bool:
    """Say how a load has ended; False where it was not this one's any more."""
    reason, line, field = refusal or (None, None, None)
    found = await transaction.connection.fetchval(
        _FINISH, file_id, owner, state, reason, line, field, format_, *counted, summary
    )
    return found is not None


async def take_lines_back(transaction: Transaction, file_id: UUID, source: str, limit: int) -> int:
    """Delete at most `limit` lines of a file that is being loaded; how many."""
    statement = _TAKE_LINES_BACK if source == "psp" else _TAKE_BANK_LINES_BACK
    return await transaction.connection.fetchval(statement, file_id, limit)


async def add_lines(
    transaction: Transaction, file_id: UUID, psp: str, account_id: UUID | None, columns: Sequence[Sequence[object]]
) -> int:
    """Lines of a PSP that are not there yet, and open; how many those are."""
    return await transaction.connection.fetchval(_ADD_LINES, file_id, psp, account_id, *columns)


async def lines_there(
    transaction: Transaction, file_id: UUID, line_ids: Sequence[UUID], numbers: Sequence[int]
) -> Sequence[Row]:
    """Of these lines what is there from elsewhere: (which of them from 1, its file, line, file's name, and what it
    says)."""
    return await transaction.connection.fetch(_LINES_THERE, file_id, line_ids, numbers)


async def name_payouts(transaction: Transaction, of_lines: Iterable[tuple[UUID, UUID]]) -> None:
    """Say of lines which payout carries them, where that was not known."""
    in_order = sorted(of_lines)
    await transaction.connection.execute(_NAME_PAYOUT, [each[0] for each in in_order], [each[1] for each in in_order])


async def add_payouts(
    transaction: Transaction,
    psp: str,
    account_id: UUID | None,
    payouts: Iterable[tuple[UUID, str, str, int | None, datetime | None]],
) -> None:
    """Payouts (id, reference, currency, amount, paid at) that are not there yet, or whose amount was not known."""
    columns = [list(column) for column in zip(*sorted(payouts), strict=True)]
    if columns:
        await transaction.connection.execute(_ADD_PAYOUTS, psp, account_id, *columns)


async def add_bank_lines(transaction: Transaction, file_id: UUID, columns: Sequence[Sequence[object]]) -> int:
    """Lines of a bank that are not there yet, and open; how many those are."""
    return await transaction.connection.fetchval(_ADD_BANK_LINES, file_id, *columns)


async def bank_lines_there(
    transaction: Transaction, file_id: UUID, line_ids: Sequence[UUID], numbers: Sequence[int]
) -> Sequence[Row]:
    """Of these lines what is there from elsewhere: (which of them from 1, its file, line, file's name,
    currency, amount)."""
    return await transaction.connection.fetch(_BANK_LINES_THERE, file_id, line_ids, numbers)


async def file(connection: Connection, file_id: UUID) -> ReportFile | None:
    """One file."""
    row = await connection.fetchrow(_ONE_FILE, file_id)
    return None if row is None else ReportFile(*row)


async def files(
    connection: Connection, before: UUID | None, source: str | None, psp: str | None, state: str | None, limit: int
) -> list[ReportFile]:
    """Files that are here, newest first."""
    return [ReportFile(*row) for row in await connection.fetch(_FILES, before, source, psp, state, limit)]


async def quarantined(
    connection: Connection, file_id: UUID | None, after: tuple[UUID, int] | None, limit: int
) -> Sequence[Row]:
    """(file, its name, line, reason, field, content) of one file, or of the last readings that are loaded, newest file
    first."""
    after_file, after_line = after or (None, None)
    return await connection.fetch(_QUARANTINED, file_id, after_file, after_line, limit)


async def known_names(connection: Connection, names: Sequence[str], by: str) -> set[str]:
    """Those of these names under which this one has brought a file, whatever became of it."""
    return {row[0] for row in await connection.fetch(_KNOWN_NAMES, names, by)}


async def psp_account(connection: Connection, name: str, psp: str) -> UUID | None:
    """The account of this name at the PSP."""
    return await connection.fetchval(_PSP_ACCOUNT, name, psp)


async def bank_accounts(connection: Connection) -> Sequence[Row]:
    """(id, name, identification, currency, created, closed) of all accounts at banks."""
    return await connection.fetch(_BANK_ACCOUNTS)


async def add_bank_account(
    transaction: Transaction, account_id: UUID, name: str, identification: str, currency: str | None
) -> Row:
    """A new account at a bank. Raises DataRefused for a name or an identification that is there."""
    return await transaction.connection.fetchrow(_ADD_BANK_ACCOUNT, account_id, name, identification, currency)


async def close_bank_account(transaction: Transaction, name: str) -> Row | None:
    """Close an account; None where there is no open one of this name."""
    return await transaction.connection.fetchrow(_CLOSE_BANK_ACCOUNT, name)
