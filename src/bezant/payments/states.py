"""What a payment, a refund and an attempt are, and the one function that derives a payment's status. Pure."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from bezant.psp.contract import Failure, NextAction

TRIES_MAX = 5


class Status(StrEnum):
    """Payment states, as the API shows them."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    SETTLED = "settled"
    FAILED = "failed"
    CANCELED = "canceled"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    CHARGEBACK_OPEN = "chargeback_open"
    CHARGEBACK_LOST = "chargeback_lost"


class AttemptStatus(StrEnum):
    """`sending`: a process holds the lease and calls. `pending`: the PSP will decide. `unknown`: nobody knows yet.

    `superseded`: the authorization awaits the customer and a cancel of it is under way, whose outcome decides.
    """

    SENDING = "sending"
    PENDING = "pending"
    UNKNOWN = "unknown"
    SUPERSEDED = "superseded"
    APPROVED = "approved"
    DECLINED = "declined"


UNRESOLVED = frozenset({AttemptStatus.SENDING, AttemptStatus.PENDING, AttemptStatus.UNKNOWN})
CONCLUSIVE = frozenset({AttemptStatus.APPROVED, AttemptStatus.DECLINED})


class Origin(StrEnum):
    """Why an attempt is made."""

    CLIENT = "client"
    OVERDUE = "overdue"
    UNDO = "undo"
    PSP = "psp"
    """Nobody here: the PSP says that it was done, from its dashboard or by itself."""


class Payment(msgspec.Struct):
    """A row of `payments`, in column order. Changed in memory by `rules.py` alone, under the row's lock.

    `metadata`, `details`, `failure` and `next_action` hold JSON text, so that what is only passed on is never parsed.
    """

    id: UUID
    merchant_id: UUID
    order_id: str
    amount_minor: int
    currency: str
    status: str
    capture_strategy: str
    payment_method: str | None
    psp: str
    psp_account_id: UUID | None
    gateway_ref: str | None
    idempotency_key: str
    metadata: str
    details: str
    authorized_minor: int
    captured_minor: int
    refunded_minor: int
    disputed_minor: int
    released_minor: int
    capturing_minor: int
    refunding_minor: int
    excess_captured_minor: int
    excess_refunded_minor: int
    settled_minor: int
    disputed_open_minor: int
    fee_basis_points: int
    fee_fixed_minor: int
    platform_fee_minor: int
    tries: int
    failure: str | None
    next_action: str | None
    action_at: datetime | None
    failed_at: datetime | None
    canceled_at: datetime | None
    deadline_at: datetime | None
    event_tx: int
    event_position: int
    created_at: datetime
    updated_at: datetime

    @property
    def capturable_minor(self) -> int:
        """What may still be captured: authorized, not taken, not being taken, not given back."""
        return max(0, self.authorized_minor - self.captured_minor - self.capturing_minor - self.released_minor)

    @property
    def refundable_minor(self) -> int:
        """What may still be refunded: captured, not returned, not being returned, not taken by a dispute."""
        return max(0, self.captured_minor - self.refunded_minor - self.refunding_minor - self.disputed_minor)

    def weigh_refunds(self) -> None:
        """Set what goes back beyond what was captured, which only a PSP or an issuer can do."""
        back_minor = self.refunded_minor + self.refunding_minor + self.disputed_minor
        self.excess_refunded_minor = max(0, back_minor - self.captured_minor)


class Refund(msgspec.Struct):
    """A row of `refunds`, in column order."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID
    amount_minor: int
    currency: str
    status: str
    origin: str
    reason: str | None
    psp_reference: str | None
    failure: str | None
    created_at: datetime
    updated_at: datetime


class Attempt(msgspec.Struct):
    """A row of `payment_attempts`, in column order."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID
    refund_id: UUID | None
    operation: str
    origin: str
    amount_minor: int
    currency: str
    payment_method: str
    captures: bool
    final: bool
    keeps_open: bool
    psp: str
    psp_reference: str | None
    status: str
    captured_minor: int
    moved_minor: int | None
    failure: str | None
    detail: str | None
    lease_until: datetime
    execute_until: datetime
    next_check_at: datetime | None
    checks: int
    stuck_at: datetime | None
    told_by: UUID | None
    created_at: datetime
    updated_at: datetime

    @property
    def is_unresolved(self) -> bool:
        """Whether somebody still waits for its outcome."""
        return self.status in UNRESOLVED

    @property
    def is_conclusive(self) -> bool:
        """Whether an outcome stands."""
        return self.status in CONCLUSIVE


def status_of(payment: Payment) -> Status:
    """The status that the amounts, open attempts and disputes give, by the precedence of the design.

    An open dispute comes before everything, then a lost one; then a refund in flight, all refunded, settled, captured,
    authorized; what never moved money is canceled, failed or pending.
    """
    p = payment
    if p.disputed_minor:
        return Status.CHARGEBACK_OPEN if p.disputed_open_minor else Status.CHARGEBACK_LOST
    if p.refunding_minor:
        return Status.REFUNDING
    if p.captured_minor:
        if p.refunded_minor >= p.captured_minor:
            return Status.REFUNDED
        return Status.SETTLED if p.settled_minor == p.captured_minor else Status.CAPTURED
    if p.authorized_minor > p.released_minor:
        return Status.AUTHORIZED
    if p.authorized_minor or p.canceled_at is not None:
        return Status.CANCELED
    if p.failed_at is not None:
        return Status.FAILED
    return Status.PENDING


def decode_failure(text: str | None) -> Failure | None:
    """The failure in a JSON column."""
    return None if text is None else msgspec.json.decode(text, type=Failure)


def decode_next_action(text: str | None) -> NextAction | None:
    """The customer's next action in a JSON column."""
    return None if text is None else msgspec.json.decode(text, type=NextAction)


def encode_json(value: object) -> str:
    """JSON text for a column."""
    return msgspec.json.encode(value).decode()
