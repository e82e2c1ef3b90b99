"""Writes what a transaction has decided: one statement per table, in an order that all transactions share."""

from bezant.base import ids
from bezant.base.db import Transaction
from bezant.ledger.post import post
from bezant.outbox.append import Event, append
from bezant.payments import store
from bezant.payments.changes import Changes
from bezant.payments.states import Origin


async def write(transaction: Transaction, changes: Changes, *, only_settled: bool = False) -> None:
    """Write everything in `changes`. Raises DataRefused where the database refuses any of it."""
    await store.insert_payments(transaction, changes.payments_new.values())
    await store.update_payments(transaction, changes.payments_changed.values(), only_settled=only_settled)
    await store.insert_refunds(transaction, changes.refunds_new.values())
    await store.update_refunds(transaction, changes.refunds_changed.values())
    # First what leaves the set of unresolved attempts, then what enters it: within one statement the unique index,
    # which allows one per payment, would see them in any order.
    changed = changes.attempts_changed.values()
    await store.update_attempts(transaction, [a for a in changed if not a.is_unresolved])
    await store.update_attempts(transaction, [a for a in changed if a.is_unresolved])
    new = changes.attempts_new.values()
    await store.insert_attempts(transaction, [a for a in new if a.origin != Origin.PSP])
    await store.insert_facts(transaction, [a for a in new if a.origin == Origin.PSP])
    if changes.breaks:
        rows = [
            (
                ids.derived(b.payment_id, b.attempt_id.hex, b.kind),
                b.merchant_id,
                b.payment_id,
                b.attempt_id,
                b.kind,
                b.detail,
            )
            for b in changes.breaks
        ]
        await store.insert_breaks(transaction, rows)
    await post(transaction, changes.journals)
    await append(
        transaction,
        [
            Event(
                merchant_id=payment.merchant_id,
                payment_id=payment.id,
                type=kind,
                tx=tx,
                position=position,
                data=data,
            )
            for payment, kind, tx, position, data in changes.events
        ],
    )
