"""Find out what became of attempts that nobody answered for: by evidence, never by a guess.

Runs after a start and on a schedule with back-off for whatever is due, and at once where a client repeats its key or
a secret key asks for the payment. One taker at a time: an attempt is taken up only when its lease is dead, by writing
a new one on the database's clock.
"""

import asyncio
import time
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from bezant.base.batch import Batcher
from bezant.base.db import Database, DatabaseError
from bezant.base.errors import ApiError
from bezant.base.log import logger
from bezant.idempotency.claims import Reply
from bezant.payments import store
from bezant.payments.apply import Recording
from bezant.payments.asks import ask_for
from bezant.payments.rules import NOT_PROCESSED, HeldLease
from bezant.payments.states import Attempt, AttemptStatus, Payment
from bezant.psp.call import Called, Caller, not_set_up
from bezant.psp.contract import Ask, Outcome, PspSilence, Resolution, Verdict

_log = logger(__name__)

_QUIET = timedelta(seconds=1)
_SWEPT_AT_ONCE = 16
"""Attempts of one PSP that a process looks at side by side when nobody waits for them."""

Key = tuple[UUID, UUID]


class SyncTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How long a lease lasts, how much of it a call may take, and the customer's window."""

    lease_s: float
    call_timeout_s: float
    window_s: int


