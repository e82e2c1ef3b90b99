"""What is in transit, by whom and for how long; and of each operation, that nothing is or why."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from bezant.base import ids
from bezant.base.db import Database, Row
from bezant.base.errors import NotFound
from bezant.base.money import Money
from bezant.reconciliation.breaks.overview import store
from bezant.web import Page, PageQuery, decode_cursor, encode_cursor

AGES: Final = ("0-1d", "1-3d", "3-7d", "7-30d", ">30d")
_LIST: Final = "transit"


class OnItsWay(msgspec.Struct, frozen=True, kw_only=True):
    """So much of a kind, at an account, for so long. `amount`: the sum, signed as the balance moves."""

    at: str
    account: str | None
    kind: str
    age: str
    count: int
    amount: Money


class BreaksOfKind(msgspec.Struct, frozen=True, kw_only=True):
    """Open breaks of a kind. `assigned`: how many of them are somebody's."""

    kind: str
    count: int
    assigned: int
    at_risk: Money | None
    oldest: datetime


class FilesOfState(msgspec.Struct, frozen=True, kw_only=True):
    """Files that stand there."""

    source: str
    psp: str
    state: str
    count: int
    lines: int
    quarantined: int
    last_at: datetime


class ReconciliationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is not explained yet.

    `operations`: captures, refunds and disputes that PSPs must still report. `lines`: of reports, that nothing
    explains. `payouts`: sent, and not found at a bank. `bank_lines`: booked by banks, and not explained.
    """

    operations: list[OnItsWay]
    lines: list[OnItsWay]
    payouts: list[OnItsWay]
    bank_lines: list[OnItsWay]
    breaks: list[BreaksOfKind]
    files: list[FilesOfState]


class TransitFilter(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `payment`: what is in transit, oldest first. With it: everything of the payment, in one page."""

    payment: Annotated[str, Meta(max_length=64)] | None = None


class TransitView(msgspec.Struct, frozen=True, kw_only=True):
    """An operation, and what of it is in transit. `why`: for what it waits, or by what it is explained."""

    operation_id: str
    merchant_id: str
    payment_id: str
    kind: str
    psp: str
    amount: Money
    in_transit: Money
    why: str
    match_id: str | None
    lines: list[str]
    break_id: str | None
    at: datetime


class Overview:
    """Adds up and lists, for the operator."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def status(self) -> ReconciliationStatus:
        """What is not explained yet."""
        async with self._database.snapshot() as connection:
            return ReconciliationStatus(
                operations=[_on_its_way(row) for row in await store.operations(connection)],
                lines=[_on_its_way(row) for row in await store.lines(connection)],
                payouts=[_on_its_way(row) for row in await store.payouts(connection)],
                bank_lines=[_on_its_way(row) for row in await store.bank_lines(connection)],
                breaks=[_breaks(row) for row in await store.breaks(connection)],
                files=[_files(row) for row in await store.files(connection)],
            )

    async def transit(self, wanted: TransitFilter) -> Page[TransitView]:
        """Operations in transit, or all of a payment. Raises NotFound, InvalidRequest for a strange cursor."""
        if wanted.payment is not None:
            return await self._of_payment(wanted.payment)
        after = None if wanted.cursor is None else decode_cursor(_LIST, wanted.cursor, _position)
        async with self._database.connection() as connection:
            rows = await store.waiting(connection, after, wanted.limit + 1)
        has_more, rows = len(rows) > wanted.limit, rows[: wanted.limit]
        cursor = encode_cursor(_LIST, f"{rows[-1][6].isoformat()}/{rows[-1][0]}") if has_more else None
        return Page([_transit(row) for row in rows], has_more, cursor)

    async def _of_payment(self, payment: str) -> Page[TransitView]:
        payment_id = ids.parse(ids.PAYMENT, payment)
        if payment_id is None:
            raise _nothing()
        async with self._database.connection() as connection:
            rows = await store.of_payment(connection, payment_id)
        if not rows:
            raise _nothing()
        return Page([_transit(row) for row in rows], has_more=False, next_cursor=None)


def _nothing() -> NotFound:
    return NotFound("There is no such payment, or nothing was captured of it.")


def _position(text: str) -> tuple[datetime, UUID]:
    at, _, operation_id = text.partition("/")
    since = datetime.fromisoformat(at)
    if since.tzinfo is None:
        raise ValueError("a time without its zone")
    return since, UUID(operation_id)


def _on_its_way(row: Row) -> OnItsWay:
    at, account, kind, currency, age, count, amount_minor = row
    return OnItsWay(
        at=at, account=account, kind=kind, age=age.strip(), count=count, amount=Money(amount_minor, currency)
    )


def _breaks(row: Row) -> BreaksOfKind:
    kind, currency, count, at_risk_minor, oldest, assigned = row
    at_risk = None if currency is None else Money(at_risk_minor, currency)
    return BreaksOfKind(kind=kind, count=count, assigned=assigned, at_risk=at_risk, oldest=oldest)


def _files(row: Row) -> FilesOfState:
    source, psp, state, count, lines, quarantined, last_at = row
    return FilesOfState(
        source=source, psp=psp, state=state, count=count, lines=lines, quarantined=quarantined, last_at=last_at
    )


def _transit(row: Row) -> TransitView:
    operation_id, merchant_id, payment_id, kind, currency, amount_minor, at, psp, waits, match_id, rule = row[:11]
    rest_minor, lines, break_id, break_kind = row[11:]
    if waits:
        why = f"no report of {psp} explains it yet" if break_kind is None else f"{break_kind}: see its break"
    elif match_id is None:
        why = "booked just now: the next run collects it"
    else:
        why = f"explained: {rule}"
    return TransitView(
        operation_id=ids.show(ids.JOURNAL, operation_id),
        merchant_id=ids.show(ids.MERCHANT, merchant_id),
        payment_id=ids.show(ids.PAYMENT, payment_id),
        kind=kind,
        psp=psp,
        amount=Money(amount_minor, currency),
        in_transit=Money(rest_minor, currency),
        why=why,
        match_id=None if match_id is None else ids.show(ids.MATCH, match_id),
        lines=list(lines or ()),
        break_id=None if break_id is None else ids.show(ids.BREAK, break_id),
        at=at,
    )
