"""Keeps what a run found: each break once, for as long as it stands."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Database, Transaction
from bezant.reconciliation.breaks import store
from bezant.reconciliation.breaks.rules import AUTOMATIC, PREFIXES, Resolution, break_id, end_of
from bezant.reconciliation.breaks.store import NewBreak, Subject
from bezant.reconciliation.matching.model import BreakKind, Found, Id

_AT_ONCE: Final = 1_000
_ITEMS_MAX: Final = 50
_BEGINNING: Final = ("", UUID(int=0))


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What stands after a run, by kind, without what a person has ended; and how much of it is new or gone."""

    counts: Mapping[str, int]
    opened: int
    closed: int


async def keep(database: Database, found: Sequence[Found]) -> Kept:
    """Keep what was found and close what is no more. Raises DatabaseLost; what was kept until then stays.

    Safe to repeat, and to be killed: the next run finds the same.
    """
    by_subject = {(each.kind.value, subject): each for each in found if (subject := _subject(each))}
    in_order = sorted(by_subject)
    counts: Counter[str] = Counter()
    opened = 0
    kept = set[UUID]()
    for start in range(0, len(in_order), _AT_ONCE):
        part = [(key[1], by_subject[key]) for key in in_order[start : start + _AT_ONCE]]
        async with database.transaction() as transaction:
            rows = await _rows(transaction, part)
            before = await store.states(transaction.connection, rows)
            await store.keep(transaction, rows)
        kept |= {row.id for row in rows}
        for row in rows:
            status, resolution = before.get(row.id, ("new", None))
            if status != "resolved" or resolution in AUTOMATIC:
                counts[row.kind] += 1
                opened += status != "open"
    about = {subject for each in found for subject in each.subjects if isinstance(subject, UUID)}
    closed = await _close(database, kept, about)
    return Kept(counts=dict(sorted(counts.items())), opened=opened, closed=closed)


async def _rows(transaction: Transaction, part: Sequence[tuple[UUID, Found]]) -> list[NewBreak]:
    payments = [each.payment if isinstance(each.payment, UUID) else None for _, each in part]
    subjects = await store.subjects(transaction.connection, [item_id for item_id, _ in part], payments)
    rows = [
        _row(subjects[item_id], each, transaction)
        for item_id, each in part
        if item_id in subjects and subjects[item_id].side is not None
    ]
    return sorted(rows, key=lambda row: row.id)


def _row(subject: Subject, found: Found, transaction: Transaction) -> NewBreak:
    return NewBreak(
        id=break_id(found.kind, subject.id, subject.payment_id),
        merchant_id=subject.merchant_id or ids.OPERATOR_MERCHANT,
        payment_id=subject.payment_id,
        kind=found.kind,
        detail=found.detail,
        subject=ids.show(PREFIXES[subject.side or ""], subject.id),
        item_id=subject.id,
        psp=subject.psp,
        currency=found.currency,
        at_risk_minor=abs(found.at_risk_minor),
        since=found.since,
        next_heal_at=transaction.now if found.kind == BreakKind.MISSING_PSP_ROW else None,
        items=[item for item in found.subjects if isinstance(item, UUID)][:_ITEMS_MAX],
    )


async def _close(database: Database, kept: Set[UUID], found_items: Set[UUID]) -> int:
    """Close what was not found again because it is explained now, or has become a break of another kind."""
    closed, after = 0, _BEGINNING
    while True:
        async with database.transaction() as transaction:
            standing = await store.standing(transaction.connection, after, _AT_ONCE)
            ends: dict[tuple[UUID, UUID], Resolution] = {}
            for each in standing:
                end = end_of(each, is_found=each.id in kept, is_found_otherwise=each.item_id in found_items)
                if end is not None:
                    ends[each.id, each.merchant_id] = end
            if ends:
                closed += await store.end(transaction, ends)
        if len(standing) < _AT_ONCE:
            return closed
        after = (standing[-1].kind, standing[-1].id)


def _subject(found: Found) -> UUID | None:
    first: Id | None = found.subjects[0] if found.subjects else None
    return first if isinstance(first, UUID) else None
