"""What the simulator remembers: charges and the operations on them. No behaviour."""

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
    comes.
    """

    id: str
    kind: Kind
    amount: int
    reference: str
    idempotency_key: str | None
    status: OperationStatus
    at: float
    decides_at: float | None = None
    refusal: Refusal | None = None
    final: bool = True


class Charge(msgspec.Struct, omit_defaults=True):
    """One payment as the PSP sees it. Amounts are in minor units; `amount` is what was asked."""

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
    def refundable(self) -> int:
        """What may still be refunded."""
        return self.amount_captured - self.amount_refunded - self.pending(Kind.REFUND)
