"""Puts deliveries back because a person asks for it."""

from collections.abc import Sequence
from uuid import UUID

from bezant.base.db import Transaction
from bezant.base.errors import Conflict
from bezant.webhooks.delivery import store


async def redeliver(transaction: Transaction, deliveries: Sequence[store.Queued], *, manual: bool = False) -> set[UUID]:
    """Have settled deliveries sent anew, in the order of their payments; those that were put back.

    `manual`: also to a disabled endpoint.
    """
    if not deliveries:
        return set()
    await store.lock_orderings(transaction, (row[3] for row in deliveries))
    put_back = await store.requeue(transaction, [(row[0], row[1]) for row in deliveries], manual=manual)
    groups = {(row[2], row[3]) for row in deliveries if row[0] in put_back}
    if groups:
        await store.demote(transaction, groups)
        await store.promote(transaction, groups)
    return put_back


async def try_now(transaction: Transaction, delivery: store.Queued) -> None:
    """Have one delivery tried now: settled, it is put back; waiting for its next try, that is made at once.

    Raises Conflict (`invalid_state`) where it waits behind another of its payment.
    """
    if await redeliver(transaction, [delivery], manual=True):
        return
    if not await store.bring_forward(transaction, delivery[0], delivery[1]) and not await store.is_in_flight(
        transaction.connection, delivery[0], delivery[1]
    ):
        raise Conflict("invalid_state", "It waits behind an earlier event of its payment: redeliver that one.")


async def send_test(transaction: Transaction, row: tuple[UUID, UUID, UUID, UUID, str, UUID, int, int]) -> None:
    """A delivery that goes out at once, also to a disabled endpoint."""
    await store.lock_orderings(transaction, [row[5]])
    await store.insert(transaction, [row], manual=True)
    await store.promote(transaction, [(row[2], row[5])])
