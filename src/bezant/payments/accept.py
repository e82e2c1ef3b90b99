"""Accept: transaction 1 of every command. The key is claimed, the command decided, the attempt committed.

A batch of commands is one transaction: keys first, then the payments under their locks, then every decision in pure
Python in order of arrival, then one statement per table. Two commands on one payment see each other.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Database, Transaction
from bezant.base.errors import ApiError, Busy, Conflict, Unauthorized, Unprocessable, problem_document
from bezant.base.failpoints import reach
from bezant.idempotency.claims import Claimed, Mode, Reply
from bezant.idempotency.keys import Keep, claim_keys, claimed_keys, forget_keys, keep_replies
from bezant.merchants.access import Access, look_up
from bezant.payments import cancel, capture, confirm, create, refund, store
from bezant.payments.changes import Ages, Changes
from bezant.payments.command import Command, Scene
from bezant.payments.render import ClientSecrets, payment_view, public_payment_view
from bezant.payments.states import Attempt, AttemptStatus, Payment, Refund
from bezant.payments.write import write
from bezant.psp.contract import Manifest

VERBS: Mapping[str, Callable[[Scene], Attempt | None]] = {
    "create": create.decide,
    "confirm": confirm.decide,
    "capture": capture.decide,
    "cancel": cancel.decide,
    "refund": refund.decide,
}


class Proceed(msgspec.Struct, frozen=True):
    """Accepted: the caller holds the attempt's lease and calls the PSP, before `send_before` of its monotonic clock."""

    payment: Payment
    attempt: Attempt
    refund: Refund | None
    send_before: float


class Look(msgspec.Struct, frozen=True):
    """Nothing new is to be done: find out what became of the payment's open attempts, then show it as it is."""

    payment_id: UUID
    attempt_id: UUID | None
    is_repeat: bool


Accepted = Proceed | Look | Reply


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What accept goes by: times, PSPs, how replies are made."""

    lease_s: float
    call_timeout_s: float
    window_s: int
    ages: Ages
    manifests: Mapping[str, Manifest]
    own_psps: Collection[str]
    secrets: ClientSecrets


class Accept:
    """Runs batches of commands, one transaction each."""

    def __init__(self, database: Database, terms: Terms) -> None:
        self._database = database
        self._terms = terms

    async def __call__(self, commands: Sequence[Command]) -> Sequence[Accepted | BaseException]:
        """Each command's result or its own refusal, once all is committed."""
        operations = [c.verb for c in commands]
        reach("accept.before_begin", operations)
        began_at = time.monotonic()
        async with self._database.transaction() as transaction:
            batch = _Batch(transaction, self._terms, began_at)
            results = await batch.run(commands)
            reach("accept.before_commit", operations)
        reach("accept.after_commit", operations)
        return results


