"""A person says what became of a payout that never came: it is lost, or its money came with another one."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from bezant.audit.record import By, record
from bezant.base import ids
from bezant.base.db import Transaction
from bezant.base.errors import Conflict, InvalidRequest, NotFound, Unprocessable
from bezant.ledger.rules import Journal
from bezant.reconciliation.breaks.by_hand import store
from bezant.reconciliation.breaks.by_hand.match import ITEMS_MAX, Made
from bezant.reconciliation.breaks.by_hand.rules import SENT_AGAIN, WRITTEN_OFF, name
from bezant.reconciliation.breaks.by_hand.store import Payout
from bezant.reconciliation.breaks.by_hand.unmatch import LINES_OF_PAYOUT_MAX
from bezant.reconciliation.breaks.by_hand.write_off import WrittenOff
from bezant.reconciliation.deposits import load_open
from bezant.reconciliation.rules import OPERATOR
from bezant.reconciliation.settle import share_out

_AT_ONCE: Final = 4_000
_BEGINNING: Final = UUID(int=0)


async def write_off_payout(transaction: Transaction, payout_id: UUID, by: By) -> WrittenOff:
    """Write off a payout that never comes: each explained line's net leaves `psp_clearing` of its own book.

    The other side is `write_off_expense`. Its payments are not settled by that, and a line that is explained later is
    as lost. Very many lines are shared out by the next run. If the payout comes after all, this is taken back first
    (`unmatch`). For a guarded transaction of the lease. Raises NotFound, and Conflict for one that is explained.
    """
    payout = await _waiting(transaction, payout_id)
    await store.explain_alone(transaction, payout_id, "payout", WRITTEN_OFF, OPERATOR)
    await store.give_up_payout(transaction, payout_id)
    is_all, through, looked_at = False, _BEGINNING, 0
    posted: list[Journal] = []
    while not is_all and looked_at < LINES_OF_PAYOUT_MAX:
        is_all, through, journals = await share_out(transaction, payout_id, through, _AT_ONCE, written_off=True)
        looked_at += _AT_ONCE
        posted += journals
    if not is_all:
        await store.want_run(transaction)
    journal_id = posted[0].id if posted else None
    journal = None if journal_id is None else ids.show(ids.JOURNAL, journal_id)
    shown = ids.show(ids.PAYOUT_AT_PSP, payout.id)
    await record(transaction, by, "write_off", shown, OPERATOR, {"journal": journal, "journals": len(posted)})
    return WrittenOff(OPERATOR, journal_id)


async def match_sent_again(transaction: Transaction, payout_ids: Sequence[UUID], came_id: UUID, by: By) -> Made:
    """Payouts that failed came with another one, beyond what that one's own lines say: its rest is theirs.

    Nothing is posted but what their lines then take out of suspense. For a guarded transaction of the lease. Raises
    NotFound, Conflict for what is explained already, and Unprocessable where there is not so much left of the other.
    """
    wanted = sorted(set(payout_ids))
    if came_id in wanted or len(wanted) > ITEMS_MAX:
        raise InvalidRequest("invalid_request", f"Name at most {ITEMS_MAX} payouts, and the one with which they came.")
    came = await store.payout(transaction.connection, came_id)
    if came is None:
        raise NotFound("There is no such payout.")
    failed = [await _waiting(transaction, payout_id) for payout_id in wanted]
    sent = (await load_open(transaction.connection)).payouts
    if any(each.id not in sent or each.currency != came.currency for each in failed):
        raise Unprocessable("invalid_match", "All payouts are of one currency, and their amounts are known.")
    total_minor = sum(sent[each.id].amount_minor for each in failed)
    rest_minor = await _rest(transaction, came)
    if abs(total_minor) > abs(rest_minor) or total_minor * rest_minor < 0:
        came_minor = f"{rest_minor} minor units of {came.currency}"
        raise Unprocessable("amounts_differ", f"Beyond its own lines {came_minor} came with it, not {total_minor}.")
    for each in failed:
        await store.explain_alone(transaction, each.id, "payout", SENT_AGAIN, OPERATOR)
        await store.sent_again(transaction, each.id, sent[each.id].amount_minor, came_id)
    await store.want_run(transaction)
    detail: dict[str, object] = {
        "payouts": [ids.show(ids.PAYOUT_AT_PSP, each) for each in wanted],
        "came_with": ids.show(ids.PAYOUT_AT_PSP, came_id),
    }
    match_id = wanted[0]
    await record(transaction, by, "match_by_hand", ids.show(ids.MATCH, match_id), OPERATOR, detail)
    return Made(match_id, OPERATOR, tuple(wanted), 0, came.currency, None)


async def _waiting(transaction: Transaction, payout_id: UUID) -> Payout:
    """A payout that nothing explains, locked."""
    payout = await store.payout(transaction.connection, payout_id)
    if payout is None:
        raise NotFound("There is no such payout.")
    if payout.deposited_at is not None:
        raise Conflict("invalid_state", "It is explained already.")
    return payout


async def _rest(transaction: Transaction, came: Payout) -> int:
    """What of a payout that came its lines do not explain. Raises Unprocessable where that cannot be said yet."""
    if came.shared_at is None or came.amount_minor is None or came.written_off:
        raise Unprocessable("invalid_match", "The payout with which it is said to have come is not at the bank.")
    if await store.open_lines_of_payout(transaction.connection, came.id):
        raise Unprocessable("invalid_match", "Lines of the payout are not explained yet: begin with those.")
    names = [name(ids.PAYOUT_AT_PSP, came.id, came.undone)]
    posted = await store.journals_of_house(transaction.connection, OPERATOR, names, transaction.now)
    if any(journal.kind == "write_off" for journal in posted):
        raise Conflict("invalid_state", "The rest of it is written off already.")
    return await store.rest_of_payout(transaction.connection, came)
