"""What could explain deposits: by names, by names that are alike, by amount and date, in groups."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, timedelta
from typing import Final

from bezant.reconciliation.matching.choose import Option
from bezant.reconciliation.matching.groups import balanced
from bezant.reconciliation.matching.known import exchange_slack
from bezant.reconciliation.matching.model import Deposit, Payout, Terms
from bezant.reconciliation.matching.names import folded, kind_of, likeness, one_slip_away, slips_max
from bezant.reconciliation.matching.sums import Pool, Sum, groups_of
from bezant.reconciliation.matching.texts import PayoutNames, raw_words

EACH_MORE: Final = 100
ELSEWHERE: Final = 40
EACH_SLIP: Final = 30
CROWDED: Final = 50
NO_NAME: Final = 200
RANKS: Final = 9
GROUP_DAYS: Final = timedelta(days=3)
"""Deposits of one group are booked within this time."""


class Book:
    """Payouts and deposits by position, which are done with, and which payouts deposits name."""

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
        for currency in {deposit.currency, deposit.original_currency or deposit.currency}:
            amount = self.amount_in(n, currency)
            if amount is not None:
                yield currency, amount

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

    def in_window(self, payout: int, deposit: int, after: int | None = None) -> bool:
        """Whether a deposit is booked when a payout may arrive."""
        paid_on = self.payouts[payout].paid_at.astimezone(UTC).date()
        days = (self.deposits[deposit].booked_on - paid_on).days
        return -self.terms.deposit_days_before <= days <= (self.terms.deposit_days_after if after is None else after)


def named_options(book: Book) -> list[Option]:
    """Pairs and groups of what exact names connect."""
    options: list[Option] = []
    for payouts, deposits in _connected(book):
        for currency in sorted({book.payouts[p].currency for p in payouts}):
            ours = [p for p in payouts if book.payouts[p].currency == currency]
            theirs = [d for d in deposits if book.amount_in(d, currency) is not None]
            if theirs:
                options += _named_in(book, currency, ours, theirs)
    return options


def _connected(book: Book) -> list[tuple[list[int], list[int]]]:
    """Open payouts and deposits in parts that no name connects."""
    part: dict[int, tuple[set[int], set[int]]] = {}
    for n in range(len(book.deposits)):
        hits = book.open_hits(n)
        if not hits or book.their_done[n]:
            continue
        merged = (set(hits), {n})
        for payout in hits:
            if payout in part:
                merged[0].update(part[payout][0])
                merged[1].update(part[payout][1])
        for payout in merged[0]:
            part[payout] = merged
    unique = {id(both): both for both in part.values()}
    return [(sorted(payouts), sorted(deposits)) for payouts, deposits in unique.values()]


def _named_in(book: Book, currency: str, ours: list[int], theirs: list[int]) -> Iterator[Option]:
    amounts = {d: amount for d in theirs if (amount := book.amount_in(d, currency)) is not None}
    ranks = _ranks(book, amounts)
    if max(len(ours), len(theirs)) <= book.terms.group_max:

        def slack(total: int, members: tuple[int, ...]) -> int:
            exchanged = all(book.deposits[theirs[n]].currency != currency for n in members)
            return exchange_slack(book.terms, total) if exchanged else 0

        pairs = balanced([book.payouts[p].amount_minor for p in ours], [amounts[d] for d in theirs], slack)
        groups = [([ours[n] for n in mine], [theirs[n] for n in other]) for mine, other in pairs]
    else:
        groups = list(_plain_groups(book, amounts, ours))
    for mine, other in groups:
        hits = [book.open_hits(d) for d in other]
        if all(some.intersection(mine) for some in hits):
            cost = EACH_MORE * (len(mine) + len(other) - 2) + ELSEWHERE * sum(
                len(some.difference(mine)) for some in hits
            )
            cost += sum(ranks[d] for d in other)
            cost += 2 * (sum(amounts[d] for d in other) != sum(book.payouts[p].amount_minor for p in mine))
            yield Option(tuple(mine), tuple(other), cost, "named" if len(mine) == len(other) == 1 else "named group")


def _plain_groups(book: Book, amounts: dict[int, int], ours: list[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Where there are too many for all groups: pairs, all that name a payout, all that a deposit names."""
    for payout in ours:
        naming = [d for d in amounts if payout in book.open_hits(d)]
        yield from (([payout], [d]) for d in naming if amounts[d] == book.payouts[payout].amount_minor)
        if len(naming) > 1 and sum(amounts[d] for d in naming) == book.payouts[payout].amount_minor:
            yield [payout], naming
    for deposit, amount in amounts.items():
        named = [p for p in ours if p in book.open_hits(deposit)]
        if len(named) > 1 and sum(book.payouts[p].amount_minor for p in named) == amount:
            yield named, [deposit]


def _ranks(book: Book, amounts: dict[int, int]) -> dict[int, int]:
    """Of deposits that say the same, how many came before."""
    same: defaultdict[tuple[int, frozenset[int]], list[int]] = defaultdict(list)
    for deposit, amount in amounts.items():
        same[amount, book.open_hits(deposit)].append(deposit)
    ranks: dict[int, int] = {}
    for deposits in same.values():
        deposits.sort(key=lambda d: (book.deposits[d].booked_on, book.deposits[d].id))
        ranks.update({deposit: min(rank, RANKS) for rank, deposit in enumerate(deposits)})
    return ranks


