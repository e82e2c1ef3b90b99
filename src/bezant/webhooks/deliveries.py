"""Read the log of deliveries, and have them sent again."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Database, Row, Transaction
from bezant.base.errors import Conflict, InvalidRequest, NotFound
from bezant.web import Page, decode_cursor, encode_cursor
from bezant.webhooks import store
from bezant.webhooks.delivery.redeliver import redeliver, try_now
from bezant.webhooks.states import Delivery, EndpointStatus
from bezant.webhooks.views import RedeliverWebhooks, WebhookDeliveryQuery, WebhookDeliveryView, delivery_view

_LIST: Final = "webhook_deliveries"
_REDELIVERY: Final = "webhook_redelivery"
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
_NO_ID: Final = UUID(int=0)


class Redelivered(msgspec.Struct, frozen=True):
    """How many were put back, and from where to go on if there may be more."""

    count: int
    next_cursor: str | None


class Deliveries:
    """The deliveries of merchants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, merchant_id: UUID, endpoint_id: UUID, query: WebhookDeliveryQuery
    ) -> Page[WebhookDeliveryView]:
        """A page of an endpoint's deliveries, newest first. Raises NotFound, InvalidRequest."""
        before = (_known(query.created_lt, _LATEST), _NO_ID)
        if query.cursor is not None:
            before = min(before, decode_cursor(_LIST, query.cursor, _place))
        payment_id = None if query.payment_id is None else ids.parse(ids.PAYMENT, query.payment_id)
        if query.payment_id is not None and payment_id is None:
            raise InvalidRequest("invalid_request", "There is no such payment.", param="/payment_id")
        async with self._database.connection() as connection:
            if await store.endpoint(connection, merchant_id, endpoint_id) is None:
                raise NotFound("There is no such webhook endpoint.")
            found = await store.deliveries(
                connection,
                merchant_id,
                endpoint_id,
                before=before,
                created_gte=_known(query.created_gte, _EARLIEST),
                status=query.status,
                event_type=query.event_type,
                payment_id=payment_id,
                limit=query.limit + 1,
            )
        now, has_more = datetime.now(UTC), len(found) > query.limit
        shown = found[: query.limit]
        cursor = encode_cursor(_LIST, _position(shown[-1].created_at, shown[-1].id)) if has_more else None
        return Page([delivery_view(delivery, now) for delivery in shown], has_more, cursor)

    async def one(self, merchant_id: UUID, delivery_id: UUID) -> tuple[Delivery, list[Row]]:
        """A delivery and its tries. Raises NotFound."""
        async with self._database.connection() as connection:
            delivery = await store.delivery(connection, merchant_id, delivery_id)
            if delivery is None:
                raise _not_found()
            return delivery, list(await store.tries(connection, merchant_id, delivery_id))

    async def redeliver(self, transaction: Transaction, merchant_id: UUID, delivery_id: UUID) -> Delivery:
        """Have it sent now. Raises NotFound, and Conflict where its endpoint is gone or another event goes first."""
        delivery = await store.delivery(transaction.connection, merchant_id, delivery_id)
        if delivery is None:
            raise _not_found()
        status = await store.endpoint_status(transaction.connection, merchant_id, delivery.endpoint_id)
        if status == EndpointStatus.DELETED:
            raise Conflict("invalid_state", "Its endpoint was deleted.")
        ordering_id = delivery.payment_id or delivery.event_id
        await try_now(transaction, (delivery.id, merchant_id, delivery.endpoint_id, ordering_id))
        again = await store.delivery(transaction.connection, merchant_id, delivery_id)
        assert again is not None  # deliveries that are pending are not deleted
        return again

    async def redeliver_many(
        self, transaction: Transaction, merchant_id: UUID, endpoint_id: UUID, wanted: RedeliverWebhooks
    ) -> Redelivered:
        """Put back what is asked for. Raises NotFound, and Conflict where the endpoint is disabled."""
        endpoint = await store.endpoint(transaction.connection, merchant_id, endpoint_id)
        if endpoint is None:
            raise NotFound("There is no such webhook endpoint.")
        if endpoint.status != EndpointStatus.ENABLED:
            raise Conflict("invalid_state", "The endpoint is disabled: enable it first.")
        after = (_known(wanted.created_gte, _EARLIEST), _NO_ID)
        if wanted.cursor is not None:
            after = max(after, decode_cursor(_REDELIVERY, wanted.cursor, _place))
        rows = await store.to_redeliver(
            transaction.connection,
            merchant_id,
            endpoint_id,
            after=after,
            created_lt=_known(wanted.created_lt, _LATEST),
            statuses=wanted.statuses,
            patterns=[_pattern(event_type) for event_type in wanted.event_types],
            limit=wanted.limit,
        )
        put_back = await redeliver(transaction, [(row[0], row[1], row[2], row[3]) for row in rows])
        has_more = len(rows) == wanted.limit
        cursor = encode_cursor(_REDELIVERY, _position(rows[-1][4], rows[-1][0])) if has_more else None
        return Redelivered(len(put_back), cursor)


def _known(asked: datetime | None, otherwise: datetime) -> datetime:
    """`asked`, within the years that every clock knows: with some offsets the others have no UTC."""
    return min(max(asked or otherwise, _EARLIEST), _LATEST)


def _position(created_at: datetime, delivery_id: UUID) -> str:
    return f"{created_at.isoformat()} {delivery_id}"


def _place(position: str) -> store.Place:
    """Raises ValueError for what is no position."""
    created_at, _, delivery_id = position.partition(" ")
    at = datetime.fromisoformat(created_at)
    if at.tzinfo is None:
        raise ValueError("a time without its offset")
    return at, UUID(delivery_id)


def _pattern(event_type: str) -> str:
    """An event filter as the database compares it."""
    escaped = event_type.replace("_", r"\_")
    return escaped[:-1] + "%" if escaped.endswith(".*") else escaped


def _not_found() -> NotFound:
    return NotFound("There is no such webhook delivery.")
