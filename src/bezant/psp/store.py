"""Every SQL statement about the log of requests to PSPs."""

from collections.abc import Sequence
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Connection, Row, Transaction
from bezant.psp.records import RequestLog

_INSERT = """
INSERT INTO psp_requests (id, merchant_id, attempt_id, psp, method, path, request, status, response, error,
    duration_ms, sent_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::integer[],
    $9::text[], $10::text[], $11::integer[], $12::timestamptz[])
"""

_OF_FAMILY = """
SELECT r.attempt_id, r.psp, r.method, r.path, r.status, r.error, r.duration_ms, r.sent_at FROM psp_requests AS r
WHERE r.merchant_id = $1 AND r.id BETWEEN $2 AND $3 AND r.attempt_id = ANY($4::uuid[]) ORDER BY r.sent_at, r.id
"""


async def insert_requests(transaction: Transaction, logs: Sequence[tuple[UUID, UUID, RequestLog]]) -> None:
    """Requests as (merchant, attempt, log), in one statement."""
    await transaction.connection.execute(
        _INSERT,
        [ids.child_of(attempt_id) for _, attempt_id, _ in logs],
        [merchant_id for merchant_id, _, _ in logs],
        [attempt_id for _, attempt_id, _ in logs],
        [log.psp for _, _, log in logs],
        [log.method for _, _, log in logs],
        [log.path for _, _, log in logs],
        [log.request for _, _, log in logs],
        [log.status for _, _, log in logs],
        [log.response for _, _, log in logs],
        [log.error for _, _, log in logs],
        [log.duration_ms for _, _, log in logs],
        [log.sent_at for _, _, log in logs],
    )


async def requests_of(
    connection: Connection, merchant_id: UUID, id_range: tuple[UUID, UUID], attempt_ids: Sequence[UUID]
) -> Sequence[Row]:
    """(attempt, psp, method, path, status, error, duration, time) of the requests made for these attempts."""
    return await connection.fetch(_OF_FAMILY, merchant_id, *id_range, attempt_ids)
