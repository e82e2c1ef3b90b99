"""A person takes a match back: its postings are reversed, and what it explained is open again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from bezant.audit.record import By, record
from bezant.base import ids
from bezant.base.db import Transaction
from bezant.base.errors import Conflict, NotFound
from bezant.ledger.post import post
from bezant.ledger.rules import Journal
from bezant.payments.settling import settle
from bezant.reconciliation.breaks.by_hand import store
from bezant.reconciliation.breaks.by_hand.match import refuse_while_shared
from bezant.reconciliation.breaks.by_hand.rules import name
from bezant.reconciliation.breaks.by_hand.store import Explained
from bezant.reconciliation.rules import OPERATOR, PspLine, captured_minor, reversed_postings, share_postings

LINES_OF_PAYOUT_MAX: Final = 20_000
"""More of them would hold their merchants' balances for too long."""

_PREFIXES: Final = (ids.MATCH, ids.PSP_LINE, ids.JOURNAL, ids.PAYOUT_AT_PSP, ids.BANK_LINE)
_ALONE: Final = frozenset({"fee", "payout", "bank_fee"})


class Undone(msgspec.Struct, frozen=True):
    """A match that is no more, and the items that are open again."""

    match_id: UUID
    items: tuple[UUID, ...]


def item_of(text: str) -> UUID | None:
    """The item that a person names: a match, or anything in it."""
    return next((found for prefix in _PREFIXES if (found := ids.parse(prefix, text)) is not None), None)


async def unmatch(transaction: Transaction, item_id: UUID, by: By) -> Undone:
    """Take back the match in which this is. No run will explain its lines again: they wait for a person.

    For a guarded transaction of the lease. Raises NotFound where nothing explains it, Conflict where that cannot be
    taken back, and Busy while its deposit is being shared out.
    """
    rows = await store.explained_as(transaction.connection, [item_id])
    if not rows:
        raise NotFound("There is no such match.")
    sides = Counter(row.side for row in rows)
    if rows[0].rule in _ALONE or (sides["operation"] and not sides["line"] and len(rows) > 1):
        raise Conflict("invalid_state", "It explains itself: there is nothing to take apart.")
    if sides["operation"] or sides["line"]:
        await _unmatch_lines(transaction, rows)
    else:
        await _unmatch_deposit(transaction, rows)
    await store.want_run(transaction)
    match_id, items = rows[0].match_id, tuple(row.item_id for row in rows)
    detail = {"rule": rows[0].rule, "items": [str(item) for item in items]}
    await record(transaction, by, "unmatch_by_hand", ids.show(ids.MATCH, match_id), rows[0].merchant_id, detail)
    return Undone(match_id, items)


async def _unmatch_lines(transaction: Transaction, rows: Sequence[Explained]) -> None:
    """Operations and their lines, or one of them that was written off."""
    connection, merchant_id = transaction.connection, rows[0].merchant_id
    operation_ids = [row.item_id for row in rows if row.side == "operation"]
    found = await store.lines(connection, [row.item_id for row in rows if row.side == "line"])
    refuse_while_shared(found)
    lines = [each.line for each in found]
    await store.forget(transaction, rows, ())
    operations = await store.operations(connection, operation_ids)
    counted = [line.id for line in lines] or operation_ids
    names = [line.name for line in lines]
    if not lines:
        names = [name(ids.JOURNAL, each, await store.times_undone(connection, each)) for each in operation_ids]
    now = transaction.now
    if operations:
        posted = await store.journals_of_payment(connection, operations[0].payment_id, merchant_id, names, now)
    else:
        posted = await store.journals_of_house(connection, merchant_id, names, now)
    await post(transaction, [*reversed_postings(posted), *_shares_back(lines, merchant_id, transaction)])
    if lines and all(line.is_deposited for line in lines):
        await _unsettle(transaction, captured_minor(operations))
    await store.count_undone(transaction, counted)


def _shares_back(lines: Sequence[PspLine], merchant_id: UUID, transaction: Transaction) -> list[Journal]:
    """What these lines took out of the operator's book goes back into it, named after the first of each payout."""
    nets: dict[UUID, dict[tuple[UUID, str], int]] = {}
    names: dict[UUID, str] = {}
    lost = {line.payout_id for line in lines if line.is_written_off}
    for line in lines:
        if line.payout_id is not None and (line.is_deposited or line.is_written_off):
            of_payout = nets.setdefault(line.payout_id, {})
            of_payout[merchant_id, line.currency] = of_payout.get((merchant_id, line.currency), 0) - line.net_minor
            names.setdefault(line.payout_id, line.name)
    return [
        journal
        for payout_id, shares in nets.items()
        for journal in share_postings(
            shares,
            f"{ids.show(ids.PAYOUT_AT_PSP, payout_id)}:{names[payout_id]}:undone",
            transaction.now,
            written_off=payout_id in lost,
        )
    ]


async def _unmatch_deposit(transaction: Transaction, rows: Sequence[Explained]) -> None:
    """Payouts and the bank lines that they came as, or a payout or a bank line that was written off."""
    connection, now = transaction.connection, transaction.now
    names: list[str] = []
    shares: list[Journal] = []
    payout_ids = [row.item_id for row in rows if row.side == "payout"]
    if await store.carries_others(connection, payout_ids):
        raise Conflict("invalid_state", "Another payout was sent again with it: take that back first.")
    settled = await store.settled_by_payouts(connection, payout_ids)
    for payout_id in payout_ids:
        payout = await store.payout(connection, payout_id)
        assert payout is not None  # it is explained
        nets, lines = await store.nets_of_payout(connection, payout_id)
        if lines > LINES_OF_PAYOUT_MAX:
            detail = f"A payout of more than {LINES_OF_PAYOUT_MAX} lines cannot be taken apart."
            raise Conflict("invalid_state", detail)
        if payout.shared_at is None and lines:
            raise Conflict("invalid_state", "Its lines are not shared out yet: let a run finish.")
        names.append(name(ids.PAYOUT_AT_PSP, payout_id, payout.undone))
        back = {key: -minor for key, minor in nets.items()}
        shares += share_postings(back, f"{names[-1]}:undone", now, written_off=payout.written_off)
    for row in rows:
        if row.side == "bank_line":
            names.append(name(ids.BANK_LINE, row.item_id, await store.times_undone(connection, row.item_id)))
    posted = await store.journals_of_house(connection, OPERATOR, names, now)
    await post(transaction, [*reversed_postings(posted), *shares])
    await _unsettle(transaction, settled)
    await store.forget(transaction, rows, ())
    await store.return_payouts(transaction, payout_ids)
    await store.count_undone(transaction, [row.item_id for row in rows])


async def _unsettle(transaction: Transaction, captured: Mapping[tuple[UUID, UUID], int]) -> None:
    if captured:
        await settle(transaction, {key: -amount_minor for key, amount_minor in captured.items()})
