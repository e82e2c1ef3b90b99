"""Draws a world: the same for the same seed and wishes, on every machine."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Final, TypeVar

import msgspec

from bezant.bench.quality import troubles
from bezant.bench.quality.bank import Arrival, Bank
from bezant.bench.quality.earlier import earlier_payouts
from bezant.bench.quality.orders import Case, live
from bezant.bench.quality.payouts import pay_out, reported_at
from bezant.bench.quality.shops import Merchant, draw_merchants
from bezant.bench.quality.world import Book, Labels, Shares, Trouble, Truth, World
from bezant.reconciliation.matching.model import Id

_Record = TypeVar("_Record")
_START: Final = datetime(2026, 1, 5, tzinfo=UTC)
_AFTER_MIDNIGHT: Final = timedelta(hours=3)
_SAME: Final = range(5, 31)
"""How many customers buy the same on a day of a sale."""
_SHOWS_WITHOUT_ROW: Final = frozenset({Trouble.LATE, Trouble.TWO_AT_ONCE})
NO_TROUBLE: Final = frozenset({Trouble.NONE, Trouble.REFUND, Trouble.NOT_YET})


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What is drawn. `operations`, `payouts`: at least so many; `merchants`: drawn from 1 to 60 where None."""

    seed: int
    operations: int = 100_000
    payouts: int = 10_000
    days: int = 60
    merchants: int | None = None
    shares: Shares = msgspec.field(default_factory=Shares.usual)


def generate(wishes: Wishes) -> World:
    """A world as `wishes` say, with its truth."""
    rng = Random(wishes.seed)  # noqa: S311 - the same each time
    now = _START + timedelta(days=wishes.days) + _AFTER_MIDNIGHT
    cases: list[Case] = []
    operations = 0
    orders = _orders(rng, wishes)
    while operations < wishes.operations:
        seen = [case for case in next(orders) if _has_begun(case, now)]
        cases += seen
        operations += sum(len(case.operations) for case in seen)
    troubles.swap(rng, cases)
    sent = pay_out(rng, cases, now)
    sent += earlier_payouts(rng, max(0, wishes.payouts - len(sent)), _START.date())
    arrivals = Bank(rng, now, wishes.shares.payouts).book(sent)
    return World(
        wishes.seed,
        now,
        _books(rng, cases),
        _mixed(rng, [each.payout for each in sent]),
        _mixed(rng, [entry for arrival in arrivals for entry in arrival.deposits]),
        _labels(cases),
        _deposit_labels(arrivals),
        sum(len(case.operations) for case in cases if case.trouble not in NO_TROUBLE) / operations,
    )


def _orders(rng: Random, wishes: Wishes) -> Iterator[list[Case]]:
    """Orders without end, in no order of time."""
    merchants, sales = draw_merchants(rng, wishes.merchants or rng.randint(1, 60))
    by_sales = list(accumulate(sales))
    shares = dict(wishes.shares.orders)
    if Trouble.SAME_AMOUNTS in shares:
        shares[Trouble.SAME_AMOUNTS] /= sum(_SAME) / len(_SAME)
    kinds = [*shares, Trouble.NONE]
    weights = list(accumulate([*shares.values(), 1 - sum(shares.values())]))
    while True:
        merchant = rng.choices(merchants, cum_weights=by_sales)[0]
        trouble = rng.choices(kinds, cum_weights=weights)[0]
        yield list(_order(rng, merchant, trouble, wishes))


def _order(rng: Random, merchant: Merchant, trouble: Trouble, wishes: Wishes) -> Iterator[Case]:
    at, amount_minor = merchant.moment(rng, _START, wishes.days), merchant.amount(rng)
    if trouble is Trouble.SAME_AMOUNTS:
        for _ in range(rng.choice(_SAME)):
            moment = at + timedelta(seconds=rng.random() * 3 * 3_600)
            for case in live(rng, merchant, moment, amount_minor, Trouble.NONE, 0):
                case.trouble = trouble
                if rng.random() < wishes.shares.nameless_of_same:
                    troubles.SPOILS[Trouble.NAMELESS](rng, case)
                yield case
        return
    is_whole = trouble is Trouble.NOT_OURS
    cases = list(live(rng, merchant, at, amount_minor, trouble, 0 if is_whole else wishes.shares.refunds))
    if trouble not in troubles.SPOILS:
        yield from cases
        return
    spoilt = 0 if trouble in (Trouble.FEE_DRIFT, Trouble.NOT_OURS) else rng.randrange(len(cases))
    for number, case in enumerate(cases):
        yield from troubles.spoil(rng, case, trouble, wishes.shares.two_at_once) if number == spoilt else [case]


def _has_begun(case: Case, now: datetime) -> bool:
    """Keep of a case what has been booked and reported by `now`, if that is anything; half of it explains nothing."""
    operations = [operation for operation in case.operations if operation.booked_at <= now]
    lines = [line for line in case.lines if reported_at(line.occurred_at) <= now]
    if len(operations) < len(case.operations) or len(lines) < len(case.lines):
        case.operations, case.lines, case.is_explained = operations, lines, False
        case.trouble = case.trouble if case.trouble in _SHOWS_WITHOUT_ROW else Trouble.NOT_YET
    return bool(operations or lines)


def _books(rng: Random, cases: Sequence[Case]) -> list[Book]:
    """What the ledger and each PSP account hold, in no order."""
    by_account: dict[str, list[Case]] = {}
    for case in cases:
        by_account.setdefault(case.account.name, []).append(case)
    books: list[Book] = []
    for name, own in sorted(by_account.items()):
        operations = _mixed(rng, [operation for case in own for operation in case.operations])
        lines = _mixed(rng, [line for case in own for line in case.lines])
        fee = own[0].account.fee
        books.append(Book(name, operations, lines, (fee,) if fee else ()))
    return books


def _labels(cases: Sequence[Case]) -> Labels:
    truths: list[Truth] = []
    nothing: dict[Id, Trouble] = {}
    for case in cases:
        ours, theirs = [each.id for each in case.operations], [each.id for each in case.lines]
        if case.is_explained:
            truths.append(Truth(case.trouble, frozenset(ours), frozenset(theirs)))
        else:
            nothing |= dict.fromkeys((*ours, *theirs), case.trouble)
    return Labels(truths, nothing, troubles.copies(cases))


def _deposit_labels(arrivals: Sequence[Arrival]) -> Labels:
    truths: list[Truth] = []
    nothing: dict[Id, Trouble] = {}
    for arrival in arrivals:
        ours, theirs = [each.id for each in arrival.payouts], [each.id for each in arrival.deposits]
        if arrival.is_explained:
            truths.append(Truth(arrival.trouble, frozenset(ours), frozenset(theirs)))
        else:
            nothing |= dict.fromkeys((*ours, *theirs), arrival.trouble)
    return Labels(truths, nothing, {})


def _mixed(rng: Random, records: list[_Record]) -> list[_Record]:
    rng.shuffle(records)
    return records
