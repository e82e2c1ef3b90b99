"""The public face of the request log: write it in the caller's transaction, read it for a timeline."""

from collections.abc import Sequence
from uuid import UUID

from bezant.base.db import Connection, Row, Transaction
from bezant.psp import store
from bezant.psp.records import RequestLog


async def keep_requests(transaction: Transaction, logs: Sequence[tuple[UUID, UUID, RequestLog]]) -> None:
    """Write requests, given as (merchant, attempt, log)."""
    if logs:
        await store.insert_requests(transaction, logs)


async def requests_of(
    connection: Connection, merchant_id: UUID, id_range: tuple[UUID, UUID], attempt_ids: Sequence[UUID]
) -> Sequence[Row]:
    """(attempt, psp, method, path, status, error, duration, time) of the requests made for these attempts."""
    return await store.requests_of(connection, merchant_id, id_range, attempt_ids)
