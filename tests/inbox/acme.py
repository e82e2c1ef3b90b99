"""Acme, a PSP of these tests: its signature, its events, and what it answers when it is asked."""

import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from bezant.psp.contract import Credentials, Operation, Outcome, Verdict
from bezant.psp.notices import (
    TOLERANCE_S,
    DisputeNotice,
    Notice,
    Notices,
    RawEvent,
    WebhookRefused,
    WebhookRequest,
    Webhooks,
)

BODY_MAX, CARELESS_BODY_MAX = 20_000, 30_000
AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Event(msgspec.Struct):
    """One of Acme's events. `refs`: the operations that it tells of."""

    id: str
    type: str
    at: datetime
    refs: list[str] = []


def event(event_id: str, *refs: str, type_: str = "op.done", at: datetime = AT) -> dict[str, Any]:
    """An event as Acme writes it."""
    return {"id": event_id, "type": type_, "at": at.isoformat(), "refs": list(refs)}


def body_of(*events: dict[str, Any]) -> bytes:
    """A webhook with these events."""
    return json.dumps(events).encode()


def signature(body: bytes, secret: str, at_s: float | None = None) -> str:
    """The header with which Acme signs."""
    at_s = time.time() if at_s is None else at_s
    digest = hmac.new(secret.encode(), b"%d." % int(at_s) + body, hashlib.sha256).hexdigest()
    return f"t={int(at_s)},v1={digest}"


def accept(
    request: WebhookRequest, secrets: Sequence[str], _credentials: Credentials, now: datetime
) -> Sequence[RawEvent]:
    """Verify over the raw bytes, then take apart."""
    header = request.headers.get("acme-signature", "")
    stamp, _comma, digest = header.removeprefix("t=").partition(",v1=")
    if not stamp.isdigit():
        raise WebhookRefused("signature_invalid", "There is no signature.")
    signed = [hmac.new(s.encode(), stamp.encode() + b"." + request.body, hashlib.sha256).hexdigest() for s in secrets]
    if not any(hmac.compare_digest(digest.encode(), each.encode()) for each in signed):
        raise WebhookRefused("signature_invalid", "The signature does not match.")
    if abs(now.timestamp() - int(stamp)) > TOLERANCE_S:
        raise WebhookRefused("signature_stale", "The signature is too old.")
    events = msgspec.json.decode(request.body, type=list[Event])
    return [RawEvent(event_id=e.id, type=e.type, occurred_at=e.at, body=msgspec.json.encode(e)) for e in events]


def notices(raw: RawEvent) -> Notices | None:
    """`op.*` tells of operations, `dispute.*` of a dispute, `meaningless` of nothing; the rest is unknown."""
    if raw.type == "meaningless":
        return ()
    if raw.type == "op.broken":
        raise ValueError("no such shape, see sk_test_0123456789abcdef")
    told = msgspec.json.decode(raw.body, type=Event)
    if raw.type.startswith("dispute."):
        return [_dispute(ref) for ref in told.refs]
    if raw.type == "op.disputed":
        return [_approved(told.refs[0]), *(_dispute(ref) for ref in told.refs[1:])]
    return [_approved(ref) for ref in told.refs] if raw.type.startswith("op.") else None


def _approved(ref: str) -> Notice:
    outcome = Outcome(
        verdict=Verdict.APPROVED, operation_reference=ref, psp_reference="ch_1", amount_minor=100, currency="USD"
    )
    return Notice(operation=Operation.CAPTURE, outcome=outcome)


def _dispute(ref: str) -> DisputeNotice:
    return DisputeNotice(
        dispute_reference=ref, psp_reference="ch_1", status="needs_response", amount_minor=100, currency="USD"
    )


ACME = Webhooks(accept=accept, notices=notices, body_max_bytes=BODY_MAX)
CARELESS = Webhooks(accept=accept, notices=notices, rereads=True, body_max_bytes=CARELESS_BODY_MAX)
"""Signs too little: whatever it tells is asked again."""

WEBHOOKS = {"acme": ACME, "careless": CARELESS}
