"""The merchant's events as endpoints get them, for those who fetch them instead: `bezant listen` and its like."""

from collections.abc import Sequence
from typing import Annotated, cast
from uuid import UUID

import msgspec
from msgspec import Meta

from bezant.base.db import Database, Row
from bezant.outbox.envelope import CloudEvent, envelope
from bezant.web import Call, Reply, Route, decode_cursor, encode_cursor, json_reply
from bezant.webhooks import store

_KIND = "webhook_events"


class WebhookEventQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cursor`: from where to go on; without it, from now on."""

    cursor: Annotated[str, Meta(max_length=200)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class WebhookEventList(msgspec.Struct, frozen=True):
    """Events in order, each as the body of its webhook, and where to go on: at once with `has_more`, else later."""

    data: list[CloudEvent]
    has_more: bool
    next_cursor: str


class WebhookEventsApi:
    """The call, with what it needs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def routes(self) -> tuple[Route, ...]:
        """What is served and documented."""
        return (
            Route(
                "GET",
                "/webhook_events",
                self.list,
                scope="events:read",
                query=WebhookEventQuery,
                responses={200: WebhookEventList},
            ),
        )

    async def list(self, call: Call) -> Reply:
        """List events as webhook endpoints get them, from now on.

        The first call gives a cursor and no events; each further one what has happened since, oldest first.
        """
        query = call.read_query(WebhookEventQuery)
        async with self._database.connection() as connection:
            if query.cursor is None:
                place = await store.end_of_events(connection)
                rows: Sequence[Row] = ()
            else:
                place = decode_cursor(_KIND, query.cursor, _place)
                rows = await store.events_after(connection, call.principal.merchant_id, place, query.limit + 1)
        shown = rows[: query.limit]
        if shown:
            place = (shown[-1][4], shown[-1][5], shown[-1][0])
        bodies = [msgspec.Raw(envelope(row).body) for row in shown]
        cursor = encode_cursor(_KIND, " ".join(map(str, place)))
        return json_reply(200, WebhookEventList(cast("list[CloudEvent]", bodies), len(rows) > query.limit, cursor))


def _place(position: str) -> store.EventPlace:
    """Raises ValueError for what is no position."""
    tx, place, event_id = position.split(" ")
    return _within(int(tx), 63), _within(int(place), 31), UUID(event_id)


def _within(number: int, bits: int) -> int:
    if not -1 <= number < 1 << bits:
        raise ValueError("no place of an event")
    return number
