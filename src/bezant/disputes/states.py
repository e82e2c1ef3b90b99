"""What a dispute, a round of it, an action and a piece of evidence are. Pure."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class Stage(StrEnum):
    """How far a dispute has come. An inquiry takes no money; `second` took it again after the merchant had won."""

    INQUIRY = "inquiry"
    CHARGEBACK = "chargeback"
    SECOND = "second"


class Status(StrEnum):
    """Where a dispute stands, as the API shows it.

    `unconfirmed`: told by a PSP that signs too little, and not asked yet. `accepted` and `expired` are ways to lose.
    `closed`: an inquiry that came to nothing.
    """

    UNCONFIRMED = "unconfirmed"
    INQUIRY = "inquiry"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    CLOSED = "closed"


class Outcome(StrEnum):
    """What became of the money of a round."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


ANSWERABLE = frozenset({Status.INQUIRY, Status.NEEDS_RESPONSE})
"""Evidence can be brought."""

UNDECIDED = ANSWERABLE | {Status.UNDER_REVIEW, Status.UNCONFIRMED}


class Dispute(msgspec.Struct):
    """A row of `disputes`, in column order. Changed in memory by `rules.py` alone, under the lock of its payment."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID
    psp: str
    psp_account_id: UUID | None
    psp_reference: str
    stage: str
    status: str
    round: int
    amount_minor: int
    currency: str
    reason: str | None
    evidence_due_at: datetime | None
    reminded_days: int | None
    doubt: str | None
    next_check_at: datetime | None
    checks: int
    created_at: datetime
    updated_at: datetime

    @property
    def is_answerable(self) -> bool:
        """Whether evidence can still be brought, if the deadline allows it."""
        return self.status in ANSWERABLE

    @property
    def is_undecided(self) -> bool:
        """Whether the bank has still to decide."""
        return self.status in UNDECIDED


class Round(msgspec.Struct):
    """A row of `dispute_rounds`, in column order: money that was taken once, and what became of it.

    `held_minor` counts on the payment, in its currency. `fee_charged_minor` is the merchant's part of the PSP's fee.
    """

    dispute_id: UUID
    merchant_id: UUID
    payment_id: UUID
    round: int
    amount_minor: int
    currency: str
    held_minor: int
    outcome: str
    absorbed_minor: int
    overturned: bool
    fee_minor: int | None
    fee_currency: str | None
    fee_charged_minor: int
    opened_at: datetime
    decided_at: datetime | None


class Action(msgspec.Struct):
    """A row of `dispute_actions`, in column order: what we do at the PSP, under a lease, as an attempt is."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID
    dispute_id: UUID
    round: int
    action: str
    status: str
    failure: str | None
    detail: str | None
    lease_until: datetime
    next_check_at: datetime | None
    checks: int
    created_at: datetime
    updated_at: datetime

    @property
    def is_unresolved(self) -> bool:
        """Whether its outcome is not known yet."""
        return self.status in ("sending", "unknown")


class Evidence(msgspec.Struct):
    """A row of `dispute_evidence` without its content: a text or a document."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID
    dispute_id: UUID
    round: int
    field: str
    words: str | None
    file_name: str | None
    content_type: str | None
    sha256: bytes | None
    size: int | None
    submitted_by: UUID | None
    created_at: datetime


class Policy(msgspec.Struct, frozen=True):
    """Who bears what of a merchant's disputes, and whether he is there at all."""

    absorbs_loss: bool
    charges_fee: bool