def alike_options(book: Book, tied: Collection[int]) -> list[Option]:
    """Pairs of equal amounts whose names are alike, where that means something."""
    waiting = [n for n in range(len(book.deposits)) if not (book.their_done[n] or n in tied or book.open_hits(n))]
    buckets = _by_amount(book, range(len(book.payouts)))
    found: list[tuple[int, int, int, str]] = []
    for n in waiting:
        words = raw_words(book.deposits[n])
        for amount in book.amounts_of(n):
            for payout in buckets.get(amount, ()):
                if not book.done[payout] and book.in_window(payout, n, book.terms.late_days_after):
                    alike = [
                        (found_slips, word) for word in words if (found_slips := _slips(book, payout, word)) is not None
                    ]
                    if alike:
                        found.append((payout, n, *min(alike)))
    near = one_slip_away({folded(word) for *_, word in found}, book.names.all())
    options: list[Option] = []
    for payout, n, slips, word in found:
        cost = EACH_SLIP * slips
        if near.get(folded(word), set()).difference(folded(name) for name in book.payouts[payout].names):
            rivals = (p for amount in book.amounts_of(n) for p in buckets.get(amount, ()) if p != payout)
            if slips > 1 or any(book.in_window(p, n, book.terms.late_days_after) for p in rivals):
                continue
            cost += CROWDED
        options.append(Option((payout,), (n,), cost, "alike name"))
    return options


def _slips(book: Book, payout: int, word: str) -> int | None:
    short = folded(word)
    if slips_max(short) == 0:
        return None
    alike = [found for name in book.payouts[payout].names if (found := likeness(short, folded(name))) is not None]
    return min(alike) if alike else None


def _by_amount(book: Book, payouts: Iterable[int]) -> dict[tuple[str, int], list[int]]:
    found: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for payout in payouts:
        found[book.payouts[payout].currency, book.payouts[payout].amount_minor].append(payout)
    return found


def _unclaimed(book: Book) -> list[int]:
    """Payouts that have not arrived and that no open deposit names."""
    claimed = {p for n in range(len(book.deposits)) if not book.their_done[n] for p in book.open_hits(n)}
    return [n for n in range(len(book.payouts)) if not book.done[n] and n not in claimed]


def dated_options(book: Book) -> list[Option]:
    """Pairs by amount and date, of deposits without a name and payouts that nothing names."""
    buckets = _by_amount(book, _unclaimed(book))
    return [
        Option((payout,), (n,), NO_NAME, "amount and date")
        for n in book.nameless()
        for amount in book.amounts_of(n)
        for payout in buckets.get(amount, ())
        if book.in_window(payout, n)
    ]


def group_options(book: Book, tied: Collection[int], their_tied: Collection[int]) -> list[Option]:
    """Groups by amount and date around each deposit that is still open."""
    nameless = set(book.nameless())
    named = {n for n in range(len(book.deposits)) if not book.their_done[n] and book.open_hits(n)}
    theirs = sorted((nameless | named).difference(their_tied), key=lambda n: book.deposits[n].id)
    ours = [n for n in range(len(book.payouts)) if not (book.done[n] or n in tied)]
    ours.sort(key=lambda n: book.payouts[n].id)
    naming: defaultdict[int, set[int]] = defaultdict(set)
    for n in named:
        for payout in book.open_hits(n):
            naming[payout].add(n)
    options: list[Option] = []
    for anchor in theirs:
        for currency, amount in book.amounts_of(anchor):
            pool = _pool(book, anchor, currency, amount, (ours, theirs))

            def allowed(found: Sum) -> bool:
                return _is_allowed(book, found, naming)

            for found in groups_of(pool, book.terms.group_max, book.terms.budget // 10, allowed):
                unnamed = sum(not book.open_hits(n) for n in found.theirs)
                outside = sum(len(book.open_hits(n).difference(found.ours)) for n in found.theirs)
                cost = EACH_MORE * (len(found.ours) + len(found.theirs) - 2) + NO_NAME * unnamed + ELSEWHERE * outside
                options.append(Option(found.ours, found.theirs, cost, "sum and date"))
    return options


def _pool(book: Book, anchor: int, currency: str, amount: int, open_: tuple[list[int], list[int]]) -> Pool:
    """The payouts in the window of a deposit, and the deposits that follow it soon."""
    first = (book.deposits[anchor].booked_on, book.deposits[anchor].id)
    theirs = {
        n: other
        for n in open_[1]
        if (other := book.amount_in(n, currency)) is not None
        and other * amount > 0
        and first <= (book.deposits[n].booked_on, book.deposits[n].id)
        and book.deposits[n].booked_on - first[0] <= GROUP_DAYS
    }
    ours = {
        n: payout.amount_minor
        for n in open_[0]
        if (payout := book.payouts[n]).currency == currency
        and payout.amount_minor * amount > 0
        and book.in_window(n, anchor)
    }
    return Pool(anchor, ours, theirs, book.open_hits(anchor).intersection(ours))


def _is_allowed(book: Book, found: Sum, naming: dict[int, set[int]]) -> bool:
    """Whether all are in each other's windows, and names of members point to members."""
    members = set(found.ours)
    if any(hits and not hits.intersection(members) for hits in (book.open_hits(n) for n in found.theirs)):
        return False
    if any(namers and not namers.intersection(found.theirs) for p in members if (namers := naming.get(p))):
        return False
    return all(book.in_window(p, n) for p in found.ours for n in found.theirs)
