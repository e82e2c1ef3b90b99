"""What the database itself refuses of kept events, whoever writes."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

INSERT = """
INSERT INTO inbox_events (id, psp, event_id, type, body, status, next_try_at, reason, settled_at, merchant_id,
    payment_id, occurred_at, received_at)
VALUES ($1, 'acme', $2, 'op.done', '{}', $3, CASE WHEN $4 THEN now() END, $5, CASE WHEN $6 THEN now() END, $7, $8,
    now(), now())
"""


@pytest.fixture
async def connection(module_database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(module_database_url, timeout=30)
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


@pytest.mark.parametrize(
    ("status", "is_due", "reason", "is_settled"),
    [
        ("received", True, None, False),
        ("waiting", True, "early", False),
        ("aside", False, "never", True),
        ("applied", False, None, True),
        ("unknown", False, None, True),
    ],
)
async def test_a_status_says_whether_it_is_due_settled_and_why(
    connection: "asyncpg.Connection[asyncpg.Record]", status: str, is_due: bool, reason: str | None, is_settled: bool
):
    async def insert(due: bool, why: str | None, settled: bool) -> None:
        async with connection.transaction():
            await connection.execute(INSERT, uuid4(), "evt_1", status, due, why, settled, None, None)

    await insert(is_due, reason, is_settled)
    with pytest.raises(asyncpg.CheckViolationError, match="inbox_events_due"):
        await insert(not is_due, reason, is_settled)
    with pytest.raises(asyncpg.CheckViolationError, match="inbox_events_settled"):
        await insert(is_due, reason, not is_settled)
    if reason is not None:
        with pytest.raises(asyncpg.CheckViolationError, match="inbox_events_reason"):
            await insert(is_due, None, is_settled)


@pytest.mark.parametrize(
    "change",
    ["id = gen_random_uuid()", "psp = 'other'", "event_id = 'evt_2'", "type = 'other'", "body = '{ }'",
     "psp_account_id = gen_random_uuid()"],
)  # fmt: skip
async def test_what_was_told_cannot_be_changed_afterwards(
    connection: "asyncpg.Connection[asyncpg.Record]", change: str
):
    event_id = uuid4()
    await connection.execute(INSERT, event_id, "evt_1", "received", True, None, False, None, None)
    with pytest.raises(asyncpg.CheckViolationError, match="never change"):
        await connection.execute(f"UPDATE inbox_events SET {change} WHERE id = $1", event_id)


async def test_an_event_cannot_name_a_payment_that_is_not_there(connection: "asyncpg.Connection[asyncpg.Record]"):
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await connection.execute(INSERT, uuid4(), "evt_1", "applied", False, None, True, uuid4(), uuid4())


async def test_an_event_is_there_once(connection: "asyncpg.Connection[asyncpg.Record]"):
    event_id = uuid4()
    await connection.execute(INSERT, event_id, "evt_1", "received", True, None, False, None, None)
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(INSERT, event_id, "evt_1", "received", True, None, False, None, None)
