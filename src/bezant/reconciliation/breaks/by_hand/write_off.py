"""A person gives something up: it is written off, and its transit account is free of it."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from bezant.audit.record import By, record
from bezant.base import ids
from bezant.base.db import Transaction
from bezant.base.errors import Conflict, NotFound, Unprocessable
from bezant.ledger.post import post
from bezant.ledger.rules import Journal
from bezant.reconciliation.breaks.by_hand import store
from bezant.reconciliation.breaks.by_hand.match import refuse_while_shared
from bezant.reconciliation.breaks.by_hand.rules import (
    WRITTEN_OFF,
    bank_line_write_off,
    line_write_off,
    name,
    operation_write_off,
    payout_write_off,
)
from bezant.reconciliation.rules import OPERATOR
from bezant.reconciliation.settle import Shares


class WrittenOff(msgspec.Struct, frozen=True):
    """What was given up, in whose book, and the journal that says so; none where it came to nothing."""

    merchant_id: UUID
    journal_id: UUID | None


async def write_off(transaction: Transaction, item_id: UUID, by: By) -> WrittenOff:
    """Write off an operation that no PSP will report, a line or a bank line that is nobody's, or the rest of a deposit.

    An operation's amount leaves `customer_funds_in_transit` (`disputed_funds_at_psp`) of its merchant. A line's net
    enters `psp_clearing` of whose PSP account it is, from where its deposit takes it. A bank line's amount, and what a
    payout's lines do not explain of its deposit, leave `suspense`. The other side is always `write_off_expense`.

    For a guarded transaction of the lease. Raises NotFound, Conflict for what is explained already, Unprocessable for
    what is no loss yet.
    """
    done = (
        await _operation(transaction, item_id)
        or await _line(transaction, item_id)
        or await _bank_line(transaction, item_id)
        or await _payout(transaction, item_id)
    )
    if done is None:
        if await store.explained_as(transaction.connection, [item_id]):
            raise Conflict("invalid_state", "It is explained already.")
        raise NotFound("There is nothing open under this id.")
    shown, written = done
    journal = None if written.journal_id is None else ids.show(ids.JOURNAL, written.journal_id)
    await record(transaction, by, "write_off", shown, written.merchant_id, {"journal": journal})
    return written


async def _operation(transaction: Transaction, item_id: UUID) -> tuple[str, WrittenOff] | None:
    found = await store.operations(transaction.connection, [item_id])
    if not found:
        return None
    (operation,) = found
    undone = await store.times_undone(transaction.connection, item_id)
    correlation_id = name(ids.JOURNAL, item_id, undone)
    journal = operation_write_off(operation, operation.amount_minor, correlation_id, transaction.now)
    await post(transaction, [journal])
    await store.explain_alone(transaction, item_id, "operation", WRITTEN_OFF, operation.merchant_id)
    return ids.show(ids.JOURNAL, item_id), WrittenOff(operation.merchant_id, journal.id)


async def _line(transaction: Transaction, item_id: UUID) -> tuple[str, WrittenOff] | None:
    found = await store.lines(transaction.connection, [item_id])
    if not found or not found[0].is_open:
        return None
    refuse_while_shared(found)
    line = found[0].line
    shares = Shares()
    shares.add(line, line.house_id)
    journals = line_write_off(line, transaction.now)
    await post(transaction, [*journals, *shares.journals(transaction)])
    await store.explain_alone(transaction, item_id, "line", WRITTEN_OFF, line.house_id)
    return ids.show(ids.PSP_LINE, item_id), WrittenOff(line.house_id, _last(journals))


async def _bank_line(transaction: Transaction, item_id: UUID) -> tuple[str, WrittenOff] | None:
    line = await store.bank_line(transaction.connection, item_id)
    if line is None:
        return None
    journals = bank_line_write_off(line, transaction.now)
    await post(transaction, journals)
    await store.explain_alone(transaction, item_id, "bank_line", WRITTEN_OFF, OPERATOR)
    return ids.show(ids.BANK_LINE, item_id), WrittenOff(OPERATOR, _last(journals))


async def _payout(transaction: Transaction, item_id: UUID) -> tuple[str, WrittenOff] | None:
    """The rest of a deposit, once every line of it is explained: until then it may belong to one of them."""
    payout = await store.payout(transaction.connection, item_id)
    if payout is None:
        return None
    if payout.written_off:
        raise Unprocessable("not_a_loss", "It never came and is written off as a whole: there is no rest of it.")
    if payout.deposited_at is None or payout.shared_at is None or payout.amount_minor is None:
        detail = "The payout did not come yet. Find it among the bank lines, or wait for it."
        raise Unprocessable("not_a_loss", detail)
    if await store.open_lines_of_payout(transaction.connection, item_id):
        raise Unprocessable("not_a_loss", "Lines of the payout are not explained yet: begin with those.")
    names = [name(ids.PAYOUT_AT_PSP, item_id, payout.undone)]
    posted = await store.journals_of_house(transaction.connection, OPERATOR, names, transaction.now)
    if any(journal.kind == "write_off" for journal in posted):
        raise Conflict("invalid_state", "The rest of it is written off already.")
    rest_minor = await store.rest_of_payout(transaction.connection, payout)
    journals = payout_write_off(item_id, payout.undone, payout.currency, rest_minor, transaction.now)
    await post(transaction, journals)
    return ids.show(ids.PAYOUT_AT_PSP, item_id), WrittenOff(OPERATOR, _last(journals))


def _last(journals: Sequence[Journal]) -> UUID | None:
    return journals[-1].id if journals else None
