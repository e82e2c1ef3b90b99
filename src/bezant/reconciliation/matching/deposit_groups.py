"""What could explain deposits in groups, by sum and date: several payouts in one deposit, one in several, both."""

from collections import defaultdict
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from bezant.reconciliation.matching.book import Book, Calendar, calendars_of_deposits, calendars_of_payouts
from bezant.reconciliation.matching.choose import Option
from bezant.reconciliation.matching.deposit_options import EACH_MORE, ELSEWHERE, NO_NAME
from bezant.reconciliation.matching.sums import Pool, Sum, groups_of
from bezant.reconciliation.matching.texts import wording

GROUP_DAYS: Final = timedelta(days=5)
"""Payouts of one group are paid, and its deposits booked, within this time: three banking days and a weekend."""


def group_options(book: Book, tied: Collection[int], their_tied: Collection[int]) -> list[Option]:
    """Groups by amount and date around each deposit that is still open."""
    named = {n for n in range(len(book.deposits)) if not book.their_done[n] and book.open_hits(n)}
    theirs = sorted(named.union(book.nameless()).difference(their_tied), key=book.order)
    ours = [n for n in range(len(book.payouts)) if not (book.done[n] or n in tied)]
    naming: defaultdict[int, set[int]] = defaultdict(set)
    for n in named:
        for payout in book.open_hits(n):
            naming[payout].add(n)
    calendars = calendars_of_payouts(book, ours), calendars_of_deposits(book, theirs)
    options: list[Option] = []
    for anchor in theirs:
        for currency, amount in book.amounts_of(anchor):
            if currency not in calendars[0]:
                continue
            pool = _pool(book, anchor, (currency, amount), calendars[0][currency], calendars[1][currency])

            def allowed(found: Sum) -> bool:
                return _is_allowed(book, found, naming)

            for found in groups_of(pool, book.terms.group_max, book.terms.budget // 10, allowed):
                unnamed = sum(not book.open_hits(n) for n in found.theirs)
                outside = sum(len(book.open_hits(n).difference(found.ours)) for n in found.theirs)
                cost = EACH_MORE * (len(found.ours) + len(found.theirs) - 2) + NO_NAME * unnamed + ELSEWHERE * outside
                options.append(Option(found.ours, found.theirs, cost, "sum and date"))
    return options


def _pool(book: Book, anchor: int, money: tuple[str, int], payouts: Calendar, deposits: Calendar) -> Pool:
    """The payouts in the window of a deposit, and the deposits of its sign that follow it soon and may go with it."""
    currency, amount = money
    first, terms = book.order(anchor), book.terms
    theirs = {
        n: other
        for n in deposits.between(first[0], first[0] + GROUP_DAYS)
        if book.order(n) >= first
        and (other := book.amount_in(n, currency)) is not None
        and other * amount > 0
        and _may_go_together(book, anchor, n)
    }
    window = payouts.between(
        first[0] - timedelta(days=terms.deposit_days_after), first[0] + timedelta(days=terms.deposit_days_before)
    )
    ours = {n: book.payouts[n].amount_minor for n in window}
    return Pool(
        anchor,
        ours,
        theirs,
        {n: book.open_hits(n).intersection(ours) for n in theirs},
        {n: book.paid_on[n] for n in ours},
        {n: book.deposits[n].booked_on for n in theirs},
    )


def _may_go_together(book: Book, one: int, other: int) -> bool:
    """Whether two deposits may be of one payment order: one of them names a payout, or both are of the same words."""
    if book.open_hits(one) or book.open_hits(other):
        return True
    return wording(book.deposits[one].text) == wording(book.deposits[other].text)


def _is_allowed(book: Book, found: Sum, naming: dict[int, set[int]]) -> bool:
    """Whether all are in each other's windows, and names of members point to members."""
    members = set(found.ours)
    if any(hits and not hits.intersection(members) for hits in (book.open_hits(n) for n in found.theirs)):
        return False
    if any(namers and not namers.intersection(found.theirs) for p in members if (namers := naming.get(p))):
        return False
    paid_on = [book.paid_on[p] for p in found.ours]
    in_time = max(paid_on) - min(paid_on) <= GROUP_DAYS
    return in_time and all(book.in_window(p, n) for p in found.ours for n in found.theirs)
