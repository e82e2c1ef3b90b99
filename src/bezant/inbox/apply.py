"""Applies what was kept: a batch of events that are due is one transaction, in which their handlers write too.

An event is applied as a whole or not at all. What fails, or waits too long for a lock, rolls the batch back and is
found by running the events one by one: it alone waits, with its reason. Any number of processes may do this side by
side: each skips what another one holds.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from bezant.base.db import Database, DatabaseLost, Transaction, TransactionRolledBack
from bezant.base.failpoints import reach
from bezant.base.log import logger
from bezant.inbox import rules, store
from bezant.inbox.contract import AskPsp, Effect, Handlers, Told
from bezant.inbox.front import Front
from bezant.inbox.metrics import InboxMetrics
from bezant.inbox.rereads import Rereads
from bezant.inbox.rules import Fate, Kept, NoticeClass, Status
from bezant.psp.contract import Outcome
from bezant.psp.notices import DisputeNotice, Notice, RawEvent, Webhooks
from bezant.psp.records import kept_text

_ROLLBACKS_MAX: Final = 10

_log = logger(__name__)

Fates = dict[UUID, Fate]
Answers = Mapping[int, Outcome]
_NO_ANSWERS: Final[Answers] = {}


class _Torn(Exception):
    """Part of an event was written and part of it cannot be: all of it must be rolled back, and has these fates."""

    def __init__(self, fates: Fates) -> None:
        super().__init__()
        self.fates = fates


class Apply:
    """Applies events batch by batch."""

    def __init__(
        self,
        database: Database,
        webhooks: Mapping[str, Webhooks],
        handlers: Handlers,
        ask: AskPsp,
        metrics: InboxMetrics,
        *,
        batch_max: int,
        lease_s: float,
        more_is_due: Callable[[], None],
        committed: Callable[[], None],
    ) -> None:
        self._database = database
        self._webhooks = webhooks
        self._handlers = handlers
        self._metrics = metrics
        self._batch_max = batch_max
        self._lease_s = lease_s
        self._more_is_due = more_is_due
        self._committed = committed
        self._front = Front()
        self.rereads = Rereads(ask, self._go_on, freed=self._slot_is_free)

    async def run(self) -> int:
        """Apply one batch of what is due; how many events were looked at."""
        taken = await self._settle(None)
        if taken >= self._batch_max:
            self._more_is_due()
        return taken

    async def is_due(self) -> bool:
        """Whether there is anything to apply: asked first where nobody said so, since a transaction costs more."""
        async with self._database.connection() as connection:
            is_due, now = await store.is_due(connection, self._front.begin_at(), self.rereads.busy())
        if not is_due:
            self._front.looked([], is_all=True, now=now)
        return is_due

    def _slot_is_free(self) -> None:
        self._front.go_back()
        self._more_is_due()

    async def _go_on(self, kept: Kept, answers: Answers) -> None:
        """Apply an event with what its PSP answered."""
        if (silence := rules.unanswered(answers)) is not None:
            await self._settle([kept.id], {kept.id: rules.waits(kept, silence)})
        else:
            await self._settle([kept.id], answers=answers)

    async def _settle(
        self, wanted: Sequence[UUID] | None, decided: Mapping[UUID, Fate] | None = None, answers: Answers = _NO_ANSWERS
    ) -> int:
        """Take these events, or those that are due, and settle them; how many.

        `decided`: what is known of some of them already, because an earlier transaction was rolled back for it.
        """
        decided = decided or {}
        taken: list[Kept] = []
        try:
            fates = await self._in_one_transaction(wanted, decided, answers, taken)
        except DatabaseLost:
            raise
        except _Torn as torn:
            await self._settle([kept.id for kept in taken], {**decided, **torn.fates}, answers)
        except Exception as fault:  # whatever it is, only the events at fault may wait for it
            if not taken:
                raise
            await self._one_by_one(taken, decided, answers, fault)
        else:
            self._settled(taken, fates)
        return len(taken)

    async def _one_by_one(
        self, taken: Sequence[Kept], decided: Mapping[UUID, Fate], answers: Answers, fault: Exception
    ) -> None:
        if len(taken) > 1:
            for kept in taken:
                known = {kept.id: decided[kept.id]} if kept.id in decided else {}
                await self._settle([kept.id], known, answers)
            return
        kept = taken[0]
        if kept.id in decided and decided[kept.id].is_plain:
            _log.error("inbox_event_cannot_be_settled", inbox_event=kept.id.hex, psp=kept.psp, exc_info=fault)
            return
        _log.warning("inbox_event_failed", inbox_event=kept.id.hex, psp=kept.psp, type=kept.type, exc_info=fault)
        reason = kept_text(f"{type(fault).__name__}: {fault}")
        await self._settle([kept.id], {kept.id: rules.waits(kept, reason)})

    async def _in_one_transaction(
        self, wanted: Sequence[UUID] | None, decided: Mapping[UUID, Fate], answers: Answers, taken: list[Kept]
    ) -> Fates:
        """Run it, again where the database could not tell two transactions apart. `taken` says what was locked."""
        rollbacks = 0
        while True:
            taken.clear()
            try:
                async with self._database.transaction() as transaction:
                    await store.bound_lock_waits(transaction)
                    taken += await self._take(transaction, wanted)
                    fates = await self._decide(transaction, taken, decided, answers) if taken else {}
                    if fates:
                        await store.settle(transaction, _jittered(fates))
                    reach("inbox_apply.before_commit")
                reach("inbox_apply.after_commit")
            except TransactionRolledBack:
                rollbacks += 1
                if rollbacks == _ROLLBACKS_MAX:
                    raise
                await asyncio.sleep(random.uniform(0.005, 0.05) * rollbacks)  # noqa: S311 - spread, not secret
            else:
                if wanted is None:
                    self._front.looked(taken, is_all=len(taken) < self._batch_max, now=transaction.now)
                return fates

    async def _take(self, transaction: Transaction, wanted: Sequence[UUID] | None) -> list[Kept]:
        if wanted is not None:
            return await store.take(transaction, wanted)
        return await store.take_due(transaction, self._front.begin_at(), self.rereads.busy(), self._batch_max)

    async def _decide(
        self, transaction: Transaction, taken: Sequence[Kept], decided: Mapping[UUID, Fate], answers: Answers
    ) -> Fates:
        """What becomes of each event, its handlers' effects written. Raises _Torn."""
        fates = {kept.id: decided[kept.id] for kept in taken if kept.id in decided}
        told: dict[UUID, list[Told]] = {}
        for kept in taken:
            if kept.id not in fates:
                read = self._read(kept, answers)
                if isinstance(read, Fate):
                    fates[kept.id] = read
                else:
                    told[kept.id] = read
        effects = await self._handed(transaction, told)
        torn: Fates = {}
        for kept in taken:
            if kept.id in effects:
                of_event = effects[kept.id]
                fate = rules.fate_of(kept, of_event, self._lease_s, was_asked=bool(answers))
                fates[kept.id] = fate
                if rules.is_torn(of_event, fate):
                    torn[kept.id] = fate
        if torn:
            raise _Torn(torn)
        return self._without_those_that_find_no_slot(taken, fates)

    def _read(self, kept: Kept, answers: Answers) -> Fate | list[Told]:
        """What the event says, with the PSP's answers in place of what it was told; or why nothing can be told."""
        webhooks = self._webhooks.get(kept.psp)
        if webhooks is None:
            return rules.waits(kept, f"no PSP named {kept.psp} is known")
        raw = RawEvent(event_id=kept.event_id, type=kept.type, occurred_at=kept.occurred_at, body=kept.body)
        try:
            notices = webhooks.notices(raw)
        except Exception as fault:  # what a connector cannot read must not hold up the others
            _log.warning(
                "inbox_event_unreadable", inbox_event=kept.id.hex, psp=kept.psp, type=kept.type, exc_info=fault
            )
            return rules.aside(kept, kept_text(f"it cannot be read: {type(fault).__name__}: {fault}"))
        if notices is None:
            return rules.unknown(kept)
        told: list[Told] = []
        for place, notice in enumerate(notices):
            if type(notice) not in self._handlers:
                return rules.aside(kept, rules.no_handler(type(notice)))
            told.append(_told(kept, notice, answers.get(place), is_trusted=not webhooks.rereads))
        return told

    async def _handed(self, transaction: Transaction, told: Mapping[UUID, list[Told]]) -> dict[UUID, list[Effect]]:
        """The effects of each event's notices, in their order."""
        by_class: dict[NoticeClass, list[tuple[UUID, int, Told]]] = {}
        for event_id, notices in told.items():
            for place, one in enumerate(notices):
                by_class.setdefault(type(one.notice), []).append((event_id, place, one))
        found: dict[tuple[UUID, int], Effect] = {}
        for notice_class, items in by_class.items():
            effects = await self._handlers[notice_class](transaction, [one for _, _, one in items])
            for (event_id, place, _), effect in zip(items, effects, strict=True):
                found[event_id, place] = effect
        return {event_id: [found[event_id, place] for place in range(len(all_))] for event_id, all_ in told.items()}

    def _without_those_that_find_no_slot(self, taken: Sequence[Kept], fates: Fates) -> Fates:
        """Without events whose PSP cannot be asked now: they stay as they are, and due."""
        wanting = [kept for kept in taken if kept.id in fates and fates[kept.id].asks]
        for kept in self.rereads.surplus(wanting):
            del fates[kept.id]
        return fates

    def _settled(self, taken: Sequence[Kept], fates: Fates) -> None:
        if any(fate.status is Status.APPLIED for fate in fates.values()):
            self._committed()
        for kept in taken:
            fate = fates.get(kept.id)
            if fate is None:
                continue
            self._metrics.settled(kept.psp, fate.status)
            if fate.asks:
                self.rereads.begin(kept, fate.asks)
            elif fate.status is Status.ASIDE:
                _log.warning(
                    "inbox_event_aside", inbox_event=kept.id.hex, psp=kept.psp, type=kept.type, reason=fate.reason
                )


