"""What has waited too long: an authorization that reached its age, a customer who never acted."""

from bezant.base import ids
from bezant.base.db import Database
from bezant.payments import store
from bezant.payments.cancel import overdue
from bezant.payments.changes import Ages, Changes
from bezant.payments.write import write

_BATCH = 200


async def cancel_overdue(database: Database, ages: Ages) -> int:
    """Start a cancel attempt for each payment past its deadline; sync performs it, its outcome changes the payment.

    Returns how many payments were looked at.
    """
    async with database.connection() as connection:
        keys = await store.overdue(connection, _BATCH)
    if not keys:
        return 0
    async with database.transaction() as transaction:
        changes = Changes(transaction.now, transaction.xid, ages)
        payments = await store.lock_payments(transaction, keys)
        families = [(p.id, p.merchant_id, *ids.family_range(p.id)) for p in payments.values()]
        attempts = await store.open_attempts(transaction.connection, families)
        for payment in payments.values():
            if payment.deadline_at is not None and payment.deadline_at <= transaction.now:
                overdue(changes, payment, [a for a in attempts if a.payment_id == payment.id])
        await write(transaction, changes)
    return len(keys)
