"""What the simulator remembers: charges, the operations on them and their disputes. No behaviour."""

from enum import StrEnum

import msgspec


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

    OPEN = "open"
    WON = "won"
    LOST = "lost"


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
    comes. `reverses_at`: when a refund that has succeeded fails after all. Without a `reference` it was not asked for
    by a call but made in the dashboard.
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
    refusal: Refusal | None = None
    final: bool = True
    fails_later: bool = False
    delivery: Delivery = Delivery.NORMAL


class Dispute(msgspec.Struct, omit_defaults=True):
    """The customer's bank takes money back while it looks into it. `fate` comes at `decides_at`."""

    id: str
    amount: int
    reason: str
    status: DisputeStatus
    opened: float
    evidence_due: float
    decides_at: float | None = None
    fate: DisputeStatus = DisputeStatus.OPEN


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

    def disputed(self, status: DisputeStatus) -> int:
        """The sum of the disputes of that status."""
        return sum(dispute.amount for dispute in self.disputes if dispute.status is status)

    @property
    def refundable(self) -> int:
        """What may still be refunded: what is disputed may not, nor what was lost."""
        taken = self.disputed(DisputeStatus.OPEN) + self.disputed(DisputeStatus.LOST)
        return self.amount_captured - self.amount_refunded - self.pending(Kind.REFUND) - taken
