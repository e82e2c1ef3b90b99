"""A run learns which payout carries a line that was there before that was known."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from bezant.base.db import Database, Transaction
from bezant.base.failpoints import reach
from bezant.reconciliation.late import store
from bezant.reconciliation.lease import Lease
from bezant.reconciliation.settle import Shares, settle_shares

AT_ONCE: Final = 4_000


class LatePayouts:
    """A step of a run, before payouts are looked for at the bank. `balances`: the PSPs that pay out of a balance."""

    def __init__(self, database: Database, lease: Lease, balances: Collection[str] = ()) -> None:
        self._database = database
        self._lease = lease
        self._balances = sorted(balances)

    async def __call__(self) -> set[UUID]:
        """Name the payouts of lines; which payouts."""
        if self._balances:
            async with self._lease.guarded() as transaction:
                await store.find_drawn(transaction, self._balances)
        named = set[UUID]()
        while lines := await self._name():
            named.update(line.payout_id for line in lines)
        return named

    async def _name(self) -> list[store.LateLine]:
        async with self._lease.guarded() as transaction:
            lines = await store.name_late_payouts(transaction, AT_ONCE)
            reach("settle.before_commit", ("late",))
            await _share(transaction, lines)
        reach("settle.after_commit", ("late",))
        return lines


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
    await settle_shares(transaction, shares, {line.match_id for line in explained if line.match_id is not None})
