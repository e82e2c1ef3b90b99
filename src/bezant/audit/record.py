"""Write down what a person did, in the transaction that does it."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from bezant.audit import store
from bezant.base import ids
from bezant.base.db import Transaction
from bezant.base.errors import OperatorError

REASON_LENGTH_MIN, REASON_LENGTH_MAX = 3, 500


class By(msgspec.Struct, frozen=True):
    """Who does something, and why."""

    actor: str
    reason: str

    def __post_init__(self) -> None:
        if not REASON_LENGTH_MIN <= len(self.reason) <= REASON_LENGTH_MAX:
            raise OperatorError(f"A reason has {REASON_LENGTH_MIN} to {REASON_LENGTH_MAX} characters.")


async def record(
    transaction: Transaction, by: By, action: str, subject: str, merchant_id: UUID | None, detail: Mapping[str, object]
) -> None:
    """One record; `detail` is JSON and holds no secret."""
    text = msgspec.json.encode(detail).decode()
    await store.insert(transaction.connection, ids.new_id(), merchant_id, by.actor, action, subject, by.reason, text)
