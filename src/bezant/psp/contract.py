"""What Bezant asks of a PSP and what a connector must answer.

A connector is one folder: `__init__.py` holds a `Manifest` and the `Connector` built from it, `calls.py` ordinary
functions over an injected `send`, `webhooks.py` what to make of what the PSP tells unasked, `mapping.py` tables. A
connector does no I/O of its own, catches nothing and keeps no state. `psp/call.py` owns time-outs, connections,
redaction and the checks of each answer; whatever a connector lets through as an exception means that the outcome is
unknown.
"""

from collections.abc import Awaitable, Mapping
from enum import StrEnum
from typing import Literal, Protocol
from uuid import UUID

import msgspec


class Operation(StrEnum):
    """What an attempt tries to do at a PSP."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"


class Verdict(StrEnum):
    """How an answer reads.

    APPROVED and DECLINED are conclusive. PENDING: the PSP holds the operation and will decide later, or waits for the
    customer. UNKNOWN: nothing can be said (time-out, reset, 5xx, contradiction). NOT_FOUND comes only from `fetch`:
    the PSP says that it holds nothing under our reference, which is evidence only after its visibility lag.
    NOT_EXECUTED: the PSP says that it refused to process the call at all (its rate limit, its lock), so it may be
    repeated under the same key.
    """

    APPROVED = "approved"
    DECLINED = "declined"
    PENDING = "pending"
    UNKNOWN = "unknown"
    NOT_FOUND = "not_found"
    NOT_EXECUTED = "not_executed"


class Failure(msgspec.Struct, frozen=True):
    """Why something was declined.

    `code` is Bezant's, `decline_code` the PSP's; `retryable`: another try may succeed.
    """

    code: str
    message: str
    decline_code: str | None = None
    retryable: bool = False


class NextAction(msgspec.Struct, frozen=True):
    """What the customer must do before the PSP decides."""

    url: str
    type: Literal["redirect"] = "redirect"


class Customer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who pays, as the client told us."""

    id: str | None = None
    email: str | None = None
    name: str | None = None


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One operation that a PSP is asked to do, or asked about.

    `reference` is the attempt's id: the idempotency key that the PSP gets and the name under which it can be asked
    later.
    `psp_reference` is the PSP's own name of the payment, known after the authorization. `amount_minor` is what this
    operation moves (for a cancel: what is released). `capture` (authorize): take the money at once. `final`
    (capture): release the rest.
    """

    operation: Operation
    reference: str
    payment_reference: str
    amount_minor: int
    currency: str
    payment_method: str
    psp_reference: str | None = None
    operation_reference: str | None = None
    capture: bool = False
    final: bool = True
    metadata: Mapping[str, str] = {}
    customer: Customer | None = None
    description: str | None = None
    statement_descriptor: str | None = None
    return_url: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a PSP answered to an `Ask`, in Bezant's words.

    For APPROVED the connector fills in what the PSP said, never what was asked: `currency` and `reference` as the PSP
    echoed them (None where its wire does not carry them), `amount_minor` as moved by this one operation. An
    authorization also says
    `captured_minor`: how much was taken with it. `psp_reference` names the payment at the PSP,
    `operation_reference` this operation (its refund or capture id). `contradiction` is for `psp/call.py` alone: why
    an answer that claims success was not believed.
    """

    verdict: Verdict
    psp_reference: str | None = None
    operation_reference: str | None = None
    reference: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    captured_minor: int = 0
    failure: Failure | None = None
    next_action: NextAction | None = None
    detail: str | None = None
    contradiction: str | None = None


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What a PSP holds of one charge, by its own books. `reference`: the attempt's, as it was sent."""

    psp_reference: str
    reference: str
    currency: str
    authorized_minor: int
    captured_minor: int
    refunded_minor: int


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file in a form of several parts, in the field `name`."""

    fields: Mapping[str, str]
    name: str
    file_name: str
    content_type: str
    content: bytes


class PspRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request of a connector.

    `path` is relative to the PSP's base URL; one of `form`, `json` and `upload` may be set. `host`: another of the
    manifest's hosts than that of its base URL, unless the operator overrides that.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    form: Mapping[str, str] | None = None
    json: object | None = None
    upload: Upload | None = None
    host: str | None = None


class PspResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The PSP's answer, below status 500 and other than 429.

    Those never reach a connector. `body` is the parsed JSON.
    """

    status: int
    body: object


class Send(Protocol):
    """Sends one request. Raises `PspSilence` where no usable answer came and `PspRefusedToProcess` for 429."""

    def __call__(self, request: PspRequest) -> Awaitable[PspResponse]: ...


class PspSilence(Exception):
    """No usable answer: time-out, reset, 5xx, not JSON, an answer of an unexpected shape. The outcome is unknown."""


class PspRefusedToProcess(Exception):
    """The PSP did not process the call and says so (429): the same key may be sent again."""


class Credentials(msgspec.Struct, frozen=True):
    """The secret fields that a manifest asks for, by name. Never logged."""

    fields: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"Credentials({', '.join(self.fields)})"


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """How an unknown outcome of one operation can be resolved at this PSP.

    `replay_s`: for how long the same key gives the same answer (0: never repeat). `lookup`: whether `fetch` finds the
    operation by our reference. `visibility_lag_s`: how long after the call a "not found" is no evidence yet.
    """

    replay_s: int
    lookup: bool
    visibility_lag_s: float = 0.0


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a PSP is and can do, as data.

    `credential_fields` must be there, `optional_fields` may. `hosts`: the only hosts that the connector may call,
    unless the operator overrides the base URL. `currencies`: None means every ISO 4217 currency. `exponents`: the PSP's
    exceptions to ISO 4217. `multi_capture`: whether `final=False` is understood. `authorization_age_s`: after this time
    the PSP gives an authorization up.
    """

    name: str
    title: str
    base_url: str
    hosts: tuple[str, ...]
    credential_fields: tuple[str, ...]
    optional_fields: tuple[str, ...] = ()
    resolution: Mapping[Operation, Resolution]
    currencies: frozenset[str] | None = None
    exponents: Mapping[str, int] = {}
    multi_capture: bool = False
    authorization_age_s: int = 7 * 24 * 3600


def attempt_reference(attempt_id: UUID) -> str:
    """An attempt's id as a PSP sees it: 36 characters, within every PSP's limit for references and keys."""
    return f"att_{attempt_id.hex}"
