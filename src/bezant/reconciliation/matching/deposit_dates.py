"""What could explain deposits without a name one by one: by amount and date.

A deposit of the banking days that a transfer usually takes is the payout. A payout that no deposit of its usual days
may be is overdue: a later one of its amount may be it. That is evident only if no other payout of the amount, come or
not, is there, and chance would hardly make the amount. If there is another, the deposit is contested: it is taken for
the other only if nothing else explains that one, such as a group.
"""

from datetime import timedelta
from typing import Final, NamedTuple

from bezant.reconciliation.matching.book import Book, calendars_of_payouts
from bezant.reconciliation.matching.choose import Option
from bezant.reconciliation.matching.deposit_options import NO_NAME, by_amount
from bezant.reconciliation.matching.sums import says_something

LATE: Final = 1_000
DOUBTFUL: Final = "amount, late, and another has it"


class Dated(NamedTuple):
    """Pairs of deposits without a name and payouts that nothing names: of usual days; late and evident; `DOUBTFUL`."""

    usual: list[Option]
    late: list[Option]
    doubtful: list[Option]

    def uncontested(self) -> list[Option]:
        """Pairs of usual days, those of contested deposits as `DOUBTFUL`."""
        contested = {n for option in self.doubtful for n in option.theirs}
        return [option._replace(rule=DOUBTFUL) if option.theirs[0] in contested else option for option in self.usual]


def dated_options(book: Book) -> Dated:
    """Pairs by amount and date of what is open."""
    waiting, nameless = book.unclaimed(), book.nameless()
    buckets = by_amount(book, waiting)
    usual = [
        Option((payout,), (n,), NO_NAME, "amount and date")
        for n in nameless
        for amount in book.amounts_of(n)
        for payout in buckets.get(amount, ())
        if book.is_usual(payout, n)
    ]
    return Dated(usual, *_late(book, waiting, nameless, {payout for option in usual for payout in option.ours}))


def _late(book: Book, waiting: list[int], nameless: list[int], brought: set[int]) -> tuple[list[Option], list[Option]]:
    """Pairs of overdue payouts: those that are evident, and those that are not."""
    overdue = by_amount(book, (n for n in waiting if n not in brought))
    every = by_amount(book, range(len(book.payouts)))
    calendars = calendars_of_payouts(book, waiting)
    before = timedelta(days=book.terms.deposit_days_before)
    after = timedelta(days=book.terms.deposit_late_days_after)
    evident: list[Option] = []
    doubtful: list[Option] = []
    for n in nameless:
        booked_on = book.deposits[n].booked_on
        for currency, amount in book.amounts_of(n):
            mine = [p for p in overdue.get((currency, amount), ()) if book.may_be_late(p, n)]
            if not mine:
                continue
            near = calendars[currency].between(booked_on - after, booked_on + before)
            if says_something(sum(book.payouts[p].amount_minor * amount > 0 for p in near), amount):
                alone = sum(book.may_be_late(p, n) for p in every[currency, amount]) == 1
                options, rule = (evident, "amount, late") if alone else (doubtful, DOUBTFUL)
                options += [Option((payout,), (n,), NO_NAME + LATE, rule) for payout in mine]
    return evident, doubtful
