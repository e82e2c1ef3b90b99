"""Explanations that exact names lead to: pairs, groups within a payment, names that two lines exchanged."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bezant.psp.reports import LineKind
from bezant.reconciliation.matching.choose import Option
from bezant.reconciliation.matching.crowds import Crowds
from bezant.reconciliation.matching.groups import Members, balanced
from bezant.reconciliation.matching.known import (
    Records,
    amount_of,
    exchange_slack,
    fits,
    in_window,
    is_exchanged,
    moment_cost,
)
from bezant.reconciliation.matching.model import Id

EACH_MORE = 100
"""What each record of a group costs beyond a pair."""

EXCHANGED_NAMES = 300

_RANKS = 9


class Claim(NamedTuple):
    """A line and what it costs to read it as of each operation that it may be of."""

    line: int
    costs: Mapping[int, int]


def named_options(records: Records, lines: Iterable[int]) -> list[Option]:
    """All explanations of `lines` by what their names lead to."""
    claims = _ranked(records, _trusted(records, [_claim(records, line) for line in lines if records.hits[line]]))
    of_payment: defaultdict[tuple[Id, LineKind], list[Claim]] = defaultdict(list)
    for claim in claims:
        for payment in {records.operations[n].payment for n in claim.costs}:
            of_payment[payment, records.lines[claim.line].kind].append(claim)
    options = [o for (payment, _), some in of_payment.items() for o in payment_options(records, payment, some)]
    options += _exchanged(records, claims, {n for option in options for n in option.theirs})
    return options


def _claim(records: Records, line: int) -> Claim:
    payments = {payment for hit in records.hits[line] for payment in hit.payments}
    costs: dict[int, int] = {}
    for operation in records.open_of(payments, records.lines[line].kind):
        cost = records.names_cost(line, operation)
        if cost is not None:
            costs[operation] = cost
    return Claim(line, costs)


def _trusted(records: Records, claims: Sequence[Claim]) -> list[Claim]:
    """Claims without those of a line with other names that deny them, where a slip may have made the one that fits."""
    doubtful = {(c.line, n) for c in claims for n in c.costs if records.is_denied(c.line, n)}
    crowds = Crowds(records, doubtful)
    mistaken = {pair for pair in doubtful if crowds.is_crowded(*pair) and crowds.has_rival(*pair)}
    trusted = [Claim(c.line, {n: cost for n, cost in c.costs.items() if (c.line, n) not in mistaken}) for c in claims]
    return [claim for claim in trusted if claim.costs]


def _ranked(records: Records, claims: list[Claim]) -> list[Claim]:
    """Of lines that say the same of the same operations, the earlier costs less."""
    twins: defaultdict[object, list[Claim]] = defaultdict(list)
    for claim in claims:
        line = records.lines[claim.line]
        twins[line.kind, line.currency, line.gross_minor, amount_of(line), frozenset(claim.costs)].append(claim)
    ranked: list[Claim] = []
    for same in twins.values():
        same.sort(key=lambda claim: (records.lines[claim.line].occurred_at, records.lines[claim.line].id))
        ranked += [
            Claim(claim.line, {n: cost + min(rank, _RANKS) for n, cost in claim.costs.items()})
            for rank, claim in enumerate(same)
        ]
    return ranked


def payment_options(records: Records, payment: Id, claims: Sequence[Claim]) -> Iterator[Option]:
    """Pairs and groups of one payment's operations and the lines of one kind that claim them, per currency."""
    by_currency: defaultdict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_currency[amount_of(records.lines[claim.line])[0]].append(claim)
    for currency, some in by_currency.items():
        operations = [
            n
            for n in records.open_of([payment], records.lines[some[0].line].kind)
            if records.operations[n].currency == currency
        ]
        if not operations:
            continue
        if max(len(operations), len(some)) <= records.terms.group_max:
            yield from _groups(records, operations, some)
        else:
            yield from _large(records, operations, some)


