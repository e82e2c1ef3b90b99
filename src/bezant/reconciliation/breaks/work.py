"""People work on breaks: they find them, say whose they are, and say what they know of them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from bezant.audit.record import By, record
from bezant.base import ids
from bezant.base.db import Connection, Database, Transaction
from bezant.base.errors import NotFound
from bezant.reconciliation.breaks import export, store
from bezant.reconciliation.breaks.store import Worked
from bezant.reconciliation.breaks.views import (
    BreakDetail,
    BreakFilter,
    BreakView,
    CommentView,
    break_fields,
    item_view,
)
from bezant.web import Page, decode_cursor, encode_cursor

_LIST: Final = "breaks"
_CANDIDATES_MAX: Final = 10
_EXPORTED_AT_ONCE: Final = 500


class Work:
    """Breaks of all merchants, for the operator."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: BreakFilter) -> Page[BreakView]:
        """A page of breaks, newest first. Raises InvalidRequest for a cursor that is not of this list."""
        before = None if wanted.cursor is None else decode_cursor(_LIST, wanted.cursor, _position)
        older = None if wanted.older_than_days is None else timedelta(days=wanted.older_than_days)
        async with self._database.connection() as connection:
            rows = await store.page(
                connection,
                before,
                status=None if wanted.status == "all" else wanted.status,
                kind=wanted.kind,
                psp=wanted.psp,
                owner=wanted.owner,
                currency=wanted.currency,
                amount_gte=wanted.amount_gte,
                older=older,
                limit=wanted.limit + 1,
            )
        has_more, rows = len(rows) > wanted.limit, rows[: wanted.limit]
        cursor = encode_cursor(_LIST, f"{rows[-1][0]}/{rows[-1][1]}") if has_more else None
        return Page([BreakView(**break_fields(row)) for row in rows], has_more, cursor)

    async def show(self, break_id: str) -> BreakDetail:
        """A break with its comments, with what it is about and with what could explain it. Raises NotFound."""
        async with self._database.snapshot() as connection:
            return await self.shown(connection, break_id)

    async def shown(self, connection: Connection, break_id: str) -> BreakDetail:
        """The same, as a transaction sees it."""
        row = await store.one(connection, _id(break_id))
        if row is None:
            raise _not_found()
        *fields, item_ids = row
        comments = await store.comments(connection, row[0], row[1])
        items = [item_view(item) for item in await store.items(connection, item_ids)]
        is_open = row[5] == "open" and bool(item_ids)
        found = await store.candidates(connection, item_ids, _CANDIDATES_MAX if is_open else 0)
        return BreakDetail(
            **break_fields(fields),
            items=items,
            candidates=[item_view(item) for item in found],
            comments=[CommentView(*comment) for comment in comments],
        )

    async def export(self, wanted: BreakFilter) -> AsyncIterator[str]:
        """The breaks as CSV, piece by piece: the first line, then as many pages as there are."""
        yield export.header()
        cursor: str | None = None
        while True:
            page = await self.page(msgspec.structs.replace(wanted, cursor=cursor, limit=_EXPORTED_AT_ONCE))
            yield export.rows(page.data)
            cursor = page.next_cursor
            if cursor is None:
                return


async def load(transaction: Transaction, break_id: str) -> Worked:
    """A break under its lock, to be changed. Raises NotFound."""
    found = await store.lock(transaction.connection, _id(break_id))
    if found is None:
        raise _not_found()
    return found


async def assign(transaction: Transaction, break_id: str, owner: str | None, actor: str) -> None:
    """Say who is to look at it; None: nobody. Raises NotFound."""
    found = await load(transaction, break_id)
    if found.owner == owner:
        return
    await store.assign(transaction, found.id, found.merchant_id, owner)
    detail: dict[str, object] = {"from": found.owner, "to": owner}
    by = By(actor, "assigned" if owner else "assigned to nobody")
    await record(transaction, by, "assign_break", break_id, found.merchant_id, detail)


async def comment(transaction: Transaction, break_id: str, body: str, actor: str) -> None:
    """Say something of it. Raises NotFound."""
    found = await load(transaction, break_id)
    comment_id = ids.new_id()
    await store.comment(transaction, comment_id, found.id, found.merchant_id, actor, body)
    await record(
        transaction, By(actor, "commented"), "comment_on_break", break_id, found.merchant_id, {"id": comment_id.hex}
    )


def _position(text: str) -> tuple[UUID, UUID]:
    break_id, _, merchant_id = text.partition("/")
    return UUID(break_id), UUID(merchant_id)


def _id(break_id: str) -> UUID:
    found = ids.parse(ids.BREAK, break_id)
    if found is None:
        raise _not_found()
    return found


def _not_found() -> NotFound:
    return NotFound("There is no such break.")
