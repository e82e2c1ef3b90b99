"""What could explain deposits by names, and by names that are alike."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from bezant.reconciliation.matching.book import Book
from bezant.reconciliation.matching.choose import Option
from bezant.reconciliation.matching.groups import balanced
from bezant.reconciliation.matching.known import exchange_slack
from bezant.reconciliation.matching.names import folded, likeness, one_slip_away, slips_max
from bezant.reconciliation.matching.texts import raw_words, rejoined

EACH_MORE: Final = 100
ELSEWHERE: Final = 40
EACH_SLIP: Final = 30
CROWDED: Final = 50
NO_NAME: Final = 200
RANKS: Final = 9


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
        deposits.sort(key=book.order)
        ranks.update({deposit: min(rank, RANKS) for rank, deposit in enumerate(deposits)})
    return ranks


def alike_options(book: Book, tied: Collection[int]) -> list[Option]:
    """Pairs of equal amounts whose names are alike, where that means something."""
    waiting = [n for n in range(len(book.deposits)) if not (book.their_done[n] or n in tied or book.open_hits(n))]
    buckets = by_amount(book, range(len(book.payouts)))
    found: list[tuple[int, int, int, str]] = []
    for n in waiting:
        words = [*raw_words(book.deposits[n]), *rejoined(book.deposits[n])]
        for amount in book.amounts_of(n):
            for payout in buckets.get(amount, ()):
                if not book.done[payout] and book.may_be_late(payout, n):
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
            if slips > 1 or any(book.may_be_late(p, n) for p in rivals):
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


def by_amount(book: Book, payouts: Iterable[int]) -> dict[tuple[str, int], list[int]]:
    """`payouts` by currency and amount."""
    found: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for payout in payouts:
        found[book.payouts[payout].currency, book.payouts[payout].amount_minor].append(payout)
    return found
