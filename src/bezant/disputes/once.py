"""A change of a dispute by the API, once per Idempotency-Key, in one transaction with its reply or its intent."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Database, Transaction
from bezant.base.errors import Conflict, Unauthorized, Unprocessable
from bezant.idempotency.claims import Claim, Keep, Mode, key_id, request_hash
from bezant.idempotency.claims import Reply as KeptReply
from bezant.idempotency.keys import claim_keys, claimed_keys, keep_replies
from bezant.merchants.access import look_up
from bezant.web import Call, Reply, problem_reply

PaymentOf = Callable[[Transaction], Awaitable[UUID]]
Work = Callable[[Transaction], Awaitable[KeptReply | None]]


class Begun(msgspec.Struct, frozen=True):
    """The intent is committed; what comes of it is not known yet."""


class Again(msgspec.Struct, frozen=True):
    """The key was used before for this, and its reply is not kept: the dispute is to be shown as it is."""


class Once:
    """Runs changes once per key. Disputes go on whatever becomes of their merchant: only his key has to be valid."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, call: Call, payment_of: PaymentOf, perform: Work) -> Reply | Begun | Again:
        """What `perform` replies, or what it replied before; Begun where it has begun something and replies nothing.

        `perform` refuses before it writes. Raises NotFound, Unauthorized, Unprocessable (`idempotency_key_reused`).
        """
        async with self._database.transaction() as transaction:
            access = await look_up(transaction, [call.principal.key_id])
            if call.principal.key_id not in access or not access[call.principal.key_id].key_is_valid:
                raise Unauthorized("The key was revoked.")
            claim = _claim(call, await payment_of(transaction))
            if claim is None:
                reply = await perform(transaction)
                return Begun() if reply is None else Reply(reply.status, reply.body)
            if not await claim_keys(transaction, [claim]):
                return await _before(transaction, claim)
            refusal: Reply | None = None
            try:
                reply = await perform(transaction)
            except (Conflict, Unprocessable) as refused:
                refusal = problem_reply(refused, call.request_id)
                reply = KeptReply(refusal.status, refusal.body)
            await keep_replies(transaction, [Keep(claim.id, claim.merchant_id, reply)])
        if refusal is not None:
            return refusal
        return Begun() if reply is None else Reply(reply.status, reply.body)

    async def keep(self, transaction: Transaction, call: Call, reply: KeptReply) -> None:
        """From now on a repeat of the call gets this reply."""
        claim_id = _key_id(call)
        if claim_id is not None:
            await keep_replies(transaction, [Keep(claim_id, call.principal.merchant_id, reply)])


async def _before(transaction: Transaction, claim: Claim) -> Reply | Again:
    known = (await claimed_keys(transaction.connection, [(claim.id, claim.merchant_id)]))[claim.id]
    if known.request_hash != claim.request_hash:
        raise Unprocessable("idempotency_key_reused", "This Idempotency-Key was sent with another request.")
    if known.mode != Mode.STORED or known.reply_status is None or known.reply_body is None:
        return Again()
    content_type = "application/json" if known.reply_status < 400 else "application/problem+json"
    return Reply(known.reply_status, known.reply_body, {"Idempotent-Replayed": "true"}, content_type)


def _key_id(call: Call) -> UUID | None:
    if call.idempotency_key is None:
        return None
    return key_id(call.principal.merchant_id, f"{call.method} {call.path}", call.idempotency_key)


def _claim(call: Call, payment_id: UUID) -> Claim | None:
    claim_id = _key_id(call)
    if claim_id is None or call.idempotency_key is None:
        return None
    return Claim(
        id=claim_id,
        merchant_id=call.principal.merchant_id,
        operation=f"{call.method} {call.path}",
        idempotency_key=call.idempotency_key,
        request_hash=request_hash(call.body),
        claim_id=ids.new_id(),
        payment_id=payment_id,
    )
