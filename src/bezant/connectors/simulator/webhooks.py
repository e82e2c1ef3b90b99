"""What the simulator tells unasked: signed as real PSPs do, in the words of its API's answers.

`Simulator-Signature: t=<seconds since 1970>,v1=<hex HMAC-SHA256 of "<t>.<body>">`, with a `v1` for each secret while
one is replaced.
"""

import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final

import msgspec

from bezant.connectors.simulator import mapping
from bezant.connectors.simulator.calls import notice_of_dispute, outcome_of_charge, outcome_of_operation
from bezant.connectors.simulator.mapping import Charge, Dispute, Event
from bezant.psp.contract import Credentials, Operation
from bezant.psp.notices import (
    TOLERANCE_S,
    Notice,
    Notices,
    RawEvent,
    WebhookRefused,
    WebhookRequest,
    Webhooks,
)

HEADER: Final = "simulator-signature"
_SIGNATURE: Final = re.compile(r"t=([0-9]{1,12})((?:,v1=[0-9a-f]{64}){1,8})")
_decode: Final = msgspec.json.Decoder(Event).decode


def accept(
    request: WebhookRequest, secrets: Sequence[str], _credentials: Credentials, now: datetime
) -> tuple[RawEvent, ...]:
    """The one event of a request, where one of the secrets has signed it within the tolerance."""
    match = _SIGNATURE.fullmatch(request.headers.get(HEADER, ""))
    if match is None:
        raise WebhookRefused("signature_invalid", f"{HEADER} is missing or not of the form t=...,v1=...")
    signed = match[1].encode() + b"." + request.body
    marks = [mark.encode() for mark in match[2].removeprefix(",v1=").split(",v1=")]
    expected = [hmac.new(secret.encode(), signed, sha256).hexdigest().encode() for secret in secrets]
    # Every pair is compared: how long it takes does not tell which secret, or how much of it, was right.
    if not sum(hmac.compare_digest(each, mark) for each in expected for mark in marks):
        raise WebhookRefused("signature_invalid", f"{HEADER} was not made with any of the secrets")
    if abs(now.timestamp() - int(match[1])) > TOLERANCE_S:
        raise WebhookRefused("signature_stale", f"signed more than {TOLERANCE_S} s from now")
    try:
        event = _decode(request.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WebhookRefused("invalid_request", str(error)) from error
    return (RawEvent(event_id=event.id, type=event.type, occurred_at=event.created_at, body=request.body),)


def notices(event: RawEvent) -> Notices | None:
    """What an event says; None for a type that is not known."""
    shape = mapping.EVENTS.get(event.type)
    if shape is None:
        return None
    subject = msgspec.json.decode(_decode(event.body).data, type=shape)
    if isinstance(subject, Charge):
        return (Notice(operation=Operation.AUTHORIZE, outcome=outcome_of_charge(subject)),)
    if isinstance(subject, Dispute):
        return (notice_of_dispute(subject),)
    kind = mapping.OPERATIONS.get(subject.kind)
    if kind is None:
        raise ValueError(f"an operation of the kind {subject.kind}")
    if subject.reference is None and subject.amount == 0:
        return ()  # a charge given up in the dashboard before it was decided: the charge's own event says it
    return (Notice(operation=kind, outcome=outcome_of_operation(subject)),)


WEBHOOKS: Final = Webhooks(accept=accept, notices=notices)
