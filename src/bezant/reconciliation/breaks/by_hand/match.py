"""A person says which lines report which operations, or which entries at the bank are which payouts."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from bezant.audit.record import By, record
from bezant.base import ids
from bezant.base.db import Transaction
from bezant.base.errors import Busy, Conflict, InvalidRequest, NotFound, Unprocessable
from bezant.ledger.post import post
from bezant.reconciliation.breaks.by_hand import store
from bezant.reconciliation.breaks.by_hand.rules import (
    RULE,
    deposit_write_off,
    difference_minor,
    operation_write_off,
)
from bezant.reconciliation.deposits import book, deposit_of, load_open, payout_of
from bezant.reconciliation.matching.model import DepositMatch
from bezant.reconciliation.rules import OPERATOR, Operation, PspLine, postings
from bezant.reconciliation.settle import Matched, settle_matches

ITEMS_MAX = 100


class Made(msgspec.Struct, frozen=True):
    """A match that was made. `journal_id`: of what was written off, else of what its first line has posted."""

    match_id: UUID
    merchant_id: UUID
    items: tuple[UUID, ...]
    written_off_minor: int
    currency: str
    journal_id: UUID | None


async def match(
    transaction: Transaction,
    operation_ids: Sequence[UUID],
    line_ids: Sequence[UUID],
    by: By,
    *,
    write_off: bool = False,
    action: str = "match_by_hand",
) -> Made:
    """Explain operations of one payment by lines: posted as the lines report them, the rest is written off if wanted.

    For a guarded transaction of the lease. Raises NotFound; Conflict for what is explained already; Unprocessable for
    what cannot be of each other, or does not agree in its sum and is not to be written off; Busy while a payout's lines
    are being shared out.
    """
    operations, lines = await _load(transaction, operation_ids, line_ids)
    difference = difference_minor(operations, lines)
    first = operations[0]
    if difference and not write_off:
        raise _amounts_differ("operations", difference, first.currency)
    matched = Matched(RULE, tuple(operations), tuple(lines))
    await settle_matches(transaction, [matched])
    journal = postings(lines[0], first)[0]
    if difference:
        journal = operation_write_off(first, difference, lines[0].name, transaction.now)
        await post(transaction, [journal])
    detail: dict[str, object] = {
        "operations": [ids.show(ids.JOURNAL, each.id) for each in operations],
        "lines": [ids.show(ids.PSP_LINE, each.id) for each in lines],
        "written_off_minor": difference,
        "currency": first.currency,
    }
    await record(transaction, by, action, ids.show(ids.MATCH, matched.id), first.merchant_id, detail)
    items = tuple(each.id for each in (*operations, *lines))
    return Made(matched.id, first.merchant_id, items, difference, first.currency, journal.id)


async def match_deposits(
    transaction: Transaction, payout_ids: Sequence[UUID], line_ids: Sequence[UUID], by: By, *, write_off: bool = False
) -> Made:
    """Explain what the bank booked by payouts; what came less, or more, is written off if wanted.

    For a guarded transaction of the lease. Raises as `match` does.
    """
    wanted = sorted({*payout_ids, *line_ids})
    if not payout_ids or not line_ids or len(wanted) > ITEMS_MAX:
        raise _nothing_named()
    found = await load_open(transaction.connection)
    missing = {each for each in wanted if each not in found.payouts and each not in found.lines}
    if missing:
        await _refuse(transaction, missing)
    payouts = [found.payouts[each] for each in sorted(set(payout_ids)) if each in found.payouts]
    lines = [found.lines[each] for each in sorted(set(line_ids)) if each in found.lines]
    currencies = {each.currency for each in lines}
    if len({each.currency for each in payouts}) != 1 or len(currencies) != 1 or not lines:
        raise Unprocessable("invalid_match", "All payouts are of one currency, and all bank lines are.")
    difference, currency = 0, payouts[0].currency
    if currencies == {currency}:
        difference = sum(each.amount_minor for each in payouts) - sum(each.amount_minor for each in lines)
    if difference and not write_off:
        raise _amounts_differ("payouts", difference, currency)
    of_match = DepositMatch(tuple(map(payout_of, payouts)), tuple(map(deposit_of, lines)), RULE)
    await book(transaction, [of_match], found)
    journals = deposit_write_off(lines[0].id, lines[0].undone, currency, difference, transaction.now)
    await post(transaction, journals)
    await store.want_run(transaction)
    match_id = min(each.id for each in payouts)
    detail: dict[str, object] = {
        "payouts": [ids.show(ids.PAYOUT_AT_PSP, each.id) for each in payouts],
        "bank_lines": [ids.show(ids.BANK_LINE, each.id) for each in lines],
        "written_off_minor": difference,
        "currency": currency,
    }
    await record(transaction, by, "match_by_hand", ids.show(ids.MATCH, match_id), OPERATOR, detail)
    return Made(match_id, OPERATOR, tuple(wanted), difference, currency, journals[-1].id if journals else None)


async def _load(
    transaction: Transaction, operation_ids: Sequence[UUID], line_ids: Sequence[UUID]
) -> tuple[list[Operation], list[PspLine]]:
    wanted_operations, wanted_lines = sorted(set(operation_ids)), sorted(set(line_ids))
    if not wanted_operations or not wanted_lines or len(wanted_operations) + len(wanted_lines) > ITEMS_MAX:
        raise _nothing_named()
    operations = await store.operations(transaction.connection, wanted_operations)
    found = await store.lines(transaction.connection, wanted_lines)
    missing = set(wanted_operations) - {each.id for each in operations}
    missing |= set(wanted_lines) - {each.line.id for each in found if each.is_open}
    if missing:
        await _refuse(transaction, missing)
    refuse_while_shared(found)
    return operations, [each.line for each in found]


def _nothing_named() -> InvalidRequest:
    return InvalidRequest("invalid_request", f"Name something on both sides, at most {ITEMS_MAX} in all.")


def _amounts_differ(what: str, difference: int, currency: str) -> Unprocessable:
    more = f"{abs(difference)} minor units of {currency} {'more' if difference > 0 else 'less'}"
    detail = f"The {what} are {more} than their lines. Ask for the difference to be written off if that is right."
    return Unprocessable("amounts_differ", detail, param="/write_off")


async def _refuse(transaction: Transaction, missing: set[UUID]) -> None:
    if any(row.item_id in missing for row in await store.explained_as(transaction.connection, sorted(missing))):
        raise Conflict("invalid_state", "Something of it is explained already: take that match back first.")
    raise NotFound("There is no such thing that is open.")


def refuse_while_shared(found: Sequence[store.FoundLine]) -> None:
    """Raises Busy while the deposit of one of these lines is being shared out: a run was cut short in it."""
    if any(each.is_being_shared for each in found):
        raise Busy("run_in_progress", "A deposit is not shared out to its end: let a run finish it.", retry_after_s=60)
