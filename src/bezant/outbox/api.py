"""The HTTP calls about events."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from bezant.base import ids
from bezant.base.db import Database
from bezant.base.errors import InvalidRequest, NotFound
from bezant.outbox import store
from bezant.outbox.read import EventView, event_view
from bezant.web import Call, Reply, Route, json_reply

_START = (0, -1, UUID(int=0))


class EventQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after`: the last event that was read; without it, from the first."""

    after: Annotated[str, Meta(max_length=64)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class EventList(msgspec.Struct, frozen=True):
    """Events in order. With `has_more`, go on with `after` the last one."""

    data: list[EventView]
    has_more: bool


class EventsApi:
    """The calls, with what they need."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def routes(self) -> tuple[Route, ...]:
        """What is served and documented."""
        return (
            Route("GET", "/events", self.list, scope="events:read", query=EventQuery, responses={200: EventList}),
            Route("GET", "/events/{event_id}", self.show, scope="events:read", responses={200: EventView}),
        )

    async def list(self, call: Call) -> Reply:
        """List the merchant's events, oldest first.

        An event never appears before one that was read already: changes that are still being written are waited for.
        """
        query, merchant_id = call.read_query(EventQuery), call.principal.merchant_id
        async with self._database.connection() as connection:
            order = _START
            if query.after is not None:
                event_id = ids.parse(ids.EVENT, query.after)
                found = None if event_id is None else await store.order_of(connection, merchant_id, event_id)
                if found is None:
                    raise InvalidRequest("invalid_request", "There is no such event.", param="/after")
                order = (found[0], found[1], found[2])
            rows = await store.after(connection, merchant_id, order, query.limit + 1)
        return json_reply(200, EventList([event_view(row) for row in rows[: query.limit]], len(rows) > query.limit))

    async def show(self, call: Call) -> Reply:
        """Show an event."""
        event_id = ids.parse(ids.EVENT, call.path_params["event_id"])
        async with self._database.connection() as connection:
            row = None if event_id is None else await store.by_id(connection, call.principal.merchant_id, event_id)
        if row is None:
            raise NotFound("There is no such event.")
        return json_reply(200, event_view(row))
