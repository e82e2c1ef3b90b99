"""A change by the API, once per Idempotency-Key, in one transaction with its reply.

The key's scope is merchant and operation with its path. A reply that shows a secret is not kept: a repeat of such a
call gets the resource as it is then.
"""

from collections.abc import Awaitable, Callable

from bezant.base import ids
from bezant.base.db import Database, Transaction
from bezant.base.errors import Conflict, Forbidden, Unauthorized, Unprocessable
from bezant.idempotency.claims import Claim, Keep, Mode, key_id, request_hash
from bezant.idempotency.claims import Reply as KeptReply
from bezant.idempotency.keys import claim_keys, claimed_keys, keep_replies
from bezant.web import Call, Reply, problem_reply
from bezant.webhooks import store

Work = Callable[[Transaction, Claim | None], Awaitable[Reply]]


async def once(database: Database, call: Call, perform: Work, current: Work | None = None) -> Reply:
    """What `perform` replies, or what it replied before; with `current`, that instead.

    `perform` refuses before it writes. Raises Unprocessable (`idempotency_key_reused`), Unauthorized, Forbidden.
    """
    claim = _claim(call)
    async with database.transaction() as transaction:
        await _require_access(transaction, call)
        if claim is None:
            return await perform(transaction, None)
        if not await claim_keys(transaction, [claim]):
            return await _again(transaction, claim, current)
        try:
            reply = await perform(transaction, claim)
        except (Conflict, Unprocessable) as refusal:
            reply = problem_reply(refusal, call.request_id)
        is_shown_anew = current is not None and reply.status < 400
        kept = None if is_shown_anew else KeptReply(reply.status, reply.body)
        await keep_replies(transaction, [Keep(claim.id, claim.merchant_id, kept)])
    return reply


async def _again(transaction: Transaction, claim: Claim, current: Work | None) -> Reply:
    key = (claim.id, claim.merchant_id)
    known = (await claimed_keys(transaction.connection, [key]))[claim.id]
    if known.request_hash != claim.request_hash:
        raise Unprocessable("idempotency_key_reused", "This Idempotency-Key was sent with another request.")
    if known.mode != Mode.STORED or known.reply_status is None or known.reply_body is None:
        assert current is not None  # only what is shown anew is not stored
        return await current(transaction, claim)
    content_type = "application/json" if known.reply_status < 400 else "application/problem+json"
    return Reply(known.reply_status, known.reply_body, {"Idempotent-Replayed": "true"}, content_type)


async def _require_access(transaction: Transaction, call: Call) -> None:
    """The key and its merchant as they are at this moment: a revoked key points no events anywhere."""
    row = await store.access(transaction.connection, call.principal.key_id)
    if row is None or not row[0]:
        raise Unauthorized
    if row[1] == "closed":
        raise Forbidden("merchant_inactive", "The merchant is closed: everything can be read, nothing changed.")


def _claim(call: Call) -> Claim | None:
    if call.idempotency_key is None:
        return None
    merchant_id, operation = call.principal.merchant_id, f"{call.method} {call.path}"
    return Claim(
        id=key_id(merchant_id, operation, call.idempotency_key),
        merchant_id=merchant_id,
        operation=operation,
        idempotency_key=call.idempotency_key,
        request_hash=request_hash(call.body),
        claim_id=ids.new_id(),
    )
