"""What endpoints, deliveries and tries are."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec


class EndpointStatus(StrEnum):
    """Whether an endpoint is sent anything. Deliveries for a disabled one wait; a deleted one gets no new ones."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DELETED = "deleted"


class DisabledReason(StrEnum):
    """Why an endpoint is disabled."""

    FAILING = "failing"
    REQUESTED = "requested"
    GONE = "gone"


class DeliveryStatus(StrEnum):
    """How far a delivery is. `failed`: not before somebody asks is it tried again. `canceled`: nobody wants it."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELED = "canceled"


class Endpoint(msgspec.Struct, frozen=True):
    """An endpoint as its row says, without the secrets."""

    id: UUID
    merchant_id: UUID
    url: str
    description: str | None
    event_types: list[str]
    status: str
    disabled_reason: str | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime


class Delivery(msgspec.Struct, frozen=True):
    """One event on its way to one endpoint, as its row says."""

    id: UUID
    merchant_id: UUID
    endpoint_id: UUID
    event_id: UUID
    event_type: str
    payment_id: UUID | None
    status: str
    tries: int
    next_try_at: datetime | None
    lease_until: datetime | None
    created_at: datetime
    settled_at: datetime | None


class Claimed(msgspec.Struct, frozen=True):
    """A delivery that this process may try until `lease_until`. `scheduled_at`: this try was brought forward."""

    id: UUID
    merchant_id: UUID
    endpoint_id: UUID
    event_id: UUID
    ordering_id: UUID
    tries: int
    manual: bool
    scheduled_at: datetime | None
    lease_until: datetime


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a merchant's server. Without an answer there is no status, and `error` says why.

    `retry_after`: how long the server wants to be left alone.
    """

    id: UUID
    status: int | None
    error: str | None
    answer: bytes | None
    latency_ms: int
    tried_at: datetime
    retry_after: timedelta | None = None
