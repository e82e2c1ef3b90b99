"""Every SQL statement of the jobs folder."""

from collections.abc import Sequence

from bezant.base.db import Connection

# Live rows now against live rows at the last analyse: past a step that the other was not.
_GROWN = """
SELECT s.relname FROM pg_stat_user_tables AS s
INNER JOIN pg_class AS c ON c.oid = s.relid
WHERE s.relname = ANY($1::text[]) AND EXISTS (
    SELECT 1 FROM unnest($2::bigint[]) AS step WHERE s.n_live_tup >= step AND greatest(c.reltuples, 0) < step
)
"""

_HOT_TABLES = (
    "payments",
    "payment_attempts",
    "refunds",
    "ledger_journals",
    "ledger_entries",
    "outbox_events",
    "idempotency_keys",
    "psp_requests",
    "inbox_events",
    "webhook_deliveries",
    "webhook_tries",
    "psp_lines",
    "open_lines",
    "psp_payouts",
    "bank_lines",
    "open_bank_lines",
    "operations_in_transit",
    "explained",
)
_ANALYSE = {table: f"ANALYZE (SKIP_LOCKED) {table}" for table in _HOT_TABLES}


async def analyse_grown(connection: Connection, steps: Sequence[int]) -> int:
    """Analyse the hot tables that have grown past one of `steps`; how many."""
    tables = [row[0] for row in await connection.fetch(_GROWN, _HOT_TABLES, steps)]
    for table in tables:
        await connection.execute(_ANALYSE[table])
    return len(tables)
