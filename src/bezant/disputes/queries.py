"""Reads: disputes of a merchant, or, for the operator, of all."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from bezant.base import ids
from bezant.base.db import Connection, Database
from bezant.base.errors import NotFound
from bezant.disputes import store
from bezant.disputes.render import DisputeView, dispute_view
from bezant.disputes.states import Stage, Status
from bezant.web import Page, PageQuery, decode_cursor, encode_cursor


class DisputeQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters of the list of disputes; all that are given must hold."""

    payment_id: Annotated[str, Meta(max_length=100)] | None = None
    status: Status | None = None
    stage: Stage | None = None


class Queries:
    """Reads disputes. `merchant_id` None: whoever's they are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, merchant_id: UUID | None, wanted: DisputeQuery) -> Page[DisputeView]:
        """A page of disputes, those of the newest payments first. Raises InvalidRequest for another list's cursor."""
        before = None if wanted.cursor is None else decode_cursor("disputes", wanted.cursor, UUID)
        payment_id = None if wanted.payment_id is None else ids.parse(ids.PAYMENT, wanted.payment_id)
        if wanted.payment_id is not None and payment_id is None:
            return Page([], False, None)
        async with self._database.snapshot() as connection:
            found = await store.page(
                connection,
                merchant_id,
                before=before,
                payment_id=payment_id,
                status=wanted.status,
                stage=wanted.stage,
                limit=wanted.limit + 1,
            )
            shown = found[: wanted.limit]
            views = [await view(connection, d.merchant_id, d.id) for d in shown]
        has_more = len(found) > wanted.limit
        return Page(views, has_more, encode_cursor("disputes", str(shown[-1].id)) if has_more else None)

    async def show(self, merchant_id: UUID | None, dispute_id: UUID) -> DisputeView:
        """One dispute. Raises NotFound."""
        async with self._database.snapshot() as connection:
            return await view(connection, merchant_id, dispute_id)


async def view(connection: Connection, merchant_id: UUID | None, dispute_id: UUID) -> DisputeView:
    """The dispute as it is, with all that belongs to it. Raises NotFound."""
    dispute = await store.dispute(connection, merchant_id, dispute_id)
    if dispute is None:
        raise NotFound("There is no such dispute.")
    key = (dispute.id, dispute.merchant_id)
    rounds = (await store.rounds(connection, [key])).get(dispute.id, [])
    actions = await store.actions(connection, key)
    return dispute_view(dispute, rounds, actions, await store.evidence(connection, key), datetime.now(UTC))
