"""Explanations of lines whose names lead nowhere by names that are alike; and which lines have no name to go by.

Where names lie close together (`crowds`) one name that is alike is enough only if it is one slip off and the amount one
of its own; else it takes two, and none that denies it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from bezant.reconciliation.matching.choose import Option
from bezant.reconciliation.matching.crowds import Crowds, operations_by_key
from bezant.reconciliation.matching.known import Key, Records, amount_of, in_window, key_of, moment_cost, names_of
from bezant.reconciliation.matching.named import EACH_MORE
from bezant.reconciliation.matching.nameless import Nameless, in_time, nearest
from bezant.reconciliation.matching.names import Relation, folded, kind_of, one_slip_away, relation

EACH_SLIP: Final = 30
DENIAL: Final = 40
CROWDED: Final = 50

ENOUGH_ALIKE: Final = 2
"""So many names that are alike are not so by chance, however close together names lie."""


class Claimed(NamedTuple):
    """Lines that would together explain an operation, one or more of them with names that are alike or none."""

    operation: int
    lines: tuple[int, ...]
    said: int
    """The line whose names are compared."""

    @property
    def others(self) -> tuple[int, ...]:
        return tuple(n for n in self.lines if n != self.said)


class Searched(NamedTuple):
    """Explanations by names that are alike, and what lines without a name may be of."""

    alike: list[Option]
    nameless: list[Nameless]


def searched_options(records: Records, lines: Sequence[int]) -> Searched:
    """Explanations of `lines`, whose names lead to nothing that they fit."""
    alike: list[tuple[Claimed, Relation]] = []
    nameless: list[Nameless] = []
    for claimed in _claimed(records, lines):
        operation = records.operations[claimed.operation]
        known = operation.names + operation.payment_names
        said = names_of(records.lines[claimed.said])
        related = relation(said, known)
        if related.slips is not None and all(_is_alike(records, n, known) for n in claimed.others):
            alike.append((claimed, related))
        elif not (related.denials or claimed.others or records.hits[claimed.said]) and all(map(kind_of, said)):
            nameless.append(Nameless(claimed.said, claimed.operation))
    return Searched(list(_plausible(records, alike)), nameless)


def _is_alike(records: Records, line: int, known: tuple[str, ...]) -> bool:
    return bool(records.hits[line]) or relation(names_of(records.lines[line]), known).slips is not None


def _claimed(records: Records, lines: Sequence[int]) -> Iterator[Claimed]:
    """Lines, lines that share a name, and lines that complete an operation, with each operation of that amount."""
    wanted: defaultdict[Key, list[tuple[int, ...]]] = defaultdict(list)
    bundles: defaultdict[object, list[int]] = defaultdict(list)
    for n in lines:
        line = records.lines[n]
        wanted[key_of(line)].append((n,))
        for name in {short for each in names_of(line) if (short := folded(each))}:
            bundles[line.kind, amount_of(line)[0], name].append(n)
    for bundle in {tuple(bundle) for bundle in bundles.values() if 1 < len(bundle) <= records.terms.group_max}:
        total = sum(amount_of(records.lines[n])[1] for n in bundle)
        wanted[records.lines[bundle[0]].kind, amount_of(records.lines[bundle[0]])[0], total].append(bundle)
    buckets = operations_by_key(records, wanted, only_open=True)
    for key, claims in wanted.items():
        yield from _pairs(records, claims, buckets.get(key, []))
    yield from _completing(records, wanted)


def _pairs(records: Records, claims: list[tuple[int, ...]], bucket: list[int]) -> Iterator[Claimed]:
    terms = records.terms
    if len(claims) * len(bucket) <= terms.budget:
        for claim in claims:
            for n in bucket:
                if in_window(
                    records.lines[claim[0]], records.operations[n], terms.window_days_before, terms.late_days_after
                ):
                    yield Claimed(n, claim, claim[0])
        return
    yield from _pairs_of_many(records, claims, in_time(records, bucket))


def _pairs_of_many(records: Records, claims: list[tuple[int, ...]], bucket: list[int]) -> Iterator[Claimed]:
    """Too many to compare each with each: names one slip away; lines without a name get more than can be weighed."""
    terms = records.terms
    of_name: defaultdict[str, list[int]] = defaultdict(list)
    for n in bucket:
        for name in names_of(records.operations[n]):
            of_name[name].append(n)
    near = one_slip_away({name for claim in claims for name in names_of(records.lines[claim[0]])}, of_name)
    for claim in claims:
        line = records.lines[claim[0]]
        if names_of(line):
            found = sorted({n for name in names_of(line) for other in near.get(name, ()) for n in of_name[other]})
        else:
            found = nearest(records, line, bucket)
        for n in found:
            if in_window(line, records.operations[n], terms.window_days_before, terms.late_days_after):
                yield Claimed(n, claim, claim[0])


def _completing(records: Records, wanted: dict[Key, list[tuple[int, ...]]]) -> Iterator[Claimed]:
    """Operations of which some lines with the exact name are there, and a line of just the amount that lacks."""
    parts: defaultdict[int, list[int]] = defaultdict(list)
    for n in records.open_lines():
        owners = {o for hit in records.hits[n] for o in hit.operations if not records.done[o]}
        if len(owners) == 1:
            parts[owners.pop()].append(n)
    terms = records.terms
    for operation, exact in parts.items():
        said = records.operations[operation]
        if len(exact) >= terms.group_max or any(amount_of(records.lines[n])[0] != said.currency for n in exact):
            continue
        lacks = said.amount_minor - sum(amount_of(records.lines[n])[1] for n in exact)
        for claim in wanted.get((said.kind, said.currency, lacks), ()):
            line = records.lines[claim[0]]
            if (
                len(claim) == 1
                and claim[0] not in exact
                and in_window(line, said, terms.window_days_before, terms.late_days_after)
            ):
                yield Claimed(operation, (*exact, *claim), claim[0])


def _plausible(records: Records, alike: list[tuple[Claimed, Relation]]) -> Iterator[Option]:
    """Options of those claims whose likeness means something."""
    crowds = Crowds(records, [(claimed.said, claimed.operation) for claimed, _ in alike])
    for claimed, related in alike:
        line, operation = records.lines[claimed.said], records.operations[claimed.operation]
        slips = related.slips or 0
        cost = EACH_SLIP * slips + DENIAL * related.denials + moment_cost(line, operation)
        if crowds.is_crowded(claimed.said, claimed.operation):
            alone = slips == 1 and not crowds.has_rival(claimed.said, claimed.operation)
            if not alone and (related.alike < ENOUGH_ALIKE or related.denials):
                continue
            cost += CROWDED
        cost += EACH_MORE * (len(claimed.lines) - 1)
        yield Option((claimed.operation,), tuple(sorted(claimed.lines)), cost, "alike name")
