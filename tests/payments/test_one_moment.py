"""What is read by several queries and shown as one thing is of one moment."""

import asyncio

import asyncpg

from bezant.base.db import Database
from bezant.base.master_key import MasterKeys, derived
from bezant.payments.queries import Queries
from bezant.payments.render import ClientSecrets
from tests.support.books import Books
from tests.support.waiting import wait_until_async

WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'payment_attempts'::regclass AND NOT granted)"
DECLINE = "UPDATE payment_attempts SET status = 'declined', failure = '{}' WHERE id = $1"


async def test_payment_read_while_its_capture_is_decided_is_shown_before_or_after_but_not_between(
    database_url: str,
) -> None:
    decider, database = await asyncpg.connect(database_url), Database(database_url, connections_max=2)
    await database.open()
    queries = Queries(database, ClientSecrets(MasterKeys.given([derived("k" * 32)])))
    try:
        async with decider.transaction():
            books = await Books.open(decider)
            payment_id = await books.payment("authorized")
            attempt_id = await books.attempt(payment_id, "capture")
            await books.run("UPDATE payments SET capturing_minor = 100 WHERE id = $1", payment_id)
        async with decider.transaction():
            await books.run("LOCK TABLE payment_attempts IN ACCESS EXCLUSIVE MODE")
            reading = asyncio.create_task(
                queries.page(
                    books.merchant_id,
                    order_id=None,
                    status=None,
                    psp_reference=None,
                    created_gte=None,
                    created_lt=None,
                    cursor=None,
                    limit=10,
                )
            )
            await wait_until_async(lambda: decider.fetchval(WAITS), what="the reader to wait for the attempts")
            await books.run(DECLINE, attempt_id)
            await books.run("UPDATE payments SET capturing_minor = 0 WHERE id = $1", payment_id)
        (shown,) = (await reading).data
        assert shown.status == "authorized"
        assert shown.pending_operation is not None, "authorized, and nothing is being captured: that never was"
        assert shown.pending_operation.operation == "capture"
    finally:
        await database.close()
        await decider.close()
