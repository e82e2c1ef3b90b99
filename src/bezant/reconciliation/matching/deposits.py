"""Payouts against deposits at the bank.

Rules are taken in order, and what one has explained is out of reach of the next:

1. Deposits that name payouts, in their references or their text: pairs and groups whose sums are equal.
2. Names that are alike but for slips of a pen, with equal amounts.
3. Amount and date, for deposits that name no payout and none that we do not know, on the banking days that a transfer
   usually takes; first where no other payout of that amount is overdue (`deposit_dates`).
4. Groups by amount and date: several payouts in one deposit, one in several, several in several. Where a deposit names
   one of its payouts the group holds that one; deposits that name none are of the same words. Sums that chance might
   have made are not looked at (`sums`).
5. Amount alone, weeks later, where no other payout has that amount and chance would hardly make it.

Within a rule the most matches are taken, and of those sets the one that costs least, exactly, within each set of
records that could explain each other (`choose`). What remains equal is reported as ambiguous. A deposit in another
currency than the payout is read by what the bank says that it was before; a payout below zero is debited.

| what an explanation costs | |
|---|---|
| a deposit names one of the payouts | 0 |
| each payout that it names besides, outside of the group | 40 |
| a name that is alike: each slip | 30 |
| ... and other known names lie as close, where that is allowed at all | 50 |
| a deposit names none | 200 |
| ... and is late | 1,000 |
| each record of a group beyond two | 100 |
| an exchanged amount within tolerance but not equal | 2 |
| each deposit before it that says the same, by (`booked_on`, `id`) | 1, at most 9 |
"""

from collections.abc import Iterable, Iterator, Sequence

from bezant.reconciliation.matching.book import Book
from bezant.reconciliation.matching.deposit_dates import DOUBTFUL, dated_options
from bezant.reconciliation.matching.deposit_groups import group_options
from bezant.reconciliation.matching.deposit_options import alike_options, named_options
from bezant.reconciliation.matching.model import (
    BreakKind,
    Deposit,
    DepositMatch,
    ExplainedDeposits,
    Noted,
    Payout,
    Terms,
)
from bezant.reconciliation.matching.notes import money
from bezant.reconciliation.matching.taking import Taking


def match_deposits(
    payouts: Sequence[Payout],
    deposits: Sequence[Deposit],
    terms: Terms,
    *,
    explained_before: Sequence[Payout] = (),
) -> ExplainedDeposits:
    """Which deposits are which payouts. `explained_before`: payouts that have arrived already."""
    known = [*payouts, *explained_before]
    done = bytearray(len(payouts)) + bytearray(b"\1") * len(explained_before)
    book = Book(known, deposits, done, bytearray(len(deposits)), terms)
    taking = Taking(known, deposits, book.done, book.their_done, terms)
    taking.take(named_options(book))
    taking.take(alike_options(book, taking.their_tied))
    for _ in range(2):  # what the first time explains may leave others overdue
        taking.take(dated_options(book).uncontested(), report=False, leave=DOUBTFUL)
    dated = dated_options(book)
    groups = group_options(book, taking.tied, taking.their_tied)
    taking.take([*dated.usual, *dated.doubtful, *groups], leave=DOUBTFUL)
    taking.take(dated_options(book).late)
    taking.doubt(dated_options(book).doubtful)
    return ExplainedDeposits(
        matches=[
            DepositMatch(tuple(known[n] for n in t.ours), tuple(deposits[n] for n in t.theirs), t.rule, t.cost)
            for t in taking.taken
        ],
        ambiguous=taking.ambiguous,
        noted=list(_notes(book, taking.their_tied)),
        payouts=[payout for n, payout in enumerate(payouts) if not done[n]],
        deposits=[deposit for n, deposit in enumerate(deposits) if not book.their_done[n]],
    )


def _notes(book: Book, tied: Iterable[int]) -> Iterator[Noted]:
    """What deposits that are not explained say of the payouts that they name."""
    out_of_reach = set(tied)
    for n, deposit in enumerate(book.deposits):
        named = sorted(book.hits.get(n, ()), key=lambda p: book.payouts[p].id)
        if not named or book.their_done[n] or n in out_of_reach:
            continue
        waiting = [p for p in named if not book.done[p]]
        ids = tuple(book.payouts[p].id for p in waiting or named)
        if not waiting:
            yield Noted(BreakKind.EXCESS, ids, (deposit.id,), "the payout that it names has arrived already")
            continue
        payout = book.payouts[waiting[0]]
        amount = book.amount_in(n, payout.currency)
        if amount is None:
            detail = f"in {deposit.currency}, and the bank does not say what it was in {payout.currency}"
            yield Noted(BreakKind.CURRENCY_MISMATCH, ids, (deposit.id,), detail)
        else:
            expected = sum(book.payouts[p].amount_minor for p in waiting if book.payouts[p].currency == payout.currency)
            detail = f"{money(amount, payout.currency)} arrived, {money(expected, payout.currency)} was paid out"
            yield Noted(BreakKind.AMOUNT_MISMATCH, ids, (deposit.id,), detail)
