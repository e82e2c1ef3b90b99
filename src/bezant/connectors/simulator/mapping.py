"""The simulator's words: the shapes that are read from its answers, and tables from its words to Bezant's."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final

import msgspec

from bezant.psp.contract import Operation as Kind
from bezant.psp.contract import Verdict
from bezant.psp.notices import DisputeStage, DisputeStatus

DEFAULT_KEY: Final = "sim_demo"
"""Any key that begins with `sim_` opens the simulator, so a merchant needs none of his own."""


Name = Annotated[str, msgspec.Meta(pattern="^[!-~]{1,255}$")]
"""An id, a reference, a type: what is looked up or kept as a key."""

Amount = Annotated[int, msgspec.Meta(ge=0, le=999_999_999_999)]


class Refusal(msgspec.Struct, frozen=True):
    """Why something was refused, in an error answer or on what was found later."""

    type: str
    code: str
    message: str
    decline_code: str | None = None
    charge: str | None = None
    operation: str | None = None


class Refused(msgspec.Struct, frozen=True):
    """The body of every answer that is not a success."""

    error: Refusal


class Authorization(msgspec.Struct, frozen=True):
    """How the authorization of a charge stands; `captured`: what was taken with it."""

    id: Name
    status: str
    amount: Amount
    captured: Amount


class Charge(msgspec.Struct, frozen=True):
    """A charge, which is one try at a payment."""

    id: Name
    reference: Name
    currency: str
    authorization: Authorization
    redirect_url: str | None = None
    failure: Refusal | None = None


class Operation(msgspec.Struct, frozen=True):
    """A capture, cancel or refund; without a `reference` it was made in the simulator's dashboard."""

    id: Name
    kind: str
    charge: Name
    status: str
    amount: Amount
    currency: str
    reference: Name | None = None
    failure: Refusal | None = None


class Dispute(msgspec.Struct, frozen=True):
    """A dispute of a charge; times in seconds since 1970.

    `round`: how often money was taken for it, None in the words of an earlier version. `fee`: what is taken each time.
    """

    id: Name
    charge: Name
    status: str
    amount: Amount
    currency: str
    reason: str
    evidence_due: float
    stage: str = "chargeback"
    round: int | None = None
    fee: Amount | None = None


class Event(msgspec.Struct, frozen=True):
    """The body of a webhook. `data` is a charge, an operation or a dispute, as the API shows it."""

    id: Name
    type: Name
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    data: msgspec.Raw


class ChargeList(msgspec.Struct, frozen=True):
    """The charges under one reference."""

    data: tuple[Charge, ...]


class OperationList(msgspec.Struct, frozen=True):
    """The operations under one reference."""

    data: tuple[Operation, ...]


class ChargeFact(msgspec.Struct, frozen=True):
    """A charge as the simulator's control plane lists it: what it believes itself."""

    id: str
    reference: str
    currency: str
    amount_authorized: int
    amount_captured: int
    amount_refunded: int


class ChargeFacts(msgspec.Struct, frozen=True):
    """A page of that list."""

    data: tuple[ChargeFact, ...]


EVENTS: Final[Mapping[str, type[Charge] | type[Operation] | type[Dispute]]] = {
    **dict.fromkeys(("charge.approved", "charge.declined", "charge.action_required", "charge.pending"), Charge),
    **dict.fromkeys(("operation.succeeded", "operation.failed", "operation.pending"), Operation),
    **dict.fromkeys((f"dispute.{word}" for word in "opened updated won lost accepted expired closed".split()), Dispute),
}
"""Type of an event: what it is about. What became of that is in the data."""

DISPUTE: Final[Mapping[str, DisputeStatus]] = {
    "open": "needs_response",
    "inquiry": "inquiry",
    "needs_response": "needs_response",
    "under_review": "under_review",
    "won": "won",
    "lost": "lost",
    "accepted": "accepted",
    "expired": "expired",
    "closed": "closed",
}
"""Status of a dispute; `open` is a word of an earlier version."""

STAGE: Final[Mapping[str, DisputeStage]] = {"inquiry": "inquiry", "chargeback": "chargeback", "second": "second"}
"""Stage of a dispute."""

OPERATIONS: Final[Mapping[str, Kind]] = {"capture": Kind.CAPTURE, "cancel": Kind.CANCEL, "refund": Kind.REFUND}
"""Kind of an operation."""

STATUS: Final[Mapping[str, Verdict]] = {
    "succeeded": Verdict.APPROVED,
    "failed": Verdict.DECLINED,
    "pending": Verdict.PENDING,
}
"""Status of an authorization or operation. One that is not listed reads as pending."""

REFUSED: Final[Mapping[str, Verdict]] = {
    "card_error": Verdict.DECLINED,
    "refused": Verdict.DECLINED,
    "invalid_request": Verdict.DECLINED,
    "authentication_error": Verdict.NOT_EXECUTED,
    "idempotency_error": Verdict.UNKNOWN,
}
"""Type of an error answer. `invalid_request` was never executed and never will be; `idempotency_error` says that the
key came before, so something of ours did arrive. One that is not listed says nothing: unknown.
"""

FAILURE_DEFAULT: Final = ("psp_refused", False)
FAILURES: Final[Mapping[str, tuple[str, bool]]] = {
    "generic_decline": ("card_declined", False),
    "card_declined": ("card_declined", False),
    "insufficient_funds": ("insufficient_funds", True),
    "expired_card": ("expired_card", False),
    "stolen_card": ("stolen_card", False),
    "authentication_failed": ("authentication_failed", True),
    "customer_refused": ("customer_refused", True),
    "capture_failed": ("capture_failed", False),
    "cancel_failed": ("cancel_failed", False),
    "refund_failed": ("refund_failed", False),
    "canceled": ("canceled", False),
    "over_capture": ("amount_too_large", False),
    "over_refund": ("amount_too_large", False),
    "not_capturable": ("invalid_state", False),
    "not_cancelable": ("invalid_state", False),
    "not_refundable": ("invalid_state", False),
    "currency_mismatch": ("currency_mismatch", False),
    "unknown_payment_method": ("payment_method_invalid", False),
    "unknown_charge": ("unknown_at_psp", False),
    "unknown_dispute": ("unknown_at_psp", False),
    "not_possible": ("invalid_state", False),
}
"""Decline code, else code, of a refusal: our code, and whether another try may succeed."""
