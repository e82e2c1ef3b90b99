"""Ask PSPs about disputes: what contradicts itself, what was signed too little, and what nobody has told the end of.

What a PSP answers is how things stand now, but only if nothing was heard between the question and the answer.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from bezant.base import ids
from bezant.base.db import Database
from bezant.base.log import logger
from bezant.disputes import rules, store
from bezant.disputes.bring import desk_of
from bezant.disputes.rules import Weight
from bezant.disputes.states import Dispute
from bezant.psp.call import CalledOnDispute, Caller
from bezant.psp.contract import Verdict
from bezant.psp.disputes import DisputeAsk
from bezant.psp.log import keep_requests

_AT_ONCE: Final = 8
_BATCH: Final = 32
_MARGIN_S: Final = 20.0
_log = logger(__name__)


class Looks:
    """Looks at disputes that are due, some at a time. `askable`: the PSPs that can be asked."""

    def __init__(self, database: Database, caller: Caller, askable: Sequence[str], *, timeout_s: float) -> None:
        self._database = database
        self._caller = caller
        self._askable = sorted(askable)
        self._lease = timedelta(seconds=timeout_s * _BATCH / _AT_ONCE * 3 + _MARGIN_S)
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> int:
        """Look at a batch of what is due; how many disputes."""
        if not self._askable:
            return 0
        async with self._database.connection() as connection:
            due = await store.take_due(connection, self._askable, self._lease, _BATCH)
        await asyncio.gather(*(self._look(dispute) for dispute in due))
        return len(due)

    async def _look(self, dispute: Dispute) -> None:
        ask = DisputeAsk(
            reference=ids.show(ids.DISPUTE, dispute.id), dispute_reference=dispute.psp_reference, psp_reference=None
        )
        async with self._slots:
            called = await self._caller.on_dispute(dispute.psp, ask, "fetch", dispute.psp_account_id)
            await self._record(dispute, called)

    async def _record(self, asked: Dispute, called: CalledOnDispute) -> None:
        notice = called.state.notice
        async with self._database.transaction() as transaction:
            desk = await desk_of(transaction, asked.merchant_id, asked.id)
            case = desk.case(asked.id)
            if called.state.verdict is not Verdict.APPROVED or notice is None:
                rules.unanswered(case)
                _log.info("dispute_not_seen", dispute=asked.id.hex, psp=asked.psp, detail=called.state.detail)
            elif case.dispute.updated_at != asked.updated_at:
                case.dispute.next_check_at = transaction.now
            else:
                rules.hear(case, notice, Weight.NOW, can_ask=True)
            await keep_requests(transaction, [(asked.merchant_id, asked.id, log) for log in called.requests])
            await desk.write()
