"""What reconciliation found to be at the bank: it alone makes a payment `settled`, and can take that back."""

from collections.abc import Mapping

from bezant.base.db import Transaction
from bezant.payments import store
from bezant.payments.changes import Ages, Changes
from bezant.payments.states import Status
from bezant.payments.store import Key
from bezant.payments.write import write

_NO_AGES = Ages(0, 0)


async def settle(transaction: Transaction, moved_minor: Mapping[Key, int]) -> None:
    """Add to what of each payment (id, merchant) is captured, reported and at the bank; below zero takes it back.

    A payment of which all that was captured is there becomes settled, with `payment.settled`; one of which it is not so
    any more goes back, with `payment.unsettled`. Raises DataRefused where more would be settled than was captured.
    """
    changes = Changes(transaction.now, transaction.xid, _NO_AGES)
    for payment in (await store.lock_payments(transaction, moved_minor)).values():
        before = payment.status
        payment.settled_minor += moved_minor[payment.id, payment.merchant_id]
        changes.touch(payment)
        if payment.status != before and Status.SETTLED in (before, payment.status):
            changes.emit(payment, "payment.settled" if payment.status == Status.SETTLED else "payment.unsettled")
    await write(transaction, changes, only_settled=True)
