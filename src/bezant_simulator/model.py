"""What the simulator remembers: charges, the operations on them and their disputes. No behaviour."""

from enum import StrEnum
from typing import Final

import msgspec

EVIDENCE_S: Final = 7 * 24 * 3600.0


class Kind(StrEnum):
    """What an operation does to a charge."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"


class OperationStatus(StrEnum):
    """Where an operation stands."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PENDING = "pending"


class Stage(StrEnum):
    """Where a charge stands; its amounts say the rest."""

    CUSTOMER_ACTION = "customer_action"
    PROCESSING = "processing"
    REFUSED = "refused"
    OPEN = "open"
    """Authorized, and something is left to capture or release."""
    CLOSED = "closed"


class DisputeStatus(StrEnum):
    """Where a dispute stands."""

    INQUIRY = "inquiry"
    """The bank asks, and takes nothing yet."""
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"
    ACCEPTED = "accepted"
    """Lost by the merchant's own word."""
    EXPIRED = "expired"
    """Lost because nobody answered in time."""
    CLOSED = "closed"
    """An inquiry that came to nothing."""

    @classmethod
    def _missing_(cls, value: object) -> "DisputeStatus | None":
        return cls.NEEDS_RESPONSE if value == "open" else None  # its name in states kept by earlier versions


class DisputeStage(StrEnum):
    """How far a dispute has come."""

    INQUIRY = "inquiry"
    CHARGEBACK = "chargeback"
    SECOND = "second"
    """It was won, and the customer's bank has taken the money once more."""


ANSWERABLE: Final = frozenset({DisputeStatus.INQUIRY, DisputeStatus.NEEDS_RESPONSE})
"""The merchant may still answer."""

OPEN: Final = ANSWERABLE | {DisputeStatus.UNDER_REVIEW}
"""Not decided."""

LOST: Final = frozenset({DisputeStatus.LOST, DisputeStatus.ACCEPTED, DisputeStatus.EXPIRED})
"""Decided against the merchant."""


class Delivery(StrEnum):
    """How the caller is told of something by webhook."""

    NORMAL = "normal"
    FIRST = "first"
    """Before the call that caused it is answered."""
    TWICE = "twice"
    """Two at once, with the same id."""
    SHUFFLED = "shuffled"
    """The last one first, each after an announcement that it is pending."""
    NEVER = "never"


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an operation was refused. `type` is `card_error` for an issuer's or acquirer's no, `refused` for a business
    rule.
    """

    type: str
    code: str
    message: str
    decline_code: str | None = None


class Operation(msgspec.Struct, omit_defaults=True):
    """One thing done, or tried, on a charge. `refusal` is set from the start on what will fail when `decides_at`
    comes. `reverses_at`: when a refund that has succeeded fails after all. `done` and `undone`: when it moved money,
    and when that came back. Without a `reference` it was not asked for by a call but made in the dashboard.
    """

    id: str
    kind: Kind
    amount: int
    reference: str | None
    idempotency_key: str | None
    status: OperationStatus
    at: float
    decides_at: float | None = None
    reverses_at: float | None = None
    done: float | None = None
    undone: float | None = None
    refusal: Refusal | None = None
    final: bool = True
    fails_later: bool = False
    delivery: Delivery = Delivery.NORMAL


class EvidenceFile(msgspec.Struct, omit_defaults=True):
    """What is remembered of a file that was sent as evidence."""

    name: str
    content_type: str
    size: int
    sha256: str
    field: str | None = None


class DisputeMove(msgspec.Struct):
    """Money that a dispute took (below zero) or gave back, in its own currency."""

    at: float
    amount: int


class Dispute(msgspec.Struct, omit_defaults=True):
    """The customer's bank takes money back while it looks into it.

    `fate` comes at `decides_at` where it is won or lost; `after_evidence`: that clock starts with the merchant's
    answer. `held`: how much of the charge it keeps from being refunded, where that is not its amount. `fee`: what the
    PSP takes each time that money is taken, in the dispute's currency. `changes` counts what became of it since it was
    opened.
    """

    id: str
    amount: int
    reason: str
    status: DisputeStatus
    opened: float
    evidence_due: float
    decides_at: float | None = None
    fate: DisputeStatus = DisputeStatus.NEEDS_RESPONSE
    stage: DisputeStage = DisputeStage.CHARGEBACK
    currency: str | None = None
    held: int | None = None
    after_evidence: bool = False
    evidence_s: float = EVIDENCE_S
    fee: int = 0
    texts: dict[str, str] = {}
    files: list[EvidenceFile] = []
    submitted: float | None = None
    changes: int = 0
    moves: list[DisputeMove] = []

    @property
    def is_decided_by_fate(self) -> bool:
        """Whether the clock decides it."""
        return self.fate in (DisputeStatus.WON, DisputeStatus.LOST)

    @property
    def rounds(self) -> int:
        """How often money was taken for it."""
        return sum(move.amount < 0 for move in self.moves)

    @property
    def of_charge(self) -> int:
        """How much of its charge it is about."""
        return self.amount if self.held is None else self.held

    @property
    def is_held(self) -> bool:
        """Whether money is taken until it is decided."""
        return self.status in OPEN and self.stage is not DisputeStage.INQUIRY

    @property
    def is_lost(self) -> bool:
        """Whether money was taken for good."""
        return self.status in LOST


class Charge(msgspec.Struct, omit_defaults=True):
    """One payment as the PSP sees it. Amounts are in minor units; `amount` is what was asked.

    `base_url`: where the customer's page is. `fate`: it is disputed at `dispute_at`, some time after its capture, and
    how that ends.
    """

    id: str
    reference: str
    payment_reference: str
    amount: int
    currency: str
    payment_method: str
    capture: bool
    created: float
    stage: Stage
    operations: list[Operation]
    metadata: dict[str, str] = {}
    return_url: str | None = None
    page: str | None = None
    base_url: str = ""
    disputes: list[Dispute] = []
    dispute_at: float | None = None
    fate: DisputeStatus | None = None
    amount_authorized: int = 0
    amount_captured: int = 0
    amount_released: int = 0
    amount_refunded: int = 0

    def pending(self, kind: Kind) -> int:
        """The sum of the operations of `kind` that are not decided yet."""
        return sum(o.amount for o in self.operations if o.kind is kind and o.status is OperationStatus.PENDING)

    @property
    def capturable(self) -> int:
        """What may still be captured."""
        if self.stage is not Stage.OPEN:
            return 0
        held = self.pending(Kind.CAPTURE) + self.pending(Kind.CANCEL)
        return self.amount_authorized - self.amount_captured - self.amount_released - held

    @property
    def amount_disputed(self) -> int:
        """What disputes hold until they are decided."""
        return sum(dispute.of_charge for dispute in self.disputes if dispute.is_held)

    @property
    def amount_lost(self) -> int:
        """What disputes took for good."""
        return sum(dispute.of_charge for dispute in self.disputes if dispute.is_lost)

    @property
    def undisputed(self) -> int:
        """What may still be disputed: a bank may take back what was refunded as well."""
        return self.amount_captured - sum(d.of_charge for d in self.disputes if d.is_lost or d.status in OPEN)

    @property
    def refundable(self) -> int:
        """What may still be refunded: what is disputed may not, nor what was lost."""
        taken = self.amount_disputed + self.amount_lost
        return self.amount_captured - self.amount_refunded - self.pending(Kind.REFUND) - taken
