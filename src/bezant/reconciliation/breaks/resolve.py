"""A person ends a break, and what that means for the books is posted with it."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from bezant.audit.record import By, record
from bezant.base import ids
from bezant.base.db import Transaction
from bezant.base.errors import Conflict, InvalidRequest, Unprocessable
from bezant.reconciliation.breaks import store
from bezant.reconciliation.breaks.by_hand.lost_payouts import match_sent_again, write_off_payout
from bezant.reconciliation.breaks.by_hand.match import Made, match, match_deposits
from bezant.reconciliation.breaks.by_hand.unmatch import Undone, unmatch
from bezant.reconciliation.breaks.by_hand.write_off import write_off
from bezant.reconciliation.breaks.rules import Resolution
from bezant.reconciliation.breaks.store import Worked
from bezant.reconciliation.breaks.work import load
from bezant.reconciliation.matching.model import BreakKind

MOVES_MONEY: Final = frozenset({Resolution.WRITTEN_OFF, Resolution.ACCEPTED})
"""What is decided under the lease of runs."""

_REPORTED_OTHERWISE: Final = frozenset({BreakKind.AMOUNT_MISMATCH, BreakKind.CURRENCY_MISMATCH})


async def resolve(transaction: Transaction, break_id: str, resolution: Resolution, by: By) -> None:
    """End a break; once more in the same way changes nothing.

    `written_off`: what it is about leaves its transit account for `write_off_expense` (see `write_off`; a payout that
    never came: `write_off_payout`). `accepted`: an
    amount or a currency that the PSP reports otherwise is booked as reported: its line posts what it always posts for
    its operation (`psp_settlement` of the reported gross and fee, or `fx_out` of what was booked and `fx_in` of what is
    reported), and what that leaves of the operation in transit is written off; a fee that is not the agreed one is
    booked as reported already, so nothing is posted. `dismissed`: nothing is posted.

    For a guarded transaction of the lease where the resolution is in MOVES_MONEY. Raises NotFound; Conflict for a break
    that has ended otherwise; Unprocessable where the resolution is not for such a break.
    """
    found = await load(transaction, break_id)
    if found.status == "resolved":
        if found.resolution == resolution:
            return
        raise Conflict("invalid_state", f"The break has ended: {found.resolution}.")
    journal_id = await _decide(transaction, found, resolution, by)
    await store.resolve(transaction, found, resolution, by.actor, journal_id)
    journal = None if journal_id is None else ids.show(ids.JOURNAL, journal_id)
    detail: dict[str, object] = {"resolution": resolution, "kind": found.kind, "journal": journal}
    await record(transaction, by, "resolve_break", break_id, found.merchant_id, detail)


async def match_items(
    transaction: Transaction, ours: Sequence[str], theirs: Sequence[str], by: By, *, write_off: bool
) -> Made:
    """Match by hand operations and lines, or payouts and bank lines, and end the breaks of what that explains.

    Or payouts that failed and the one payout with which they were sent again.

    For a guarded transaction of the lease. Raises as `match` does, and InvalidRequest for ids of anything else.
    """
    operations, lines = _parsed(ids.JOURNAL, ours), _parsed(ids.PSP_LINE, theirs)
    payouts, bank_lines = _parsed(ids.PAYOUT_AT_PSP, ours), _parsed(ids.BANK_LINE, theirs)
    if operations is not None and lines is not None:
        made = await match(transaction, operations, lines, by, write_off=write_off)
    elif payouts is not None and bank_lines is not None:
        made = await match_deposits(transaction, payouts, bank_lines, by, write_off=write_off)
    elif payouts is not None and (came := _parsed(ids.PAYOUT_AT_PSP, theirs)) is not None and len(came) == 1:
        made = await match_sent_again(transaction, payouts, came[0], by)
    else:
        detail = "Name operations (jrn_) and lines of reports (psl_), or payouts (pyo_) and bank lines (bkl_)."
        raise InvalidRequest("invalid_request", detail)
    await store.resolve_of_items(transaction, made.items, Resolution.MATCHED, by.actor)
    return made


def _parsed(prefix: str, shown: Sequence[str]) -> list[UUID] | None:
    found = [item for each in shown if (item := ids.parse(prefix, each)) is not None]
    return found if len(found) == len(shown) else None


async def unmatch_item(transaction: Transaction, item_id: UUID, by: By) -> Undone:
    """Take a match back, and open the breaks again that had ended with it."""
    undone = await unmatch(transaction, item_id, by)
    await store.reopen_of_items(transaction, undone.items)
    return undone


async def _decide(transaction: Transaction, found: Worked, resolution: Resolution, by: By) -> UUID | None:
    if resolution == Resolution.WRITTEN_OFF:
        return await _write_off(transaction, found, by)
    if resolution == Resolution.ACCEPTED:
        return await _accept(transaction, found, by)
    if found.is_open or found.kind == BreakKind.TIMING_SKEW:
        detail = "Money is at risk: what it is about is not explained. Match it, accept it, write it off, or wait."
        raise Unprocessable("money_at_risk", detail)
    return None


async def _write_off(transaction: Transaction, found: Worked, by: By) -> UUID | None:
    if found.item_id is None:
        raise Unprocessable("not_a_loss", "Nothing of it is in transit: dismiss it once you know what happened.")
    if found.kind == BreakKind.TIMING_SKEW:
        raise Unprocessable("not_a_loss", "It only waits: its report may still come.")
    # Any other break of a payout is about a part of it.
    end = write_off_payout if found.kind == BreakKind.MISSING_DEPOSIT else write_off
    return (await end(transaction, found.item_id, by)).journal_id


async def _accept(transaction: Transaction, found: Worked, by: By) -> UUID | None:
    if found.kind == BreakKind.FEE_MISMATCH:
        return None
    if found.kind not in _REPORTED_OTHERWISE or found.item_id is None:
        raise Unprocessable("not_acceptable", "Nothing was reported that could be booked: match it or write it off.")
    operation_ids, line_ids = await store.open_sides(transaction.connection, found.items)
    if not operation_ids or not line_ids:
        raise Unprocessable("not_acceptable", "It does not say which operation was reported: match it by hand.")
    return (await match(transaction, operation_ids, line_ids, by, write_off=True, action="accept_report")).journal_id
