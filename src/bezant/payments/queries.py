"""Reads: lists, refunds, and everything that happened to one payment."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Connection, Database
from bezant.base.errors import NotFound
from bezant.inbox.records import InboxEventView, told_of_payment
from bezant.ledger.read import JournalView, journals_of_payment
from bezant.outbox.read import events_of_payment
from bezant.payments import store
from bezant.payments.render import ClientSecrets, PaymentView, RefundView, payment_view, refund_view
from bezant.payments.states import Attempt, Payment, decode_failure
from bezant.psp.contract import Failure
from bezant.psp.log import requests_of
from bezant.web import Page, decode_cursor, encode_cursor


class RefundList(msgspec.Struct, frozen=True):
    """All refunds of a payment."""

    data: list[RefundView]


class TimelineItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened. `type`: attempt, psp_request, notice, journal, event or break."""

    at: datetime
    type: str
    id: str | None = None
    name: str | None = None
    status: str | None = None
    amount: int | None = None
    detail: str | None = None
    failure: Failure | None = None
    attempt_id: str | None = None
    journal: JournalView | None = None
    data: Any = None


class Timeline(msgspec.Struct, frozen=True):
    """Everything that happened to a payment, oldest first."""

    data: list[TimelineItem]


class Queries:
    """Reads a merchant's payments."""

    def __init__(self, database: Database, secrets: ClientSecrets) -> None:
        self._database = database
        self._secrets = secrets

    async def page(
        self,
        merchant_id: UUID,
        *,
        order_id: str | None,
        status: str | None,
        psp_reference: str | None,
        created_gte: datetime | None,
        created_lt: datetime | None,
        cursor: str | None,
        limit: int,
    ) -> Page[PaymentView]:
        """A page of payments, newest first. Raises InvalidRequest for a cursor that is not of this list."""
        before = None if cursor is None else decode_cursor("payments", cursor, UUID)
        async with self._database.snapshot() as connection:
            found = await store.page(
                connection,
                merchant_id,
                before=before,
                order_id=order_id,
                status=status,
                psp_reference=psp_reference,
                created_gte=created_gte,
                created_lt=created_lt,
                limit=limit + 1,
            )
            shown = found[:limit]
            unresolved = await self._open(connection, shown)
        now = datetime.now(UTC)
        views = [payment_view(p, unresolved.get(p.id, ()), now, self._secrets) for p in shown]
        has_more = len(found) > limit
        return Page(views, has_more, encode_cursor("payments", str(shown[-1].id)) if has_more else None)

    async def refunds(self, merchant_id: UUID, payment_id: UUID) -> RefundList:
        """The refunds of a payment. Raises NotFound."""
        async with self._database.snapshot() as connection:
            await _required(connection, merchant_id, payment_id)
            refunds = await store.refunds_of(connection, merchant_id, payment_id)
        return RefundList([refund_view(refund) for refund in refunds])

    async def refund(self, merchant_id: UUID, refund_id: UUID) -> RefundView:
        """One refund. Raises NotFound."""
        async with self._database.snapshot() as connection:
            refund = (await store.refunds(connection, [(refund_id, merchant_id)])).get(refund_id)
        if refund is None:
            raise NotFound("There is no such refund.")
        return refund_view(refund)

    async def timeline(self, merchant_id: UUID, payment_id: UUID) -> Timeline:
        """Everything that happened to a payment. Raises NotFound."""
        family = ids.family_range(payment_id)
        async with self._database.snapshot() as connection:
            await _required(connection, merchant_id, payment_id)
            attempts = await store.attempts_of(connection, merchant_id, family, payment_id)
            items = [_attempt_item(attempt) for attempt in attempts]
            for row in await requests_of(connection, merchant_id, family, [a.id for a in attempts]):
                items.append(_request_item(*row))
            items += [_notice_item(told) for told in await told_of_payment(connection, merchant_id, payment_id)]
            for journal in await journals_of_payment(connection, merchant_id, payment_id):
                items.append(
                    TimelineItem(journal.created_at, "journal", journal.journal_id, journal.kind, journal=journal)
                )
            for event in await events_of_payment(connection, merchant_id, payment_id):
                items.append(TimelineItem(event.created_at, "event", event.event_id, event.type, data=event.data))
            for _, attempt_id, kind, detail, at in await store.breaks_of(connection, merchant_id, family, payment_id):
                attempt = None if attempt_id is None else ids.show(ids.ATTEMPT, attempt_id)
                items.append(TimelineItem(at, "break", name=kind, detail=detail, attempt_id=attempt))
        return Timeline(sorted(items, key=lambda item: item.at))

    async def _open(self, connection: Connection, payments: list[Payment]) -> dict[UUID, list[Attempt]]:
        families = [(p.id, p.merchant_id, *ids.family_range(p.id)) for p in payments]
        unresolved: dict[UUID, list[Attempt]] = {}
        for attempt in await store.open_attempts(connection, families) if families else ():
            unresolved.setdefault(attempt.payment_id, []).append(attempt)
        return unresolved


async def _required(connection: Connection, merchant_id: UUID, payment_id: UUID) -> None:
    if payment_id not in await store.payments(connection, [(payment_id, merchant_id)]):
        raise NotFound("There is no such payment.")


def _attempt_item(attempt: Attempt) -> TimelineItem:
    return TimelineItem(
        attempt.created_at,
        "attempt",
        ids.show(ids.ATTEMPT, attempt.id),
        attempt.operation,
        attempt.status,
        attempt.amount_minor,
        attempt.detail,
        decode_failure(attempt.failure),
        data={
            "origin": attempt.origin,
            "psp": attempt.psp,
            "psp_reference": attempt.psp_reference,
            "told_by": None if attempt.told_by is None else ids.show(ids.INBOX_EVENT, attempt.told_by),
        },
    )


def _request_item(
    attempt_id: UUID,
    psp: str,
    method: str,
    path: str,
    status: int | None,
    error: str | None,
    duration_ms: int,
    sent_at: datetime,
) -> TimelineItem:
    return TimelineItem(
        sent_at,
        "psp_request",
        name=f"{method} {path}",
        detail=error,
        attempt_id=ids.show(ids.ATTEMPT, attempt_id),
        data={"psp": psp, "status": status, "duration_ms": duration_ms},
    )


def _notice_item(told: InboxEventView) -> TimelineItem:
    return TimelineItem(
        told.received_at,
        "notice",
        told.inbox_event_id,
        told.type,
        told.status,
        detail=told.reason,
        data={"psp": told.psp, "event_id": told.event_id},
    )