class Sync:
    """Resolves attempts, each by one taker at a time in this process and over all processes."""

    def __init__(self, database: Database, caller: Caller, record: Batcher[Recording, Reply], terms: SyncTerms) -> None:
        self._database = database
        self._caller = caller
        self._record = record
        self._terms = terms
        self._in_flight: dict[UUID, asyncio.Task[None]] = {}
        self._swept: dict[str, dict[UUID, asyncio.Task[None]]] = {psp: {} for psp in caller.psps}

    async def look(self, key: Key, *, is_repeat: bool, is_command: bool) -> None:
        """Try to resolve the attempt (id, merchant) now, joined by whoever asks meanwhile.

        `is_repeat`: the client itself asks again, so an authorization may be executed within a new window. A read looks
        at most once a second; with `is_command` somebody waits for what has just been decided, so it looks at once:
        if a sweep is looking already, once that is done, since it may have asked before.
        """
        sweeps = [running[key[0]] for running in self._swept.values() if key[0] in running]
        if sweeps:
            await asyncio.wait(sweeps)
        task = self._in_flight.get(key[0])
        if task is None:
            task = asyncio.create_task(self._round(key, is_repeat, None if is_command else _QUIET))
            self._in_flight[key[0]] = task
            task.add_done_callback(lambda _: self._in_flight.pop(key[0], None))
        await asyncio.shield(task)

    async def sweep(self) -> int:
        """Begin to look at what is due and at what dead processes left behind; how many attempts.

        Each PSP has slots of its own and nobody is waited for, so that one that hangs delays no other.
        """
        begun = 0
        for psp, running in self._swept.items():
            free = _SWEPT_AT_ONCE - len(running)
            if free:
                async with self._database.connection() as connection:
                    keys = await store.abandoned(connection, psp, _SWEPT_AT_ONCE)
                    keys += await store.due(connection, psp, _SWEPT_AT_ONCE)
                for key in [key for key in keys if key[0] not in running][:free]:
                    running[key[0]] = asyncio.create_task(self._sweep_one(key, running))
                    begun += 1
        return begun

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is being looked at; the rest is taken up by others when its lease is dead."""
        tasks = [*self._in_flight.values(), *(task for running in self._swept.values() for task in running.values())]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    async def _sweep_one(self, key: Key, running: dict[UUID, asyncio.Task[None]]) -> None:
        try:
            await self._round(key, is_repeat=False, quiet=None)
        except (DatabaseError, ApiError, PspSilence) as error:
            _log.warning("sync_failed", attempt=key[0].hex, error=str(error))
        finally:
            del running[key[0]]

    async def _round(self, key: Key, is_repeat: bool, quiet: timedelta | None) -> None:
        began_at = time.monotonic()
        lease = timedelta(seconds=self._terms.lease_s)
        window = timedelta(seconds=self._terms.window_s) if is_repeat else None
        async with self._database.connection() as connection:
            taken = await store.take_up(connection, key, lease, window, quiet)
            if taken is None:
                return
            attempt, lease_ended_at, now = taken
            payment = (await store.payments(connection, [(attempt.payment_id, attempt.merchant_id)]))[
                attempt.payment_id
            ]
        send_before = began_at + self._terms.lease_s - self._terms.call_timeout_s
        called, was_sent = await self._find_out(payment, attempt, lease_ended_at, now, send_before)
        await self._record.submit(
            Recording(
                merchant_id=attempt.merchant_id,
                payment_id=attempt.payment_id,
                attempt_id=attempt.id,
                refund_id=attempt.refund_id,
                operation=attempt.operation,
                outcome=called.outcome,
                requests=called.requests,
                lease=HeldLease(attempt.lease_until, None if was_sent else lease_ended_at),
            )
        )

    async def _find_out(
        self, payment: Payment, attempt: Attempt, lease_ended_at: datetime, now: datetime, send_before: float
    ) -> tuple[Called, bool]:
        """What came of it, and whether it was sent again."""
        ask = ask_for(payment, attempt)
        account_id = payment.psp_account_id
        endpoint = await self._caller.endpoint(attempt.psp, account_id)
        if endpoint is None:
            return Called(Outcome(verdict=Verdict.UNKNOWN, detail=not_set_up(attempt.psp, account_id))), False
        resolution = endpoint.connector.manifest.resolution[ask.operation]
        looked = await self._look_up(payment, ask, resolution)
        if looked.outcome.verdict not in (Verdict.NOT_FOUND, Verdict.NOT_EXECUTED):
            return looked, False
        was_held = attempt.status == AttemptStatus.PENDING or attempt.psp_reference is not None
        if looked.outcome.verdict is Verdict.NOT_FOUND and was_held:
            return _with(looked, Outcome(verdict=Verdict.UNKNOWN, detail="held before, not found now")), False
        if may_send(attempt, resolution, now):
            sent = await self._caller.perform(attempt.psp, ask, send_before, account_id)
            return Called(sent.outcome, (*looked.requests, *sent.requests)), True
        is_not_found = looked.outcome.verdict is Verdict.NOT_FOUND and resolution.lookup
        if is_not_found and not_found_is_evidence(lease_ended_at, resolution, now):
            return _with(looked, Outcome(verdict=Verdict.DECLINED, failure=NOT_PROCESSED)), False
        return _with(looked, Outcome(verdict=Verdict.UNKNOWN, detail="not found yet")), False

    async def _look_up(self, payment: Payment, ask: Ask, resolution: Resolution) -> Called:
        if not resolution.lookup:
            return Called(Outcome(verdict=Verdict.NOT_FOUND, detail="this PSP cannot be asked by our reference"))
        return await self._caller.fetch(payment.psp, ask, payment.psp_account_id)


def may_send(attempt: Attempt, resolution: Resolution, now: datetime) -> bool:
    """Whether the call may be repeated under the same key: it executes if the first never arrived.

    Within the PSP's key life; and never after `execute_until`, for an authorization the end of the customer's window.
    """
    return now < attempt.execute_until and now < attempt.created_at + timedelta(seconds=resolution.replay_s)


def not_found_is_evidence(lease_ended_at: datetime, resolution: Resolution, now: datetime) -> bool:
    """Whether "not found" proves that nothing happened.

    The last lease, which covers the call's time-out, ended long enough ago.
    """
    return now > lease_ended_at + timedelta(seconds=resolution.visibility_lag_s)


def _with(called: Called, outcome: Outcome) -> Called:
    return Called(outcome, called.requests)
