"""Looks for operations that no report names, and hands what is found to those who handle it as a webhook."""

import asyncio
from typing import Final

from bezant.base import ids
from bezant.base.db import Database, DataRefused, Transaction
from bezant.base.errors import ApiError
from bezant.base.log import logger
from bezant.inbox.contract import AskPsp, Handlers, Reread, Told
from bezant.inbox.records import Records
from bezant.psp.contract import Ask, Outcome, Verdict
from bezant.psp.notices import Notice
from bezant.reconciliation.breaks.heal import store
from bezant.reconciliation.breaks.heal.rules import Lost, answered, ask_of, denial, says_something, wait
from bezant.reconciliation.breaks.rules import break_id
from bezant.reconciliation.matching.model import BreakKind

AT_ONCE: Final = 20
_SIDE_BY_SIDE: Final = 5
_EVENTS_MAX: Final = 20
_log = logger(__name__)


class Heal:
    """Looks for a bounded number of operations at a time. `ask`: what a PSP says of an operation now."""

    def __init__(self, database: Database, handlers: Handlers, ask: AskPsp) -> None:
        self._database = database
        self._handlers = handlers
        self._ask = ask
        self._inbox = Records(database)

    async def __call__(self) -> int:
        """Look for what is due; how many. What fails is due again later."""
        async with self._database.connection() as connection:
            if not await store.is_due(connection):
                return 0
        async with self._database.transaction() as transaction:
            taken = await store.take(transaction, AT_ONCE)
        for start in range(0, len(taken), _SIDE_BY_SIDE):
            await asyncio.gather(*(self._look_for(lost) for lost in taken[start : start + _SIDE_BY_SIDE]))
        return len(taken)

    async def _look_for(self, lost: Lost) -> None:
        made_due = await self._hurry_events(lost)
        ask = ask_of(lost)
        # What was told and not applied is given its time first.
        outcome = None if ask is None or (made_due and lost.tries == 1) else await self._answer(lost, ask)
        try:
            async with self._database.transaction() as transaction:
                is_denied = (
                    outcome is not None and ask is not None and await self._apply(transaction, lost, ask, outcome)
                )
                later = wait(lost.tries)
                at = None if is_denied or later is None else transaction.now + later
                await store.again_at(transaction, lost, at)
        except DataRefused as error:  # it is due again when its hold has ended
            _log.warning("heal_refused", operation=ids.show(ids.JOURNAL, lost.operation_id), error=str(error))

    async def _hurry_events(self, lost: Lost) -> int:
        """Make events due that name it and were not applied; how many."""
        async with self._database.connection() as connection:
            found = await store.events(connection, lost, _EVENTS_MAX)
        made_due = 0
        for event_id in found:
            try:
                await self._inbox.retry(None, ids.show(ids.INBOX_EVENT, event_id))
                made_due += 1
            except ApiError:  # somebody was quicker
                continue
        return made_due

    async def _answer(self, lost: Lost, ask: Ask) -> Outcome | None:
        try:
            return await self._ask(lost.psp, lost.psp_account_id, Reread(ask, (lost.payment_id, lost.merchant_id)))
        except Exception:  # whatever it was, nothing is known
            _log.warning("heal_unanswered", operation=ids.show(ids.JOURNAL, lost.operation_id), exc_info=True)
            return None

    async def _apply(self, transaction: Transaction, lost: Lost, ask: Ask, outcome: Outcome) -> bool:
        """Put an answer into the books; whether it denies them."""
        if (detail := denial(lost, outcome)) is not None:
            new_id = break_id(BreakKind.CONTRADICTION, lost.operation_id, lost.payment_id)
            await store.contradict(transaction, lost, new_id, f"{lost.psp} was asked: {detail}")
            return True
        if not says_something(outcome):
            return False
        notice = Notice(operation=ask.operation, outcome=answered(outcome, ask))
        told = Told(
            event_id=lost.break_id,
            psp=lost.psp,
            psp_account_id=lost.psp_account_id,
            notice=notice,
            confirmed=True,
        )
        await self._handlers[Notice](transaction, [told])
        await store.say(transaction, lost, f"{lost.psp} was asked: {outcome.verdict}.")
        return outcome.verdict is Verdict.DECLINED
