"""What people may see of kept events, and have tried again."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from bezant.base import ids
from bezant.base.db import Connection, Database
from bezant.base.errors import Conflict, NotFound
from bezant.base.log import redact_text
from bezant.inbox import store
from bezant.inbox.rules import Status
from bezant.web import Page, PageQuery, decode_cursor, encode_cursor

_RETRY_BATCH = 1_000


class InboxEventView(msgspec.Struct, frozen=True, kw_only=True):
    """What a PSP told, without its words. `psp_account`: null for the platform's own."""

    inbox_event_id: str
    psp: str
    psp_account: str | None
    event_id: str
    type: str
    status: Status
    tries: int
    next_try_at: datetime | None
    reason: str | None
    payment_id: str | None
    merchant_id: str | None
    occurred_at: datetime
    received_at: datetime
    settled_at: datetime | None


class InboxEventDetail(InboxEventView, frozen=True, kw_only=True):
    """What a PSP told, in its words. `body`: as text, without secrets."""

    body: str


class InboxFilter(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events are listed. `since`: received then or later."""

    psp: Annotated[str, Meta(max_length=40)] | None = None
    status: Status | None = None
    type: Annotated[str, Meta(max_length=100)] | None = None
    since: datetime | None = None


class Records:
    """Reads kept events, and makes them due again. A merchant sees what names his payments or came to his accounts.

    `merchant_id` None: everything, for the operator.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, merchant_id: UUID | None, wanted: InboxFilter) -> Page[InboxEventView]:
        """A page of events, newest first. Raises InvalidRequest for a cursor that is not of this list."""
        before = None if wanted.cursor is None else decode_cursor("inbox_events", wanted.cursor, UUID)
        async with self._database.connection() as connection:
            rows = await store.page(
                connection,
                merchant_id,
                before=before,
                psp=wanted.psp,
                status=wanted.status,
                type_=wanted.type,
                since=wanted.since,
                limit=wanted.limit + 1,
            )
        has_more, shown = len(rows) > wanted.limit, rows[: wanted.limit]
        cursor = encode_cursor("inbox_events", str(shown[-1][0])) if has_more else None
        return Page([InboxEventView(**_fields(row)) for row in shown], has_more, cursor)

    async def show(self, merchant_id: UUID | None, inbox_event_id: str) -> InboxEventDetail:
        """One event with what the PSP said. Raises NotFound."""
        async with self._database.connection() as connection:
            row = await store.one(connection, merchant_id, _id(inbox_event_id))
        if row is None:
            raise _not_found()
        body = redact_text(bytes(row[-1]).decode("utf-8", "replace"))
        return InboxEventDetail(**_fields(row), body=body)

    async def retry(self, merchant_id: UUID | None, inbox_event_id: str) -> InboxEventDetail:
        """Make an event due now. Raises NotFound, and Conflict for what is applied or due anyway."""
        async with self._database.connection() as connection:
            again = await store.retry(connection, merchant_id, _id(inbox_event_id))
        shown = await self.show(merchant_id, inbox_event_id)
        if not again:
            raise Conflict("invalid_state", f"The event is {shown.status}: there is nothing to try again.")
        return shown

    async def retry_all(self, status: Status, *, psp: str | None, type_: str | None, since: datetime | None) -> int:
        """Make every event of a status due now; how many."""
        total = 0
        while True:
            async with self._database.connection() as connection:
                made_due = await store.retry_all(connection, status, psp, type_, since, _RETRY_BATCH)
            total += made_due
            if made_due < _RETRY_BATCH:
                return total


async def told_of_payment(connection: Connection, merchant_id: UUID, payment_id: UUID) -> list[InboxEventView]:
    """What PSPs told of one payment, in order of arrival."""
    rows = await store.of_payment(connection, merchant_id, payment_id)
    return [InboxEventView(**_fields(row)) for row in rows]


def _id(inbox_event_id: str) -> UUID:
    found = ids.parse(ids.INBOX_EVENT, inbox_event_id)
    if found is None:
        raise _not_found()
    return found


def _not_found() -> NotFound:
    return NotFound("There is no such inbox event.")


def _fields(row: Any) -> dict[str, Any]:
    event_id, psp, account, named, type_, status, tries, next_try_at, reason, payment_id, merchant_id, *times = row
    return {
        "inbox_event_id": ids.show(ids.INBOX_EVENT, event_id),
        "psp": psp,
        "psp_account": account,
        "event_id": named,
        "type": type_,
        "status": Status(status),
        "tries": tries,
        "next_try_at": next_try_at,
        "reason": reason,
        "payment_id": None if payment_id is None else ids.show(ids.PAYMENT, payment_id),
        "merchant_id": None if merchant_id is None else ids.show(ids.MERCHANT, merchant_id),
        "occurred_at": times[0],
        "received_at": times[1],
        "settled_at": times[2],
    }