def _groups(records: Records, operations: list[int], claims: list[Claim]) -> Iterator[Option]:
    ours = [records.operations[n].amount_minor for n in operations]
    theirs = [amount_of(records.lines[claim.line])[1] for claim in claims]
    exchanged = [is_exchanged(records.lines[claim.line]) for claim in claims]

    def slack(total: int, members: Members) -> int:
        return exchange_slack(records.terms, total) if all(exchanged[n] for n in members) else 0

    for mine, other in balanced(ours, theirs, slack if any(exchanged) else None):
        option = _option(
            [operations[n] for n in mine],
            [claims[n] for n in other],
            2 * (sum(ours[n] for n in mine) != sum(theirs[n] for n in other)),
        )
        if option:
            yield option


def _large(records: Records, operations: list[int], claims: list[Claim]) -> Iterator[Option]:
    """Too many for all groups: pairs, all parts of each operation, and all by all."""
    for claim in claims:
        for n in operations:
            if fits(records.lines[claim.line], records.operations[n], records.terms):
                option = _option([n], [claim])
                if option:
                    yield option
    wholes = [([n], [c for c in claims if c.costs.get(n, 20) < 20]) for n in operations]
    for mine, parts in [*wholes, (operations, claims)]:
        total = sum(amount_of(records.lines[claim.line])[1] for claim in parts)
        if len(parts) > 1 and total == sum(records.operations[n].amount_minor for n in mine):
            option = _option(mine, parts)
            if option:
                yield option


def _option(operations: Sequence[int], claims: Sequence[Claim], off: int = 0) -> Option | None:
    cost = off + EACH_MORE * (len(operations) + len(claims) - 2)
    best = 99
    for claim in claims:
        costs = [claim.costs[n] for n in operations if n in claim.costs]
        if not costs:
            return None
        cost += min(costs)
        best = min(best, *costs)
    return Option(
        tuple(sorted(operations)),
        tuple(sorted(claim.line for claim in claims)),
        cost,
        _rule(len(operations), len(claims), best),
    )


def _rule(operations: int, lines: int, names_cost: int) -> str:
    if operations == lines == 1:
        return "own name" if names_cost < 20 else "payment name"
    if operations == 1:
        return "parts of one operation"
    return "one line for several" if lines == 1 else "group of a payment"


def _exchanged(records: Records, claims: Iterable[Claim], fitting: set[int]) -> Iterator[Option]:
    """Two lines, each with the name of the operation that the other one fits."""
    waiting: defaultdict[tuple[LineKind, str, int, int], list[tuple[int, int]]] = defaultdict(list)
    for claim in claims:
        line = records.lines[claim.line]
        best = min(claim.costs.values())
        named = [n for n, cost in claim.costs.items() if cost == best]
        currency, amount = amount_of(line)
        if claim.line in fitting or len(named) != 1 or records.operations[named[0]].currency != currency:
            continue
        waiting[line.kind, currency, amount, records.operations[named[0]].amount_minor].append((claim.line, named[0]))
    for (kind, currency, amount, named_amount), ones in waiting.items():
        if amount > named_amount:
            continue  # each couple once
        for line, named in ones:
            for other, other_named in waiting.get((kind, currency, named_amount, amount), ()):
                if _may_exchange(records, (other_named, line), (named, other)):
                    parts = (((other_named,), (line,)), ((named,), (other,)))
                    ours, theirs = tuple(sorted((named, other_named))), tuple(sorted((line, other)))
                    cost = EXCHANGED_NAMES + sum(
                        moment_cost(records.lines[one], records.operations[n])
                        for n, one in ((other_named, line), (named, other))
                    )
                    yield Option(ours, theirs, cost, "names exchanged", tuple(sorted(parts)))


def _may_exchange(records: Records, *pairs: tuple[int, int]) -> bool:
    terms = records.terms
    return len({n for n, _ in pairs}) == len(pairs) and all(
        in_window(records.lines[line], records.operations[n], terms.window_days_before, terms.window_days_after)
        for n, line in pairs
    )
