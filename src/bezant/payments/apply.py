"""Record: transaction 2, where all roads end; alone moves a payment from one state to another after its insert.

The reply of the PSP, sync, a person's resolution (and later webhooks and reports) all bring an outcome of an attempt.
A batch of outcomes is one transaction: payments under their locks in key order, `rules.conclude` for each in order of
arrival, then state, journal, event and stored reply in one statement per table.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from bezant.audit.record import By, record
from bezant.base import ids
from bezant.base.db import Database, Transaction
from bezant.base.failpoints import reach
from bezant.idempotency.claims import Claim, Keep, Reply
from bezant.idempotency.keys import keep_replies
from bezant.payments import store
from bezant.payments.changes import Ages, Changes
from bezant.payments.render import ClientSecrets, payment_view, public_payment_view, refund_view
from bezant.payments.rules import HeldLease, conclude, conclude_superseded
from bezant.payments.states import Attempt, AttemptStatus, Payment, Refund
from bezant.payments.write import write
from bezant.psp.contract import Operation, Outcome
from bezant.psp.log import keep_requests
from bezant.psp.records import RequestLog


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome of an attempt on its way into the books. With a claim, its reply is kept under the key."""

    merchant_id: UUID
    payment_id: UUID
    attempt_id: UUID
    refund_id: UUID | None
    operation: str
    outcome: Outcome
    requests: tuple[RequestLog, ...] = ()
    lease: HeldLease | None = None
    claim: Claim | None = None
    from_browser: bool = False
    by: By | None = None


class Apply:
    """Runs batches of recordings, one transaction each. Repeating a batch changes nothing more."""

    def __init__(self, database: Database, ages: Ages, secrets: ClientSecrets) -> None:
        self._database = database
        self._ages = ages
        self._secrets = secrets

    async def __call__(self, recordings: Sequence[Recording]) -> Sequence[Reply | BaseException]:
        """The reply to each recording: the payment or refund right after its effect."""
        operations = [r.operation for r in recordings]
        reach("record.before_begin", operations)
        async with self._database.transaction() as transaction:
            batch = _Batch(transaction, Changes(transaction.now, transaction.xid, self._ages), self._secrets)
            replies = await batch.run(recordings)
            reach("record.before_commit", operations)
        reach("record.after_commit", operations)
        return replies


class _Batch:
    def __init__(self, transaction: Transaction, changes: Changes, secrets: ClientSecrets) -> None:
        self._transaction = transaction
        self._changes = changes
        self._secrets = secrets

    async def run(self, recordings: Sequence[Recording]) -> Sequence[Reply | BaseException]:
        connection = self._transaction.connection
        payments = await store.lock_payments(self._transaction, {(r.payment_id, r.merchant_id) for r in recordings})
        attempts = await store.attempts(connection, {(r.attempt_id, r.merchant_id) for r in recordings})
        refund_keys = {(r.refund_id, r.merchant_id) for r in recordings if r.refund_id is not None}
        refunds = await store.refunds(connection, refund_keys) if refund_keys else {}
        beside = await self._beside(recordings, attempts)
        replies: list[Reply | BaseException] = []
        kept: list[Keep] = []
        for r in recordings:
            payment, attempt = payments[r.payment_id], attempts[r.attempt_id]
            refund = refunds.get(r.refund_id) if r.refund_id is not None else None
            was_open = not attempt.is_conclusive
            self._conclude(payment, attempt, refund, r, beside.get(payment.id, []))
            reply = self._reply(payment, attempt, refund, r, beside.get(payment.id, []))
            replies.append(reply)
            if r.claim is not None:
                is_ours = was_open or (r.lease is not None and attempt.lease_until == r.lease.until)
                is_final = is_ours and attempt.is_conclusive
                hidden = Reply(reply.status, self._secrets.hidden(payment.id, reply.body)) if is_final else None
                kept.append(Keep(r.claim.id, r.merchant_id, hidden))
        await write(self._transaction, self._changes)
        await keep_requests(
            self._transaction, [(r.merchant_id, r.attempt_id, log) for r in recordings for log in r.requests]
        )
        await keep_replies(self._transaction, kept)
        await self._audit(recordings)
        return replies

    async def _beside(
        self, recordings: Sequence[Recording], attempts: dict[UUID, Attempt]
    ) -> dict[UUID, list[Attempt]]:
        """What else is open of payments that had operations after their authorization."""
        keys = {
            (r.payment_id, r.merchant_id, *ids.family_range(r.payment_id))
            for r in recordings
            if r.operation != Operation.AUTHORIZE
        }
        found: dict[UUID, list[Attempt]] = {}
        for attempt in await store.open_attempts(self._transaction.connection, list(keys)) if keys else ():
            found.setdefault(attempt.payment_id, []).append(attempts.get(attempt.id, attempt))
        return found

    def _conclude(
        self, payment: Payment, attempt: Attempt, refund: Refund | None, r: Recording, beside: Iterable[Attempt]
    ) -> None:
        was_open = not attempt.is_conclusive
        conclude(self._changes, payment, attempt, refund, r.outcome, r.lease)
        if attempt.operation == Operation.CANCEL and was_open and attempt.is_conclusive:
            for other in beside:
                if other.status == AttemptStatus.SUPERSEDED:
                    conclude_superseded(self._changes, other, attempt)

    def _reply(
        self, payment: Payment, attempt: Attempt, refund: Refund | None, r: Recording, beside: Iterable[Attempt]
    ) -> Reply:
        status = 200 if attempt.is_conclusive else 202
        if refund is not None:
            return Reply(status, msgspec.json.encode(refund_view(refund)))
        if r.from_browser:
            return Reply(status, msgspec.json.encode(public_payment_view(payment)))
        view = payment_view(payment, [attempt, *beside], self._transaction.now, self._secrets)
        return Reply(status, msgspec.json.encode(view))

    async def _audit(self, recordings: Iterable[Recording]) -> None:
        for r in recordings:
            if r.by is not None:
                subject, detail = ids.show(ids.ATTEMPT, r.attempt_id), msgspec.to_builtins(r.outcome)
                await record(self._transaction, r.by, "resolve_attempt", subject, r.merchant_id, detail)
