"""What becomes of an order: captures, refunds that may fail, disputes that may be won, and how the PSP reports each."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Final

import msgspec

from bezant.base import ids
from bezant.bench.quality.names import Names, Payment, draw_names, draw_payment
from bezant.bench.quality.shops import Account, Connector, Merchant, foreign, minor, minor_rate
from bezant.bench.quality.world import Trouble
from bezant.psp.reports import LineKind
from bezant.reconciliation.matching.model import Line, Operation

_LATENCY_S: Final = {Connector.SIMULATOR: 0.3, Connector.STRIPE: 1.2, Connector.ADYEN: 9.0, Connector.PAYPAL: 2.0}
_NAMED_CHARGE: Final = 0.5
"""Of captures that are reported as one line: how often the line names the first of them, and not the payment alone."""


class Case(msgspec.Struct):
    """Operations and lines of which the world knows that they are the same money, unless `is_explained` is False."""

    account: Account
    payment: Payment
    trouble: Trouble
    operations: list[Operation]
    lines: list[Line]
    is_explained: bool = True


class Order(msgspec.Struct):
    """An order being lived. `conversion`: minor units of the account for one that the customer pays, if in another."""

    rng: Random
    merchant: Merchant
    payment: Payment
    at: datetime
    currency: str
    conversion: float | None = None
    is_shown: bool = True

    def case(
        self, kind: LineKind, amount_minor: int, at: datetime, trouble: Trouble, names: Names | None = None
    ) -> Case:
        """An operation of this amount and the one line that reports it."""
        drawn = names or draw_names(self.rng, self.payment, kind)
        return Case(
            self.merchant.account,
            self.payment,
            trouble,
            [self.operation(kind, amount_minor, at, drawn)],
            [self.line(kind, amount_minor, at, drawn)],
        )

    def operation(self, kind: LineKind, amount_minor: int, at: datetime, names: Names) -> Operation:
        """The fact as our ledger books it, a moment later: most answers come at once, some by webhook, few are lost."""
        median = _LATENCY_S[self.merchant.account.connector]
        delay_s = self.rng.lognormvariate(0, 0.7) * median
        if self.rng.random() < 0.005:
            delay_s += self.rng.expovariate(1 / 7_200)
        booked_at = at + timedelta(seconds=delay_s)
        return Operation(
            self._id(booked_at),
            kind,
            self.payment.id,
            self.currency,
            amount_minor,
            booked_at,
            names.ours,
            self.payment.names,
        )

    def line(self, kind: LineKind, amount_minor: int, at: datetime, names: Names) -> Line:
        """The row of the report, in the currency of the account, to the second."""
        account = self.merchant.account
        gross = amount_minor if self.conversion is None else _settled(amount_minor, self.conversion)
        fee = fee_of(self.rng, account, kind, gross)
        hidden = self.conversion is None or not self.is_shown
        return Line(
            self._id(at),
            kind,
            account.currency,
            gross,
            fee,
            gross - fee,
            at if account.connector is Connector.SIMULATOR else at.replace(microsecond=0),
            names.reported,
            names.reported_payment,
            None if hidden else self.currency,
            None if hidden else self._shown(amount_minor, gross),
        )

    def _shown(self, amount_minor: int, gross: int) -> int:
        """Some PSPs compute the customer's amount back from what they settle."""
        assert self.conversion is not None
        if self.rng.random() < 0.8:
            return amount_minor
        return round(gross / self.conversion)

    def _id(self, at: datetime) -> ids.UUID:
        return ids.dated(at, str(self.rng.getrandbits(64)))


def live(
    rng: Random, merchant: Merchant, at: datetime, amount_minor: int, trouble: Trouble, refunds: float
) -> Iterator[Case]:
    """What happens after a customer has ordered. Troubles that are of a row, and not of an order, come later."""
    account = merchant.account
    payment = draw_payment(rng, account.connector, at)
    order = Order(rng, merchant, payment, at, account.currency)
    if trouble in (Trouble.FX, Trouble.FX_HIDDEN):
        order.currency = foreign(rng, account.currency)
        amount_minor = minor(rng.uniform(3, 150), order.currency)
        order.conversion = minor_rate(rng, order.currency, account.currency)
        order.is_shown = trouble is Trouble.FX
    if trouble is Trouble.WHOLE_AND_REST and account.connector is Connector.STRIPE:
        yield _whole_and_rest(order, amount_minor)
    elif trouble in (Trouble.PARTIAL_CAPTURE, Trouble.JOINED_CAPTURES, Trouble.WHOLE_AND_REST):
        yield from _in_parts(order, amount_minor, trouble)
    else:
        kept = trouble if trouble in (Trouble.FX, Trouble.FX_HIDDEN) else Trouble.NONE
        yield order.case(LineKind.CHARGE, amount_minor, at, kept)
    if trouble in (Trouble.FAILED_REFUND, Trouble.SILENT_REFUND):
        yield from _failed_refund(order, amount_minor, trouble)
    elif trouble in (Trouble.DISPUTE, Trouble.REVERSED):
        yield from _dispute(order, amount_minor, trouble)
    elif rng.random() < refunds:
        yield from _refund(order, amount_minor, trouble)


