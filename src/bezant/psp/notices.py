"""What a PSP tells unasked, and what a connector must make of it.

A connector's `webhooks.py` holds two pure functions: `accept` verifies a request and takes it apart, `notices` says
what an event means. Neither does I/O; the core keeps the raw event in between, and applies it later, once.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from bezant.psp.contract import Credentials, Operation, Outcome

TOLERANCE_S = 300
"""How far a signed time may be from ours, where a scheme has one (Stripe's default, Standard Webhooks' advice)."""


class WebhookRequest(msgspec.Struct, frozen=True):
    """A webhook as it came: the raw bytes, and the headers by their names in lower case."""

    body: bytes
    headers: Mapping[str, str]


class WebhookRefused(Exception):
    """Not what it claims to be, or too old: nothing of it is kept. `code` is part of the API."""

    def __init__(self, code: Literal["signature_invalid", "signature_stale", "invalid_request"], detail: str) -> None:
        super().__init__(detail)
        self.code = code


class RawEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a request.

    `event_id` and `occurred_at` must be the same each time that the PSP sends it, since they make the key under which
    it is kept once. `body` is what the signature covers, whole where a request is one event.
    """

    event_id: str
    type: str
    occurred_at: datetime
    body: bytes


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What an event says about one operation, in the words of an answer to a call.

    `outcome.reference`: our attempt's reference, where the PSP echoes it for this very operation (never another's:
    the authorization's reference on a capture would name the wrong attempt). `outcome.psp_reference`: the payment at
    the PSP. `outcome.operation_reference`: the operation at the PSP, the same in whichever event or answer it comes.
    `outcome.verdict`: APPROVED and DECLINED as decided by the PSP, PENDING while it is not; nothing else.
    """

    operation: Operation
    outcome: Outcome


DisputeStage = Literal["inquiry", "chargeback", "second"]
"""An inquiry moves no money. A chargeback takes it; `second` takes it once more after the merchant had won."""

DisputeStatus = Literal["inquiry", "needs_response", "under_review", "won", "lost", "accepted", "expired", "closed"]
"""`inquiry` and `closed` are of inquiries, which `needs_response` and `under_review` may be of as well. `accepted`, by
the merchant, and `expired`, without evidence in time, are ways to lose."""


class DisputeNotice(msgspec.Struct, frozen=True, kw_only=True):
    """What an event, a report or an answer says about a dispute.

    `psp_reference`: the payment at the PSP. `currency` may be another one than the payment's. `round`: how often money
    was taken for it until now, where the PSP counts; else the stage tells. `fee_minor`: what the PSP takes for the
    dispute itself, in `fee_currency` or else in the dispute's.
    """

    dispute_reference: str
    psp_reference: str | None
    stage: DisputeStage = "chargeback"
    status: DisputeStatus
    amount_minor: int
    currency: str
    round: int | None = None
    reason: str | None = None
    evidence_due_at: datetime | None = None
    fee_minor: int | None = None
    fee_currency: str | None = None


Notices = Sequence[Notice | DisputeNotice]

Accept = Callable[[WebhookRequest, Sequence[str], Credentials, datetime], Sequence[RawEvent]]
"""The events of a request, once one of the secrets has verified it at this time. Raises WebhookRefused."""


class Webhooks(msgspec.Struct, frozen=True, kw_only=True):
    """How a PSP's webhooks are read.

    `notices` gives what a kept event says; nothing (an empty sequence) where it says nothing about money; None where
    its type is unknown. It raises `msgspec.ValidationError` or `ValueError` for a shape that it cannot read. `rereads`:
    the PSP signs too little to move money on its word, so the object is asked for before anything is booked.
    """

    accept: Accept
    notices: Callable[[RawEvent], Notices | None]
    rereads: bool = False
    body_max_bytes: int = 256 * 1024
