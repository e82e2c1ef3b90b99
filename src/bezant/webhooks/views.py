"""Endpoints, deliveries and tries as the API takes and shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bezant.base import ids
from bezant.base.db import Row
from bezant.web import PageQuery
from bezant.webhooks.rules import TEST_EVENT
from bezant.webhooks.states import Delivery, Endpoint

Url = Annotated[
    str,
    Meta(
        min_length=8,
        max_length=2048,
        description="Begins with https:// and leads to a public address; without user name and fragment.",
        examples=["https://shop.example/hooks/bezant"],
    ),
]
Description = Annotated[str, Meta(max_length=500)]
EventFilter = Annotated[
    str,
    Meta(
        max_length=100,
        pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*(\.\*)?$(?!\n)",
        description="An event type such as `payment.captured`, or all of a kind: `payment.*`.",
    ),
]
EventFilters = Annotated[list[EventFilter], Meta(max_length=100, description="Empty: every event.")]
Time = Annotated[datetime, Meta(tz=True)]
DeliveryState = Literal["pending", "delivered", "failed", "canceled"]
SettledState = Literal["delivered", "failed", "canceled"]
OVERLAP_DEFAULT_S = 86_400
OVERLAP_MAX_S = 7 * 86_400


class CreateWebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where events are to be sent."""

    url: Url
    description: Description | None = None
    event_types: EventFilters = []


class UpdateWebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed; the rest stays."""

    url: Url | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    event_types: EventFilters | UnsetType = UNSET


class EnableWebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`waiting`: whether what has waited meanwhile is to be delivered or canceled."""

    waiting: Literal["deliver", "cancel"] = "deliver"


class RotateWebhookSecret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`overlap_s`: for how many seconds the older secrets sign too; 0 ends them at once."""

    overlap_s: Annotated[int, Meta(ge=0, le=OVERLAP_MAX_S)] = OVERLAP_DEFAULT_S


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The call takes nothing but its path."""


class RedeliverWebhooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries to send anew, oldest first: all conditions must hold. Times are those of the deliveries."""

    statuses: Annotated[tuple[SettledState, ...], Meta(min_length=1, max_length=3)] = ("failed",)
    event_types: EventFilters = []
    created_gte: Time | None = None
    created_lt: Time | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000
    cursor: Annotated[str, Meta(max_length=200)] | None = None


class WebhookDeliveryQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries to list, newest first."""

    status: DeliveryState | None = None
    event_type: Annotated[str, Meta(max_length=100)] | None = None
    payment_id: Annotated[str, Meta(max_length=64)] | None = None
    created_gte: datetime | None = None
    created_lt: datetime | None = None


class WebhookEndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """Where events are sent. `failing_since`: since when no delivery has succeeded."""

    webhook_endpoint_id: str
    url: str
    description: str | None
    event_types: list[str]
    status: Literal["enabled", "disabled", "deleted"]
    disabled_reason: Literal["failing", "requested", "gone"] | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime


class WebhookEndpointWithSecretView(WebhookEndpointView, frozen=True, kw_only=True):
    """An endpoint with its newest secret, `whsec_...`, by which Standard Webhooks libraries verify requests."""

    secret: str


class WebhookEndpointList(msgspec.Struct, frozen=True):
    """All endpoints, oldest first."""

    data: list[WebhookEndpointView]


class WebhookDeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one endpoint. Without `next_try_at` a pending one waits behind another of its payment, or is being
    tried."""

    webhook_delivery_id: str
    webhook_endpoint_id: str
    event_id: str
    event_type: str
    payment_id: str | None
    status: DeliveryState
    next_try_at: datetime | None
    created_at: datetime
    settled_at: datetime | None


class WebhookTryView(msgspec.Struct, frozen=True, kw_only=True):
    """One request: the answer's status and beginning, or what went wrong. `manual`: somebody asked for this one."""

    webhook_try_id: str
    status: int | None
    error: str | None
    answer: str | None
    latency_ms: int
    manual: bool
    tried_at: datetime


class WebhookDeliveryWithTriesView(WebhookDeliveryView, frozen=True, kw_only=True):
    """A delivery with every request that was made, oldest first."""

    tries: list[WebhookTryView]


class RedeliveredWebhooksView(msgspec.Struct, frozen=True, kw_only=True):
    """How many were put back. With `has_more`, go on with the same call and `next_cursor` as `cursor`."""

    redelivered: int
    has_more: bool
    next_cursor: str | None


class TestData(msgspec.Struct, frozen=True):
    """What a test event says."""

    webhook_endpoint_id: str
    message: str = f"A {TEST_EVENT} event: if you can read and verify it, the endpoint works."


def endpoint_view(endpoint: Endpoint) -> WebhookEndpointView:
    """The endpoint."""
    return WebhookEndpointView(**_fields(endpoint))


def endpoint_with_secret(endpoint: Endpoint, secret: str) -> WebhookEndpointWithSecretView:
    """The endpoint, when its secret may be read."""
    return WebhookEndpointWithSecretView(**_fields(endpoint), secret=secret)


def delivery_view(delivery: Delivery, now: datetime) -> WebhookDeliveryView:
    """The delivery."""
    return WebhookDeliveryView(**_delivery_fields(delivery, now))


def delivery_with_tries(delivery: Delivery, tries: Sequence[Row], now: datetime) -> WebhookDeliveryWithTriesView:
    """The delivery and what was tried."""
    return WebhookDeliveryWithTriesView(**_delivery_fields(delivery, now), tries=[_try_view(*row) for row in tries])


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    fields = msgspec.structs.asdict(endpoint)
    del fields["id"], fields["merchant_id"]
    return {"webhook_endpoint_id": ids.show(ids.WEBHOOK_ENDPOINT, endpoint.id), **fields}


def _delivery_fields(delivery: Delivery, now: datetime) -> dict[str, Any]:
    is_leased = delivery.lease_until is not None and delivery.lease_until > now
    return {
        "webhook_delivery_id": ids.show(ids.WEBHOOK_DELIVERY, delivery.id),
        "webhook_endpoint_id": ids.show(ids.WEBHOOK_ENDPOINT, delivery.endpoint_id),
        "event_id": ids.show(ids.EVENT, delivery.event_id),
        "event_type": delivery.event_type,
        "payment_id": None if delivery.payment_id is None else ids.show(ids.PAYMENT, delivery.payment_id),
        "status": delivery.status,
        "next_try_at": None if is_leased else delivery.next_try_at,
        "created_at": delivery.created_at,
        "settled_at": delivery.settled_at,
    }


def _try_view(
    try_id: UUID,
    status: int | None,
    error: str | None,
    answer: bytes | None,
    latency_ms: int,
    manual: bool,
    tried_at: datetime,
) -> WebhookTryView:
    return WebhookTryView(
        webhook_try_id=ids.show(ids.WEBHOOK_TRY, try_id),
        status=status,
        error=error,
        answer=None if answer is None else answer.decode(errors="replace"),
        latency_ms=latency_ms,
        manual=manual,
        tried_at=tried_at,
    )