def _in_parts(order: Order, amount_minor: int, trouble: Trouble) -> Iterator[Case]:
    """Shipped in two or three parcels over some days, each captured when it leaves."""
    rng = order.rng
    parts = _parts(rng, amount_minor)
    moments = sorted(order.at + timedelta(days=rng.expovariate(1 / 2)) for _ in parts)
    names = [draw_names(rng, order.payment, LineKind.CHARGE, number) for number in range(len(parts))]
    if trouble is not Trouble.JOINED_CAPTURES:
        for part, at, each in zip(parts, moments, names, strict=True):
            yield order.case(LineKind.CHARGE, part, at, Trouble.PARTIAL_CAPTURE, each)
        return
    reported = names[0] if rng.random() < _NAMED_CHARGE else Names((), (), order.payment.names[:1])
    operations = [
        order.operation(LineKind.CHARGE, part, at, each) for part, at, each in zip(parts, moments, names, strict=True)
    ]
    line = order.line(LineKind.CHARGE, sum(parts), moments[-1], reported)
    yield Case(order.merchant.account, order.payment, trouble, operations, [line])


def _whole_and_rest(order: Order, amount_minor: int) -> Case:
    """Captured once, for a part: the charge is reported whole, and what is given back of it as another row."""
    taken = order.rng.randint(1, amount_minor - 1)
    names = draw_names(order.rng, order.payment, LineKind.CHARGE)
    case = order.case(LineKind.CHARGE, taken, order.at, Trouble.WHOLE_AND_REST, names)
    rest = order.line(LineKind.CHARGE, taken - amount_minor, order.at, names)
    whole = order.line(LineKind.CHARGE, amount_minor, order.at, names)
    case.lines = [whole, msgspec.structs.replace(rest, fee_minor=0, net_minor=rest.gross_minor)]
    return case


def _refund(order: Order, amount_minor: int, trouble: Trouble) -> Iterator[Case]:
    """All of it, or a part; or two articles that cost the same, one after the other."""
    rng = order.rng
    kept = trouble if trouble in (Trouble.FX, Trouble.FX_HIDDEN) else Trouble.REFUND
    at = order.at + timedelta(days=rng.expovariate(1 / 6), hours=2)
    whole = rng.random()
    if whole < 0.6 or amount_minor < 4:
        yield order.case(LineKind.REFUND, -amount_minor, at, kept)
    elif whole < 0.9:
        yield order.case(LineKind.REFUND, -rng.randint(1, amount_minor), at, kept)
    else:
        part = rng.randint(1, amount_minor // 2)
        later = at + timedelta(minutes=rng.expovariate(1 / 600))
        yield order.case(LineKind.REFUND, -part, at, kept)
        yield order.case(LineKind.REFUND, -part, later, kept)


def _failed_refund(order: Order, amount_minor: int, trouble: Trouble) -> Iterator[Case]:
    """The customer's bank sends it back days later; or the PSP never tried, and reports neither."""
    rng = order.rng
    at = order.at + timedelta(days=rng.expovariate(1 / 6), hours=2)
    failed_at = at + timedelta(days=rng.uniform(0.05, 9))
    names = draw_names(rng, order.payment, LineKind.REFUND)
    refund = order.case(LineKind.REFUND, -amount_minor, at, trouble, names)
    failed = order.case(LineKind.REFUND_FAILED, amount_minor, failed_at, trouble, names)
    if trouble is Trouble.SILENT_REFUND:
        both = [*refund.operations, *failed.operations]
        yield Case(order.merchant.account, order.payment, trouble, both, [])
    else:
        yield refund
        yield failed


def _dispute(order: Order, amount_minor: int, trouble: Trouble) -> Iterator[Case]:
    """A dispute weeks after; most for all of it. One in eight that are won goes to a second round."""
    rng = order.rng
    at = order.at + timedelta(days=rng.uniform(4, 40))
    amount = amount_minor if rng.random() < 0.9 or amount_minor < 2 else rng.randint(1, amount_minor)
    names = draw_names(rng, order.payment, LineKind.DISPUTE)
    yield order.case(LineKind.DISPUTE, -amount, at, Trouble.DISPUTE, names)
    if trouble is Trouble.DISPUTE:
        return
    won_at = at + timedelta(days=rng.uniform(5, 30))
    yield order.case(LineKind.DISPUTE_REVERSED, amount, won_at, trouble, names)
    if rng.random() < 0.125:
        again = draw_names(rng, order.payment, LineKind.DISPUTE)
        ours = tuple(name.removesuffix(":1") + ":2" for name in names.ours)
        again_at = won_at + timedelta(days=rng.uniform(3, 20))
        second = msgspec.structs.replace(again, ours=ours)
        yield order.case(LineKind.DISPUTE, -amount, again_at, trouble, second)


def _parts(rng: Random, amount_minor: int) -> list[int]:
    """Two or three parts, a quarter of the time equal ones."""
    count = 2 if rng.random() < 0.75 or amount_minor < 3 else 3
    if rng.random() < 0.25 and amount_minor % count == 0:
        return [amount_minor // count] * count
    cuts = sorted(rng.sample(range(1, amount_minor), count - 1))
    return [end - start for start, end in zip([0, *cuts], [*cuts, amount_minor], strict=True)]


def fee_of(rng: Random, account: Account, kind: LineKind, gross: int) -> int:
    """What the PSP takes for it."""
    if kind is LineKind.DISPUTE:
        return minor(15.0, account.currency)
    if kind is not LineKind.CHARGE:
        return 0
    if account.fee is None:
        return _share(gross, rng.randint(55, 210)) + minor(0.1, account.currency)
    return _share(gross, account.fee.basis_points) + account.fee.fixed_minor


def _share(gross: int, basis_points: int) -> int:
    return (gross * basis_points + 5_000) // 10_000


def _settled(amount_minor: int, conversion: float) -> int:
    return round(amount_minor * conversion)
