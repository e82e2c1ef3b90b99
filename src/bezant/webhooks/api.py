"""The HTTP calls about webhook endpoints and deliveries."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Database, Transaction
from bezant.base.errors import NotFound
from bezant.idempotency.claims import Claim
from bezant.web import Call, Page, Reply, Route, json_reply
from bezant.webhooks.deliveries import Deliveries
from bezant.webhooks.endpoints import Endpoints
from bezant.webhooks.once import once
from bezant.webhooks.states import Endpoint
from bezant.webhooks.views import (
    CreateWebhookEndpoint,
    EnableWebhookEndpoint,
    Nothing,
    RedeliveredWebhooksView,
    RedeliverWebhooks,
    RotateWebhookSecret,
    UpdateWebhookEndpoint,
    WebhookDeliveryQuery,
    WebhookDeliveryView,
    WebhookDeliveryWithTriesView,
    WebhookEndpointList,
    WebhookEndpointView,
    WebhookEndpointWithSecretView,
    delivery_view,
    delivery_with_tries,
    endpoint_view,
    endpoint_with_secret,
)

_ONE: Final = "/webhook_endpoints/{webhook_endpoint_id}"
_READ: Final = "webhooks:read"
_WRITE: Final = "webhooks:write"
_REUSED: Final = ("idempotency_key_reused",)

Change = Callable[[Transaction, UUID, UUID], Awaitable[Reply]]


class WebhooksApi:
    """The calls, with what they need. `wake`: there may be something to send."""

    def __init__(
        self, database: Database, endpoints: Endpoints, deliveries: Deliveries, wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._wake = wake

    def routes(self) -> tuple[Route, ...]:
        """What is served and documented."""
        return (*self._endpoint_routes(), *self._action_routes(), *self._delivery_routes())

    def _endpoint_routes(self) -> tuple[Route, ...]:
        return (
            Route(
                "POST",
                "/webhook_endpoints",
                self.create,
                scope=_WRITE,
                request=CreateWebhookEndpoint,
                responses={200: WebhookEndpointWithSecretView},
                errors={422: (*_REUSED, "webhook_url_refused", "too_many_webhook_endpoints", "card_data_refused")},
            ),
            Route("GET", "/webhook_endpoints", self.list, scope=_READ, responses={200: WebhookEndpointList}),
            Route("GET", _ONE, self.show, scope=_READ, responses={200: WebhookEndpointView}),
            Route(
                "PATCH",
                _ONE,
                self.update,
                scope=_WRITE,
                request=UpdateWebhookEndpoint,
                responses={200: WebhookEndpointView},
                errors={422: (*_REUSED, "webhook_url_refused", "card_data_refused")},
            ),
            Route("DELETE", _ONE, self.delete, scope=_WRITE, responses={200: WebhookEndpointView}),
        )

    def _action_routes(self) -> tuple[Route, ...]:
        return (
            _action("enable", self.enable, EnableWebhookEndpoint, {200: WebhookEndpointView}),
            _action("disable", self.disable, Nothing, {200: WebhookEndpointView}),
            _action(
                "rotate_secret",
                self.rotate_secret,
                RotateWebhookSecret,
                {200: WebhookEndpointWithSecretView},
                {409: ("invalid_state",), 422: _REUSED},
            ),
            _action("test", self.test, Nothing, {200: WebhookDeliveryView}),
            _action(
                "redeliver",
                self.redeliver_many,
                RedeliverWebhooks,
                {200: RedeliveredWebhooksView},
                {409: ("invalid_state",), 422: _REUSED},
            ),
        )

    def _delivery_routes(self) -> tuple[Route, ...]:
        return (
            Route(
                "GET",
                f"{_ONE}/deliveries",
                self.deliveries,
                scope=_READ,
                query=WebhookDeliveryQuery,
                responses={200: Page[WebhookDeliveryView]},
            ),
            Route(
                "GET",
                "/webhook_deliveries/{webhook_delivery_id}",
                self.show_delivery,
                scope=_READ,
                responses={200: WebhookDeliveryWithTriesView},
            ),
            Route(
                "POST",
                "/webhook_deliveries/{webhook_delivery_id}/redeliver",
                self.redeliver,
                scope=_WRITE,
                request=Nothing,
                responses={200: WebhookDeliveryView},
                errors={409: ("invalid_state",), 422: _REUSED},
            ),
        )

    async def create(self, call: Call) -> Reply:
        """Create a webhook endpoint.

        Events are sent to it as signed POST requests (Standard Webhooks) from now on. The secret is shown only here and
        when it is rotated.
        """
        wanted, merchant_id = call.read(CreateWebhookEndpoint), call.principal.merchant_id
        await self._endpoints.check_url(wanted.url)

        async def perform(transaction: Transaction, claim: Claim | None) -> Reply:
            claim_id = None if claim is None else claim.id
            made = await self._endpoints.create(transaction, merchant_id, wanted, claim_id, _actor(call))
            return _with_secret(*made)

        async def current(transaction: Transaction, claim: Claim | None) -> Reply:
            assert claim is not None  # a repeat has one
            return _with_secret(*await self._endpoints.made_under(transaction, merchant_id, claim.id))

        return await once(self._database, call, perform, current)

    async def list(self, call: Call) -> Reply:
        """List webhook endpoints."""
        found = await self._endpoints.all(call.principal.merchant_id)
        return json_reply(200, WebhookEndpointList([endpoint_view(endpoint) for endpoint in found]))

    async def show(self, call: Call) -> Reply:
        """Show a webhook endpoint."""
        endpoint = await self._endpoints.one(call.principal.merchant_id, _endpoint_id(call))
        return json_reply(200, endpoint_view(endpoint))

    async def update(self, call: Call) -> Reply:
        """Change a webhook endpoint's URL, description or filters.

        What waits goes to the new URL. Filters count for events that happen from now on.
        """
        wanted = call.read(UpdateWebhookEndpoint)
        if isinstance(wanted.url, str):
            await self._endpoints.check_url(wanted.url)

        async def change(transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> Reply:
            changed = await self._endpoints.update(transaction, merchant_id, endpoint_id, wanted, _actor(call))
            return json_reply(200, endpoint_view(changed))

        return await self._changed(call, change)

    async def delete(self, call: Call) -> Reply:
        """Delete a webhook endpoint.

        What waits for it is canceled.
        """

        async def change(transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> Reply:
            deleted = await self._endpoints.delete(transaction, merchant_id, endpoint_id, _actor(call))
            return json_reply(200, endpoint_view(deleted))

        return await self._changed(call, change)

    async def enable(self, call: Call) -> Reply:
        """Enable a webhook endpoint.

        What has waited is delivered at once and in order, or canceled.
        """
        keep_waiting = call.read(EnableWebhookEndpoint).waiting == "deliver"

        async def change(transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> Reply:
            enabled = await self._endpoints.enable(
                transaction, merchant_id, endpoint_id, keep_waiting=keep_waiting, by=_actor(call)
            )
            return json_reply(200, endpoint_view(enabled))

        return await self._changed(call, change)

    async def disable(self, call: Call) -> Reply:
        """Disable a webhook endpoint.

        Events for it wait until it is enabled, for as long as deliveries are kept.
        """
        call.read(Nothing)

        async def change(transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> Reply:
            disabled = await self._endpoints.disable(transaction, merchant_id, endpoint_id, _actor(call))
            return json_reply(200, endpoint_view(disabled))

        return await self._changed(call, change)

    async def rotate_secret(self, call: Call) -> Reply:
        """Give a webhook endpoint a new secret.

        Meanwhile requests carry a signature by each secret that is valid, so that the receiver can be changed in peace.
        """
        wanted = call.read(RotateWebhookSecret)

        async def change(transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> Reply:
            return _with_secret(
                *await self._endpoints.rotate_secret(transaction, merchant_id, endpoint_id, wanted, _actor(call))
            )

        async def current(transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> Reply:
            return _with_secret(*await self._endpoints.with_secret(transaction, merchant_id, endpoint_id))

        return await self._changed(call, change, current)

    async def test(self, call: Call) -> Reply:
        """Send a test event to a webhook endpoint.

        Whatever its filters, and even if it is disabled. What came of it is in the delivery.
        """
        call.read(Nothing)

        async def change(transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> Reply:
            delivery = await self._endpoints.test(transaction, merchant_id, endpoint_id)
            return json_reply(200, delivery_view(delivery, transaction.now))

        return await self._changed(call, change)

    async def redeliver_many(self, call: Call) -> Reply:
        """Send deliveries of a webhook endpoint again.

        Oldest first, a thousand at most: go on with the cursor. Receivers know repeats by the event's id.
        """
        wanted = call.read(RedeliverWebhooks)

        async def change(transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> Reply:
            done = await self._deliveries.redeliver_many(transaction, merchant_id, endpoint_id, wanted)
            view = RedeliveredWebhooksView(
                redelivered=done.count, has_more=done.next_cursor is not None, next_cursor=done.next_cursor
            )
            return json_reply(200, view)

        return await self._changed(call, change)

    async def deliveries(self, call: Call) -> Reply:
        """List the deliveries of a webhook endpoint, newest first."""
        query = call.read_query(WebhookDeliveryQuery)
        page = await self._deliveries.page(call.principal.merchant_id, _endpoint_id(call), query)
        return json_reply(200, page)

    async def show_delivery(self, call: Call) -> Reply:
        """Show a delivery with every request that was made for it."""
        delivery, tries = await self._deliveries.one(call.principal.merchant_id, _delivery_id(call))
        return json_reply(200, delivery_with_tries(delivery, tries, datetime.now(UTC)))

    async def redeliver(self, call: Call) -> Reply:
        """Send a delivery again, or now.

        A pending one is tried at once without using up its schedule; one that is settled begins anew.
        """
        call.read(Nothing)
        merchant_id, delivery_id = call.principal.merchant_id, _delivery_id(call)

        async def perform(transaction: Transaction, _: Claim | None) -> Reply:
            delivery = await self._deliveries.redeliver(transaction, merchant_id, delivery_id)
            return json_reply(200, delivery_view(delivery, transaction.now))

        return await self._woken(await once(self._database, call, perform))

    async def _changed(self, call: Call, change: Change, current: Change | None = None) -> Reply:
        """The reply of a change to the endpoint of the path."""
        merchant_id, endpoint_id = call.principal.merchant_id, _endpoint_id(call)

        async def perform(transaction: Transaction, _: Claim | None) -> Reply:
            return await change(transaction, merchant_id, endpoint_id)

        async def show(transaction: Transaction, _: Claim | None) -> Reply:
            assert current is not None  # passed on only then
            return await current(transaction, merchant_id, endpoint_id)

        return await self._woken(await once(self._database, call, perform, None if current is None else show))

    async def _woken(self, reply: Reply) -> Reply:
        self._wake()
        return reply


def _action(
    name: str,
    handler: Callable[[Call], Awaitable[Reply]],
    request: type,
    responses: dict[int, Any],
    errors: dict[int, tuple[str, ...]] | None = None,
) -> Route:
    return Route(
        "POST",
        f"{_ONE}/{name}",
        handler,
        scope=_WRITE,
        request=request,
        responses=responses,
        errors=errors or {422: _REUSED},
    )


def _with_secret(endpoint: Endpoint, secret: str) -> Reply:
    return json_reply(200, endpoint_with_secret(endpoint, secret))


def _actor(call: Call) -> str:
    return ids.show(ids.API_KEY, call.principal.key_id)


def _endpoint_id(call: Call) -> UUID:
    endpoint_id = ids.parse(ids.WEBHOOK_ENDPOINT, call.path_params["webhook_endpoint_id"])
    if endpoint_id is None:
        raise NotFound("There is no such webhook endpoint.")
    return endpoint_id


def _delivery_id(call: Call) -> UUID:
    delivery_id = ids.parse(ids.WEBHOOK_DELIVERY, call.path_params["webhook_delivery_id"])
    if delivery_id is None:
        raise NotFound("There is no such webhook delivery.")
    return delivery_id
