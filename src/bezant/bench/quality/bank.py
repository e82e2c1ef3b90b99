"""What the bank makes of payouts: entries of statements, with what banks do to references, and other people's money."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from random import Random
from typing import Final

import msgspec

from bezant.base import ids
from bezant.bench.quality.names import slip
from bezant.bench.quality.payouts import Sent, business_days_after
from bezant.bench.quality.shops import Connector, Route, foreign, minor, minor_rate
from bezant.bench.quality.world import Trouble
from bezant.reconciliation.matching.model import Deposit, Payout

_SENDERS: Final = {
    Connector.SIMULATOR: "SIMULATOR PSP LTD",
    Connector.STRIPE: "STRIPE PAYMENTS EUROPE LIMITED",
    Connector.ADYEN: "ADYEN N.V. BY ORDER OF SHOP",
    Connector.PAYPAL: "PAYPAL EUROPE S.A R.L. ET CIE S.C.A",
}
_OTHERS: Final = ("INVOICE 4711", "GEHALT", "TAX OFFICE REFUND", "RENT MARCH", "CUSTOMER PREPAYMENT", "INSURANCE")
_WIDTH: Final = 27
_WHOLE: Final = (Trouble.NONE, Trouble.DEPOSIT_TYPO, Trouble.DEPOSIT_LATE, Trouble.DEPOSIT_FX, Trouble.DEPOSIT_CHARGED)


class Arrival(msgspec.Struct):
    """Payouts and the entries that they came as, which is known to be the same money unless `is_explained` is False."""

    trouble: Trouble
    payouts: list[Payout]
    deposits: list[Deposit]
    is_explained: bool = True


class Bank:
    """Books what PSPs send. `now`: the last moment that a statement can tell of."""

    def __init__(self, rng: Random, now: datetime, shares: Mapping[Trouble, float]) -> None:
        self._rng = rng
        self._now = now
        self._troubles = [Trouble.NONE, *shares]
        self._weights = [1 - sum(shares.values()), *shares.values()]

    def book(self, sent: Sequence[Sent]) -> list[Arrival]:
        """Every payout once; and what else is on the statements."""
        arrivals: list[Arrival] = []
        ordered = sorted(sent, key=lambda each: (each.account.connector, each.payout.currency, each.payout.paid_at))
        for _, group in groupby(ordered, key=lambda each: (each.account.connector, each.payout.currency)):
            arrivals += self._book(list(group))
        return [self._so_far(arrival) for arrival in arrivals]

    def _book(self, sent: Sequence[Sent]) -> Iterator[Arrival]:
        at = 0
        while at < len(sent):
            trouble = self._rng.choices(self._troubles, self._weights)[0]
            count = self._together(sent, at) if trouble is Trouble.MERGED_DEPOSIT else 1
            together = sent[at : at + count]
            at += count
            if trouble is Trouble.MERGED_DEPOSIT:
                yield self._merged(together) if count > 1 else self._whole(together[0], Trouble.NONE)
            elif trouble is Trouble.SPLIT_DEPOSIT:
                yield self._split(together[0])
            elif trouble is Trouble.DEPOSIT_MISSING:
                yield Arrival(trouble, [together[0].payout], [], is_explained=False)
            elif trouble in _WHOLE:
                yield self._whole(together[0], trouble)
            else:
                whole = self._whole(together[0], Trouble.NONE)
                yield whole
                if whole.deposits:
                    yield self._besides(together[0], whole.deposits[0], trouble)

    def _together(self, sent: Sequence[Sent], at: int) -> int:
        """Two to four payouts that were sent within three days."""
        wanted, first = self._rng.choices((2, 3, 4), (65, 25, 10))[0], sent[at].payout
        count = 1
        while count < wanted and at + count < len(sent):
            if sent[at + count].payout.paid_at - first.paid_at > timedelta(days=3):
                break
            count += 1
        return count

    def _whole(self, one: Sent, trouble: Trouble) -> Arrival:
        payout, rng = one.payout, self._rng
        booked_on = self._booked_on(payout)
        if trouble is Trouble.DEPOSIT_LATE:
            booked_on = business_days_after(booked_on + timedelta(days=rng.randint(7, 21)), 0)
        route, name = one.account.route, one.told
        if trouble is Trouble.DEPOSIT_TYPO:
            route = rng.choice((Route.END_TO_END, Route.TEXT)) if route is Route.DROPPED else route
            name = slip(rng, name)
        arrival = Arrival(trouble, [payout], [self._entry(one, payout.amount_minor, booked_on, route, (name,))])
        if trouble is Trouble.DEPOSIT_FX:
            arrival.deposits = [self._converted(arrival.deposits[0])]
        if trouble is Trouble.DEPOSIT_CHARGED:
            charge = minor(rng.choice((2.5, 5.0, 7.5, 12.0, 15.0, 25.0)), payout.currency)
            arrival.deposits = [self._changed(arrival.deposits[0], payout.amount_minor - charge)]
            arrival.is_explained = False
        if trouble is Trouble.NONE and route is Route.DROPPED:
            arrival.trouble = Trouble.DEPOSIT_NAMELESS
        elif trouble is Trouble.NONE and payout.amount_minor < 0:
            arrival.trouble = Trouble.NEGATIVE_PAYOUT
        return arrival

    def _merged(self, together: Sequence[Sent]) -> Arrival:
        rng, one = self._rng, together[-1]
        names = tuple(each.told for each in together)
        route = rng.choices((Route.TEXT, one.account.route, Route.DROPPED), (40, 35, 25))[0]
        told = names if route is Route.TEXT else names[:1]
        amount_minor = sum(each.payout.amount_minor for each in together)
        entry = self._entry(one, amount_minor, self._booked_on(one.payout), route, told)
        return Arrival(Trouble.MERGED_DEPOSIT, [each.payout for each in together], [entry])

    def _split(self, one: Sent) -> Arrival:
        rng, payout = self._rng, one.payout
        size = abs(payout.amount_minor)
        count = min(rng.choices((2, 3), (75, 25))[0], size)
        # Banks split at a limit of a transfer: round amounts, and the rest.
        limit = minor(rng.choice((500, 1_000, 5_000)), payout.currency)
        cuts = [limit * number for number in range(1, count)]
        if cuts and cuts[-1] >= size:
            cuts = sorted(rng.sample(range(1, size), count - 1))
        sign = 1 if payout.amount_minor > 0 else -1
        parts = [sign * (end - start) for start, end in zip([0, *cuts], [*cuts, size], strict=True)]
        is_numbered, booked_on = rng.random() < 0.5, self._booked_on(payout)
        deposits: list[Deposit] = []
        for number, part in enumerate(parts, start=1):
            name = f"{one.told}/{number}" if is_numbered else one.told
            deposits.append(self._entry(one, part, booked_on, one.account.route, (name,)))
            booked_on = booked_on if rng.random() < 0.7 else business_days_after(booked_on, 1)
        return Arrival(Trouble.SPLIT_DEPOSIT, [payout], deposits)

    def _besides(self, one: Sent, entry: Deposit, trouble: Trouble) -> Arrival:
        """An entry that no payout explains: the payout once more, or other people's money."""
        rng = self._rng
        booked_on = business_days_after(entry.booked_on + timedelta(days=rng.randint(1, 3)), 0)
        if trouble is Trouble.DEPOSIT_TWICE:
            again = self._entry(one, entry.amount_minor, booked_on, one.account.route, (one.told,))
            return Arrival(trouble, [], [again], is_explained=False)
        way = rng.random()
        amount_minor = minor(rng.choice((49.9, 120.0, 250.0, 990.0, 1_200.0)), entry.currency) * rng.choice((1, 1, -1))
        text = rng.choice(_OTHERS)
        if way < 0.2:
            # A payout of an account that nobody has told us of.
            amount_minor = round(entry.amount_minor * rng.uniform(0.5, 1.5))
            text = _SENDERS[one.account.connector]
        elif way < 0.3:
            amount_minor = entry.amount_minor + rng.randint(1, 20)
        other = Deposit(self._id(booked_on), entry.currency, amount_minor, booked_on, (self._own(booked_on),), text)
        return Arrival(trouble, [], [other], is_explained=False)

    def _entry(self, one: Sent, amount_minor: int, on: date, route: Route, names: tuple[str, ...]) -> Deposit:
        sender, own = _SENDERS[one.account.connector], self._own(on)
        told = " ".join((sender, *names))
        texts = {
            Route.TEXT: told,
            Route.CAPITALS: told.upper().replace("_", self._rng.choice((" ", "", "-"))),
            Route.WRAPPED: " ".join(told[start : start + _WIDTH] for start in range(0, len(told), _WIDTH)),
        }
        refs = (own, *names[:1]) if route is Route.END_TO_END else (own,)
        return Deposit(self._id(on), one.payout.currency, amount_minor, on, refs, texts.get(route, sender))

    def _converted(self, entry: Deposit) -> Deposit:
        currency = foreign(self._rng, entry.currency)
        amount_minor = round(entry.amount_minor * minor_rate(self._rng, entry.currency, currency))
        return msgspec.structs.replace(
            entry,
            currency=currency,
            amount_minor=amount_minor,
            original_currency=entry.currency,
            original_minor=entry.amount_minor,
        )

    def _changed(self, entry: Deposit, amount_minor: int) -> Deposit:
        return msgspec.structs.replace(entry, amount_minor=amount_minor)

    def _booked_on(self, payout: Payout) -> date:
        return business_days_after(payout.paid_at.date(), self._rng.choices((0, 1, 2), (20, 60, 20))[0])

    def _so_far(self, arrival: Arrival) -> Arrival:
        """As far as it has happened by now."""
        deposits = [entry for entry in arrival.deposits if entry.booked_on <= self._now.date()]
        if len(deposits) == len(arrival.deposits):
            return arrival
        return Arrival(Trouble.DEPOSIT_NOT_YET, arrival.payouts, deposits, is_explained=False)

    def _id(self, on: date) -> ids.UUID:
        return ids.dated(datetime(on.year, on.month, on.day, tzinfo=ids.UTC), str(self._rng.getrandbits(64)))

    def _own(self, on: date) -> str:
        """The bank's own name of an entry."""
        return f"{on:%Y%m%d}{self._rng.randrange(10**8):08}"