def _told(kept: Kept, notice: Notice | DisputeNotice, answer: Outcome | None, *, is_trusted: bool) -> Told:
    is_confirmed = False
    if answer is not None and isinstance(notice, Notice):
        notice, is_confirmed = _answered(notice, answer), True
    return Told(
        event_id=kept.id,
        psp=kept.psp,
        psp_account_id=kept.psp_account_id,
        notice=notice,
        trusted=is_trusted,
        confirmed=is_confirmed,
    )


def _answered(notice: Notice, answer: Outcome) -> Notice:
    """The notice as the PSP's answer has it; names that the answer leaves out are still the notice's."""
    told = notice.outcome
    outcome = msgspec.structs.replace(
        answer,
        psp_reference=answer.psp_reference or told.psp_reference,
        operation_reference=answer.operation_reference or told.operation_reference,
        reference=answer.reference or told.reference,
    )
    return msgspec.structs.replace(notice, outcome=outcome)


def _jittered(fates: Fates) -> Fates:
    """Waits spread a little, so that what fell together does not come together."""
    return {
        event_id: fate
        if fate.wait_s is None
        else msgspec.structs.replace(fate, wait_s=fate.wait_s * random.uniform(0.9, 1.1))  # noqa: S311
        for event_id, fate in fates.items()
    }
