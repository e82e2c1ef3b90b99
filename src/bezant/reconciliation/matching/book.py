"""Payouts and deposits by position: which are done with, which payouts deposits name, and what may be near what."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, timedelta
from typing import Final

from bezant.reconciliation.matching.model import Deposit, Id, Payout, Terms
from bezant.reconciliation.matching.names import kind_of
from bezant.reconciliation.matching.texts import PayoutNames, raw_words

SATURDAY: Final = 5


class Book:
    """All that is known of both sides."""

    def __init__(
        self,
        payouts: Sequence[Payout],
        deposits: Sequence[Deposit],
        done: bytearray,
        their_done: bytearray,
        terms: Terms,
    ) -> None:
        self.payouts = payouts
        self.deposits = deposits
        self.done = done
        self.their_done = their_done
        self.terms = terms
        self.names = PayoutNames(payouts)
        self.hits = {n: found for n, deposit in enumerate(deposits) if (found := self.names.named_by(deposit))}
        self.paid_on = [payout.paid_at.astimezone(UTC).date() for payout in payouts]
        self._kinds = {kind for payout in payouts for name in payout.names if (kind := kind_of(name))}

    def amount_in(self, n: int, currency: str) -> int | None:
        """What a deposit is in `currency`, as far as the bank says."""
        deposit = self.deposits[n]
        if deposit.currency == currency:
            return deposit.amount_minor
        if deposit.original_currency != currency or deposit.original_minor is None:
            return None
        return abs(deposit.original_minor) * (-1 if deposit.amount_minor < 0 else 1)

    def amounts_of(self, n: int) -> Iterator[tuple[str, int]]:
        """The currencies that a deposit can be read in, and what it is in each."""
        deposit = self.deposits[n]
        for currency in dict.fromkeys((deposit.currency, deposit.original_currency or deposit.currency)):
            amount = self.amount_in(n, currency)
            if amount is not None:
                yield currency, amount

    def order(self, n: int) -> tuple[date, Id]:
        """When a deposit was booked, then its id."""
        return self.deposits[n].booked_on, self.deposits[n].id

    def open_hits(self, n: int) -> frozenset[int]:
        """The payouts that a deposit names and that have not arrived."""
        return frozenset(p for p in self.hits.get(n, ()) if not self.done[p])

    def nameless(self) -> list[int]:
        """Deposits that name no payout, nor anything else by a prefix that payouts' names have."""
        return [
            n
            for n, deposit in enumerate(self.deposits)
            if not self.their_done[n]
            and n not in self.hits
            and not any(kind_of(word) in self._kinds for word in raw_words(deposit))
        ]

    def unclaimed(self) -> list[int]:
        """Payouts that have not arrived and that no open deposit names."""
        claimed = {p for n in range(len(self.deposits)) if not self.their_done[n] for p in self.open_hits(n)}
        return [n for n in range(len(self.payouts)) if not self.done[n] and n not in claimed]

    def may_be_late(self, payout: int, deposit: int) -> bool:
        """Whether a deposit is booked within the widest window."""
        return self.in_window(payout, deposit, self.terms.deposit_late_days_after)

    def in_window(self, payout: int, deposit: int, after: int | None = None) -> bool:
        """Whether a deposit is booked when a payout may arrive."""
        days = (self.deposits[deposit].booked_on - self.paid_on[payout]).days
        return -self.terms.deposit_days_before <= days <= (self.terms.deposit_days_after if after is None else after)

    def is_usual(self, payout: int, deposit: int) -> bool:
        """Whether a deposit is booked when payouts do arrive: on the day, or so many banking days later."""
        booked_on = self.deposits[deposit].booked_on
        return 0 <= banking_days(self.paid_on[payout], booked_on) <= self.terms.deposit_usual_days


class Calendar:
    """Records of one currency in the order of their days."""

    def __init__(self, days: Iterable[tuple[date, Id, int]]) -> None:
        ordered = sorted(days, key=lambda each: each[:2])
        self._days = [day for day, _, _ in ordered]
        self._positions = [n for _, _, n in ordered]

    def between(self, first: date, last: date) -> list[int]:
        """Those of these days, the first and the last of them too; by day, then by id."""
        return self._positions[bisect_left(self._days, first) : bisect_right(self._days, last)]


def calendars_of_payouts(book: Book, payouts: Iterable[int]) -> dict[str, Calendar]:
    """`payouts` by currency."""
    of_currency: defaultdict[str, list[tuple[date, Id, int]]] = defaultdict(list)
    for n in payouts:
        of_currency[book.payouts[n].currency].append((book.paid_on[n], book.payouts[n].id, n))
    return {currency: Calendar(days) for currency, days in of_currency.items()}


def calendars_of_deposits(book: Book, deposits: Iterable[int]) -> dict[str, Calendar]:
    """`deposits` by each currency that they can be read in."""
    of_currency: defaultdict[str, list[tuple[date, Id, int]]] = defaultdict(list)
    for n in deposits:
        for currency, _ in book.amounts_of(n):
            of_currency[currency].append((*book.order(n), n))
    return {currency: Calendar(days) for currency, days in of_currency.items()}


def banking_days(since: date, until: date) -> int:
    """Days from Monday to Friday after `since`, `until` among them; below zero where `until` is before `since`."""
    if until < since:
        return -banking_days(until, since)
    weeks, rest = divmod((until - since).days, 7)
    days = (since + timedelta(days=n) for n in range(1, rest + 1))
    return 5 * weeks + sum(day.weekday() < SATURDAY for day in days)