class _Batch:
    """One transaction of accept."""

    def __init__(self, transaction: Transaction, terms: Terms, began_at: float) -> None:
        self._transaction = transaction
        self._terms = terms
        self._changes = Changes(transaction.now, transaction.xid, terms.ages)
        self._send_before = began_at + terms.lease_s - terms.call_timeout_s
        self._kept: list[Keep] = []
        self._forgotten: list[tuple[UUID, UUID]] = []

    async def run(self, commands: Sequence[Command]) -> Sequence[Accepted | BaseException]:
        access = await look_up(self._transaction, (c.key_id for c in commands))
        fresh, repeated = await self._claim([c for c in commands if _speaks(access, c)])
        payments, attempts = await self._load([c for c in commands if c.claim.claim_id in fresh and c.verb != "create"])
        results: list[Accepted | BaseException] = []
        for command in commands:
            claim_id = command.claim.claim_id
            if not _speaks(access, command):
                results.append(Unauthorized("The key was revoked."))
            elif claim_id in fresh:
                payment = payments.get(command.payment_id)
                open_attempts = attempts.get(command.payment_id, [])
                results.append(self._decide(command, access[command.key_id], payment, open_attempts))
            else:
                results.append(repeated[claim_id])
        await write(self._transaction, self._changes)
        if self._kept:
            await keep_replies(self._transaction, self._kept)
        if self._forgotten:
            await forget_keys(self._transaction, self._forgotten)
        return results

    async def _claim(self, commands: Sequence[Command]) -> tuple[set[UUID], dict[UUID, Accepted | BaseException]]:
        """The claims that are fresh, by claim id; and what each repeated key says."""
        first: dict[UUID, Command] = {}
        for command in commands:
            first.setdefault(command.claim.id, command)
        wanted = sorted((c.claim for c in first.values()), key=lambda claim: claim.id)
        ours = await claim_keys(self._transaction, wanted) if wanted else set[UUID]()
        fresh = {c.claim.claim_id for c in first.values() if c.claim.id in ours}
        late = [c for c in commands if c.claim.claim_id not in fresh]
        stored = await self._stored([c for c in late if c.claim.id not in ours])
        repeated = {
            c.claim.claim_id: stored[c.claim.id].answer(c, self._send_before)
            if c.claim.id in stored
            else _same_key_beside(c, first[c.claim.id])
            for c in late
        }
        return fresh, repeated

    async def _stored(self, commands: Sequence[Command]) -> dict[UUID, "_Stored"]:
        if not commands:
            return {}
        keys = {(c.claim.id, c.merchant_id) for c in commands}
        claimed = await claimed_keys(self._transaction.connection, list(keys))
        wanted = [(k.attempt_id, k.merchant_id) for k in claimed.values() if k.attempt_id is not None]
        attempts = await store.attempts(self._transaction.connection, wanted)
        own = {c.claim.claim_id for c in commands}
        lost = [k for k in claimed.values() if k.claim_id in own and k.payment_id is not None]
        payments = await store.payments(
            self._transaction.connection, [(k.payment_id, k.merchant_id) for k in lost if k.payment_id is not None]
        )
        refund_keys = [(a.refund_id, a.merchant_id) for a in attempts.values() if a.refund_id is not None]
        refunds = await store.refunds(self._transaction.connection, refund_keys) if lost and refund_keys else {}
        return {
            key.id: _Stored(
                key,
                attempts.get(key.attempt_id) if key.attempt_id else None,
                payments.get(key.payment_id) if key.payment_id else None,
                refunds,
                self._transaction,
                self._terms.secrets,
            )
            for key in claimed.values()
        }

    async def _load(self, commands: Sequence[Command]) -> tuple[dict[UUID, Payment], dict[UUID, list[Attempt]]]:
        keys = {(c.payment_id, c.merchant_id) for c in commands}
        if not keys:
            return {}, {}
        payments = await store.lock_payments(self._transaction, keys)
        families = [(p.id, p.merchant_id, *ids.family_range(p.id)) for p in payments.values()]
        attempts: dict[UUID, list[Attempt]] = {}
        if families:
            for attempt in await store.open_attempts(self._transaction.connection, families):
                attempts.setdefault(attempt.payment_id, []).append(attempt)
        return payments, attempts

    def _decide(
        self, command: Command, access: Access, payment: Payment | None, attempts: list[Attempt]
    ) -> Accepted | BaseException:
        scene = Scene(
            command=command,
            access=access,
            payment=payment,
            attempts=attempts,
            manifests=self._terms.manifests,
            own_psps=self._terms.own_psps,
            changes=self._changes,
            lease=timedelta(seconds=self._terms.lease_s),
            window=timedelta(seconds=self._terms.window_s),
        )
        try:
            attempt = VERBS[command.verb](scene)
        except ApiError as refusal:
            return self._refuse(command, refusal)
        payment = payment or self._changes.payments_new[command.payment_id]
        if attempt is None:
            return self._done(command, payment)
        if attempt.id not in self._changes.attempts_new:
            self._kept.append(Keep(command.claim.id, command.merchant_id, None))
            return Look(payment.id, attempt.id, is_repeat=False)
        attempts.append(attempt)
        refund_of = self._changes.refunds_new.get(attempt.refund_id) if attempt.refund_id else None
        return Proceed(payment, attempt, refund_of, self._send_before)

    def _refuse(self, command: Command, refusal: ApiError) -> Accepted | BaseException:
        """What executed and was refused keeps its reply; what was not let in gives its key back."""
        if isinstance(refusal, Conflict | Unprocessable):
            reply = Reply(int(refusal.status), problem_document(refusal, command.request_id))
            self._kept.append(Keep(command.claim.id, command.merchant_id, reply))
            return reply
        self._forgotten.append((command.claim.id, command.merchant_id))
        return refusal

    def _done(self, command: Command, payment: Payment) -> Reply:
        view = (
            public_payment_view(payment)
            if command.from_browser
            else payment_view(payment, (), self._transaction.now, self._terms.secrets)
        )
        reply = Reply(200, msgspec.json.encode(view))
        hidden = Reply(reply.status, self._terms.secrets.hidden(payment.id, reply.body))
        self._kept.append(Keep(command.claim.id, command.merchant_id, hidden))
        return reply


class _Stored(msgspec.Struct):
    """A key that was claimed before, with its attempt."""

    key: Claimed
    attempt: Attempt | None
    payment: Payment | None
    refunds: Mapping[UUID, Refund]
    transaction: Transaction
    secrets: ClientSecrets

    def answer(self, command: Command, send_before: float) -> Accepted | BaseException:
        """What the key says to this command."""
        key, attempt = self.key, self.attempt
        if key.request_hash != command.claim.request_hash:
            return _reused()
        if key.mode == Mode.STORED and key.reply_status is not None and key.reply_body is not None:
            body = key.reply_body if key.payment_id is None else self.secrets.shown(key.payment_id, key.reply_body)
            return Reply(key.reply_status, body, replayed=key.claim_id != command.claim.claim_id)
        if key.claim_id == command.claim.claim_id and attempt is not None and self.payment is not None:
            # Our own claim: COMMIT went through and only its answer was lost. The lease has been running since then.
            refund_of = self.refunds.get(attempt.refund_id) if attempt.refund_id else None
            elapsed_s = (self.transaction.now - attempt.created_at).total_seconds()
            return Proceed(self.payment, attempt, refund_of, send_before - elapsed_s)
        is_being_sent = attempt is not None and attempt.status == AttemptStatus.SENDING
        if attempt is not None and is_being_sent and attempt.lease_until >= self.transaction.now:
            return _in_use()
        if key.payment_id is None:
            return _in_use()
        return Look(key.payment_id, key.attempt_id, is_repeat=True)


def _speaks(access: Mapping[UUID, Access], command: Command) -> bool:
    found = access.get(command.key_id)
    return found is not None and found.key_is_valid and found.merchant_id == command.merchant_id


def _same_key_beside(command: Command, first: Command) -> BaseException:
    return _in_use() if command.claim.request_hash == first.claim.request_hash else _reused()


def _in_use() -> Busy:
    return Busy("idempotency_key_in_use", "A request with this Idempotency-Key is still in flight.", retry_after_s=1)


def _reused() -> Unprocessable:
    return Unprocessable("idempotency_key_reused", "This Idempotency-Key was used with another request.")
