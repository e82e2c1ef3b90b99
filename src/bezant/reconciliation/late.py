"""Which payout carries a line, where that is known only after the line was there: said by a later file, or by sums.

A PSP of whose lines none names a payout pays out of a balance. Where the balance is drawn whole, what has moved it
between two payouts comes to just what the second one takes: then those lines are its lines. Where they come to
anything else nothing is said, and the deposit waits for a person.
"""

from collections.abc import Collection
from typing import Final

from bezant.base.db import Database, Transaction
from bezant.base.failpoints import reach
from bezant.ledger.post import post
from bezant.payments.settling import settle
from bezant.reconciliation import store
from bezant.reconciliation.lease import Lease
from bezant.reconciliation.settle import Shares

AT_ONCE: Final = 4_000


class LatePayouts:
    """A step of a run, before payouts are looked for at the bank. `balances`: the PSPs that pay out of a balance."""

    def __init__(self, database: Database, lease: Lease, balances: Collection[str] = ()) -> None:
        self._database = database
        self._lease = lease
        self._balances = sorted(balances)

    async def __call__(self) -> int:
        """Name the payouts of lines; of how many."""
        if self._balances:
            async with self._lease.guarded() as transaction:
                await store.find_drawn(transaction, self._balances)
        named = count = 0
        while count := await self._name():
            named += count
        return named

    async def _name(self) -> int:
        async with self._lease.guarded() as transaction:
            lines = await store.name_late_payouts(transaction, AT_ONCE)
            reach("settle.before_commit", ("late",))
            await _share(transaction, lines)
        reach("settle.after_commit", ("late",))
        return len(lines)


async def _share(transaction: Transaction, lines: Collection[store.LateLine]) -> None:
    """What was explained before its payout was known is shared out, where that payout is shared out already."""
    shares = Shares()
    explained = [
        line for line in lines if line.match_id is not None and line.merchant_id is not None and line.is_shared
    ]
    for line in explained:
        assert line.merchant_id is not None
        key, lost = (line.id, line.undone), line.is_written_off
        shares.take(line.payout_id, key, line.merchant_id, line.currency, line.net_minor, written_off=lost)
    await post(transaction, shares.journals(transaction))
    matches = {line.match_id for line in explained if line.match_id is not None}
    moved = await store.captures_of_matches(transaction.connection, sorted(matches))
    if moved:
        await settle(transaction, moved)
