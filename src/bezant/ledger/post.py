"""Posts journals in the caller's transaction."""

from collections.abc import Sequence

from bezant.base.db import Transaction
from bezant.ledger import store
from bezant.ledger.rules import Journal, net_by_account


async def post(transaction: Transaction, journals: Sequence[Journal]) -> None:
    """Insert the journals with all their entries and move the balances, in three statements whatever their number.

    Raises DataRefused if a journal does not balance or its fact is posted already; nothing is posted then.
    """
    if not journals:
        return
    in_key_order = sorted(journals, key=lambda journal: journal.id)
    await store.insert_journals(transaction, in_key_order)
    await store.add_to_balances(transaction, net_by_account(in_key_order))
