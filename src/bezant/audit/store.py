"""Every SQL statement about the audit log."""

from uuid import UUID

from bezant.base.db import Connection

_INSERT = """
INSERT INTO audit_log (id, merchant_id, actor, action, subject, reason, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def insert(
    connection: Connection,
    audit_id: UUID,
    merchant_id: UUID | None,
    actor: str,
    action: str,
    subject: str,
    reason: str,
    detail: str,
) -> None:
    """A new record."""
    await connection.execute(_INSERT, audit_id, merchant_id, actor, action, subject, reason, detail)
