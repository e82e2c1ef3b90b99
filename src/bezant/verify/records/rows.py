"""What is checked row by row: stored replies, and the texts of every table."""

from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.verify.records import store
from bezant.verify.records.checks import KEY
from bezant.verify.records.texts import Texts
from bezant.verify.report import Findings, Result, Rows, shown

_EXECUTED: Final = frozenset({200, 409, 422})
"""Replies that come from execution. Whatever else is answered must not be kept."""
_OF_NO_PAYMENT: Final = ("/webhook_", "/reconciliation/")
"""In the path of calls that concern no payment: webhook endpoints and deliveries, and the operator's own."""
_HIDDEN: Final = b"\x00"
"""Stands for the client secret."""
_KEY_COLUMNS: Final = ("operation", "idempotency_key", "reply_body")


class _Reply(msgspec.Struct):
    payment_id: str | None = None


async def check_replies(rows: Rows, texts: Texts) -> tuple[Result, ...]:
    """Stored replies: each parses, came from execution and names its payment; their texts are handed to `texts`."""
    findings = Findings("stored_replies_are_sound", "Each stored reply came from execution and names its payment.")
    async for key_id, mode, operation, key, payment_id, status, body in rows.stream(store.KEYS):
        subject = shown(KEY, key_id)
        if mode == "stored":
            is_about_payment = not any(part in operation for part in _OF_NO_PAYMENT)
            fault = _fault_of_reply(status, body, payment_id, is_about_payment=is_about_payment)
            if fault:
                findings.add(subject, fault)
        elif status is not None or body is not None:
            findings.add(subject, f"{mode}, but with a reply")
        texts.look("idempotency_keys", subject, _KEY_COLUMNS, (operation, key, _text(body)))
    return (findings.result(),)


def _fault_of_reply(
    status: int | None, body: bytes | None, payment_id: UUID | None, *, is_about_payment: bool
) -> str | None:
    if status is None or body is None:
        return "stored, but without a reply"
    if status not in _EXECUTED:
        return f"a reply of {status} is stored"
    try:
        reply = msgspec.json.decode(body.replace(_HIDDEN, b""), type=_Reply)
    except msgspec.DecodeError as error:
        return f"does not parse: {error}"
    if (
        is_about_payment
        and status == 200
        and (payment_id is None or reply.payment_id != shown(ids.PAYMENT, payment_id))
    ):
        return f"names {reply.payment_id}, but is about {payment_id and shown(ids.PAYMENT, payment_id)}"
    return None


def _text(body: bytes | None) -> str | None:
    return None if body is None else body.decode("utf-8", "replace")


async def check_texts(rows: Rows, texts: Texts) -> tuple[Result, ...]:
    """Hand the texts of all other tables to `texts`; what was found in all of them."""
    for table, prefix, columns in store.TEXTS:
        async for row_id, *values in rows.stream(store.texts_of(table, columns)):
            texts.look(table, shown(prefix, row_id), columns, values)
    return texts.results()
