"""The road of a command: accept, call, record. And of a repeat: find out, then show what is."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.batch import Batcher
from bezant.base.db import WAIT_MAX_S, Connection, Database, DatabaseError
from bezant.base.errors import NotFound, OutcomeUnknown, Unavailable
from bezant.base.log import logger
from bezant.idempotency.claims import Keep, Reply
from bezant.idempotency.keys import keep_replies
from bezant.payments import store
from bezant.payments.accept import Accepted, Look, Proceed
from bezant.payments.apply import Recording
from bezant.payments.asks import ask_for
from bezant.payments.command import Command
from bezant.payments.render import ClientSecrets, payment_view, public_payment_view, refund_view
from bezant.payments.rules import HeldLease
from bezant.payments.states import Attempt, Payment
from bezant.payments.sync import Sync
from bezant.psp.call import Caller

_log = logger(__name__)

LOOK_WAIT_S = 4.0
"""How long a reader waits for what a PSP says before it is shown the state as it is."""


class Flow:
    """Performs commands and shows payments."""

    def __init__(
        self,
        database: Database,
        accept: Batcher[Command, Accepted],
        record: Batcher[Recording, Reply],
        caller: Caller,
        sync: Sync,
        secrets: ClientSecrets,
    ) -> None:
        self._database = database
        self._accept = accept
        self._record = record
        self._caller = caller
        self._sync = sync
        self._secrets = secrets
        self._withdrawing: set[asyncio.Task[None]] = set()

    async def perform(self, command: Command) -> Reply:
        """The reply to a command.

        Raises the command's refusal; DatabaseLost or Unavailable where the database was not there before a PSP was
        called, OutcomeUnknown where it was lost after. Whoever cancels it leaves an attempt that sync takes up.
        """
        accepted = await self._accept.submit(command)
        match accepted:
            case Reply():
                return accepted
            case Look():
                return await self._current_of(command, accepted)
            case Proceed():
                return await self._proceed(command, accepted)

    def withdraw(self, command: Command, accepted: Accepted) -> None:
        """The command was accepted after its client had been told that the service is unavailable: nothing is sent."""
        if isinstance(accepted, Proceed):
            task = asyncio.create_task(self._withdraw(command, accepted.attempt))
            self._withdrawing.add(task)
            task.add_done_callback(self._withdrawing.discard)

    async def _withdraw(self, command: Command, attempt: Attempt) -> None:
        try:
            async with self._database.connection() as connection:
                await store.withdraw(connection, (attempt.id, command.merchant_id), attempt.lease_until)
        except DatabaseError as error:
            _log.error("not_withdrawn", attempt=attempt.id.hex, error=str(error))

    async def drain(self, timeout_s: float) -> None:
        """Wait for what runs beside the requests, for which the server itself waits."""
        if self._withdrawing:
            await asyncio.wait(self._withdrawing, timeout=timeout_s)

    async def _proceed(self, command: Command, accepted: Proceed) -> Reply:
        payment, attempt = accepted.payment, accepted.attempt
        called = await self._caller.perform(
            payment.psp, ask_for(payment, attempt), accepted.send_before, payment.psp_account_id
        )
        recording = Recording(
            merchant_id=payment.merchant_id,
            payment_id=payment.id,
            attempt_id=attempt.id,
            refund_id=attempt.refund_id,
            operation=attempt.operation,
            outcome=called.outcome,
            requests=called.requests,
            lease=HeldLease(attempt.lease_until),
            claim=command.claim,
            from_browser=command.from_browser,
        )
        try:
            return await self._record.submit(recording)
        except Exception as fault:  # whatever it was, the PSP may have acted: sync will find out, and so may the client
            is_expected = isinstance(fault, DatabaseError | Unavailable)
            _log.error("outcome_not_recorded", attempt=attempt.id.hex, error=str(fault), exc_info=not is_expected)
            raise OutcomeUnknown from fault

    async def _current_of(self, command: Command, look: Look) -> Reply:
        merchant_id = command.merchant_id
        for attempt_id in await self._attempts_to_look_at(command, look):
            await self._wait_for_look((attempt_id, merchant_id), is_repeat=look.is_repeat, is_command=True)
        async with self._database.snapshot(WAIT_MAX_S) as connection:
            if command.verb == "refund" and look.attempt_id is not None:
                attempt = (await store.attempts(connection, [(look.attempt_id, merchant_id)]))[look.attempt_id]
                refund_id = attempt.refund_id
                if refund_id is not None:
                    refund = (await store.refunds(connection, [(refund_id, merchant_id)]))[refund_id]
                    return Reply(
                        200 if attempt.is_conclusive else 202, msgspec.json.encode(refund_view(refund)), replayed=True
                    )
            payment, attempts = await self._load(connection, merchant_id, look.payment_id)
        is_open = any(a.is_unresolved for a in attempts)
        body = self.view(payment, attempts, from_browser=command.from_browser)
        reply = Reply(202 if is_open else 200, body, replayed=look.is_repeat)
        if not is_open and not look.is_repeat:
            # A confirm that found the outcome is the first reply from execution: from now on it is what the key says.
            hidden = Reply(reply.status, self._secrets.hidden(payment.id, body))
            async with self._database.transaction() as transaction:
                await keep_replies(transaction, [Keep(command.claim.id, merchant_id, hidden)])
        return reply

    async def _attempts_to_look_at(self, command: Command, look: Look) -> list[UUID]:
        """The attempt of the key; of a confirm, which may have found one open and made none, what is open now."""
        if command.verb != "confirm":
            return [] if look.attempt_id is None else [look.attempt_id]
        async with self._database.snapshot(WAIT_MAX_S) as connection:
            _, attempts = await self._load(connection, command.merchant_id, look.payment_id)
        return [a.id for a in attempts if a.is_unresolved]

    async def show(self, merchant_id: UUID, payment_id: UUID, *, from_browser: bool = False) -> bytes:
        """The payment as it is; for a secret key what is unresolved is looked at first, once a second at most.

        Raises NotFound.
        """
        async with self._database.snapshot(WAIT_MAX_S) as connection:
            payment, attempts = await self._load(connection, merchant_id, payment_id)
        unresolved = [] if from_browser else [a for a in attempts if a.is_unresolved]
        if unresolved:
            looks = [self._wait_for_look((a.id, merchant_id)) for a in unresolved[:4]]
            await asyncio.gather(*looks)
            async with self._database.snapshot(WAIT_MAX_S) as connection:
                payment, attempts = await self._load(connection, merchant_id, payment_id)
        return self.view(payment, attempts, from_browser=from_browser)

    def view(self, payment: Payment, attempts: list[Attempt], *, from_browser: bool) -> bytes:
        """The payment as JSON."""
        if from_browser:
            return msgspec.json.encode(public_payment_view(payment))
        view = payment_view(payment, attempts, datetime.now(UTC), self._secrets)
        return msgspec.json.encode(view)

    async def _wait_for_look(
        self, key: tuple[UUID, UUID], *, is_repeat: bool = False, is_command: bool = False
    ) -> None:
        look = self._sync.look(key, is_repeat=is_repeat, is_command=is_command)
        try:
            await asyncio.wait_for(asyncio.shield(look), LOOK_WAIT_S)
        except TimeoutError:
            _log.info("still_looking", attempt=key[0].hex)

    async def _load(self, connection: Connection, merchant_id: UUID, payment_id: UUID) -> tuple[Payment, list[Attempt]]:
        payment = (await store.payments(connection, [(payment_id, merchant_id)])).get(payment_id)
        if payment is None:
            raise NotFound("There is no such payment.")
        family = (payment_id, merchant_id, *ids.family_range(payment_id))
        return payment, await store.open_attempts(connection, [family])
