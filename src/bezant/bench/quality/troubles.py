"""What goes wrong with a row between an operation and the report that a person reads."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final

from msgspec.structs import replace

from bezant.base import ids
from bezant.bench.quality.names import draw_names, reformatted, slip
from bezant.bench.quality.orders import Case
from bezant.bench.quality.world import Trouble
from bezant.psp.reports import LineKind
from bezant.reconciliation.matching.model import Id, Line

Spoil = Callable[[Random, Case], Sequence[Case]]
"""Changes a case of one operation and one line; what cases there are then."""

_SECOND: Final[Mapping[Trouble, Sequence[Trouble]]] = {
    Trouble.SPLIT_LINES: (Trouble.TYPO, Trouble.LATE, Trouble.REFORMATTED),
    Trouble.FEE_DRIFT: (Trouble.TYPO, Trouble.LATE, Trouble.REFORMATTED),
    Trouble.LATE: (Trouble.TYPO, Trouble.REFORMATTED),
    Trouble.TYPO: (Trouble.LATE, Trouble.REFORMATTED),
    Trouble.NAMELESS: (Trouble.LATE,),
}
"""What comes together with what."""


def spoil(rng: Random, case: Case, trouble: Trouble, two_at_once: float) -> Sequence[Case]:
    """`case` with this trouble of a row, now and then with a second one."""
    case.trouble = trouble
    cases = SPOILS[trouble](rng, case)
    if rng.random() < two_at_once and case.is_explained:
        second = rng.choice(_SECOND.get(case.trouble, (case.trouble,)))
        if second is not case.trouble:
            SPOILS[second](rng, case)
            case.trouble = Trouble.TWO_AT_ONCE
    return cases


def swap(rng: Random, cases: Sequence[Case]) -> None:
    """Give each row that is marked as swapped the references of the next sound row of its account and kind.

    Rows of the same amount cannot be swapped: a row is known by nothing else but its amount and its references.
    """
    rows: dict[tuple[str, LineKind], list[Case]] = {}
    for case in cases:
        if len(case.lines) == len(case.operations) == 1 and case.trouble in (Trouble.NONE, Trouble.SWAPPED):
            rows.setdefault((case.account.name, case.lines[0].kind), []).append(case)
    for each in rows.values():
        _swap_marked(rng, sorted(each, key=lambda case: case.lines[0].occurred_at))


def copies(cases: Sequence[Case]) -> dict[Id, Id]:
    """Rows that differ from another by their id alone, with the id of that row."""
    first: dict[Line, Id] = {}
    found: dict[Id, Id] = {}
    for case in cases:
        if case.trouble is Trouble.DUPLICATE:
            for line in case.lines:
                said = replace(line, id="")
                if said in first:
                    found[line.id] = first[said]
                first.setdefault(said, line.id)
    return found


def _swap_marked(rng: Random, cases: Sequence[Case]) -> None:
    taken: set[int] = set()
    for at, case in enumerate(cases):
        if case.trouble is not Trouble.SWAPPED or at in taken:
            continue
        line = case.lines[0]
        others = range(at + 1, min(at + 6, len(cases)))
        other_at = next(
            (i for i in others if i not in taken and cases[i].lines[0].gross_minor != line.gross_minor), None
        )
        if other_at is None:
            case.trouble = Trouble.NONE
            continue
        taken |= {at, other_at}
        other = cases[other_at]
        other.trouble = Trouble.SWAPPED
        theirs, is_all = other.lines[0], rng.random() < 0.5
        case.lines, other.lines = [_named_as(line, theirs, is_all)], [_named_as(theirs, line, is_all)]


def _named_as(line: Line, other: Line, is_all: bool) -> Line:
    """With the names of `other`: all of them, or only those of the operation."""
    return replace(line, names=other.names, payment_names=other.payment_names if is_all else line.payment_names)


def _split(rng: Random, case: Case) -> Sequence[Case]:
    """Two or three rows on the same or the next days; most name the operation, some only the payment."""
    line = case.lines[0]
    count = min(rng.choices((2, 3), (70, 30))[0], abs(line.gross_minor))
    if count < 2:
        return [case]
    sign = 1 if line.gross_minor > 0 else -1
    cuts = sorted(rng.sample(range(1, abs(line.gross_minor)), count - 1))
    parts = [sign * (end - start) for start, end in zip([0, *cuts], [*cuts, abs(line.gross_minor)], strict=True)]
    names_all, at = rng.random() < 0.75, line.occurred_at
    case.lines = []
    for number, part in enumerate(parts):
        at = at if number == 0 or rng.random() < 0.5 else at + timedelta(days=rng.choice((1, 1, 2)))
        fee = line.fee_minor if number == 0 else 0
        case.lines.append(
            replace(
                line,
                id=line.id if number == 0 else _id(rng, at),
                gross_minor=part,
                fee_minor=fee,
                net_minor=part - fee,
                occurred_at=at,
                names=line.names if number == 0 or names_all else (),
            )
        )
    return [case]


def _fee_drift(rng: Random, case: Case) -> Sequence[Case]:
    """Another card, another scheme: some tenths of a percent more, or another fixed part."""
    if case.account.fee is None:
        case.trouble = Trouble.NONE
        return [case]
    line = case.lines[0]
    more = round(abs(line.gross_minor) * rng.choice((0.003, 0.005, 0.01, 0.015))) + rng.choice((0, 0, 5, 20))
    fee = line.fee_minor + max(2, more)
    case.lines[0] = replace(line, fee_minor=fee, net_minor=line.gross_minor - fee)
    return [case]


def _late(rng: Random, case: Case) -> Sequence[Case]:
    """One to eight weeks later, all of its rows."""
    later = timedelta(days=rng.uniform(7, 56))
    case.lines = [replace(line, occurred_at=line.occurred_at + later) for line in case.lines]
    return [case]


def _typo(rng: Random, case: Case) -> Sequence[Case]:
    """Somebody typed it: all names are a bit wrong, or there is one name and that is wrong, or only ours is."""
    way = rng.randrange(3)
    case.lines = [_mistyped(rng, line, way) for line in case.lines]
    return [case]


def _mistyped(rng: Random, line: Line, way: int) -> Line:
    if not line.names:
        return line
    if way == 0:
        names = tuple(slip(rng, name) for name in line.names)
        return replace(line, names=names, payment_names=tuple(slip(rng, name) for name in line.payment_names))
    if way == 1:
        return replace(line, names=(slip(rng, line.names[0]),), payment_names=())
    return replace(line, names=(slip(rng, line.names[0]), *line.names[1:]))


def _reformatted(rng: Random, case: Case) -> Sequence[Case]:
    def of(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(reformatted(rng, name) for name in names)

    case.lines = [replace(line, names=of(line.names), payment_names=of(line.payment_names)) for line in case.lines]
    return [case]


def _nameless(rng: Random, case: Case) -> Sequence[Case]:
    case.lines = [replace(line, names=(), payment_names=()) for line in case.lines]
    return [case]


def _same_amounts(rng: Random, case: Case) -> Sequence[Case]:
    """Which of them have no reference is drawn where the many are made."""
    return [case]


def _swapped(rng: Random, case: Case) -> Sequence[Case]:
    """Only marked: `swap` finds the other row."""
    return [case]


def _duplicate(rng: Random, case: Case) -> Sequence[Case]:
    """Printed twice, or booked once more up to three days later."""
    line = case.lines[0]
    at = line.occurred_at if rng.random() < 0.5 else line.occurred_at + timedelta(hours=rng.uniform(0.1, 72))
    again = replace(line, id=_id(rng, at), occurred_at=at)
    return [case, Case(case.account, case.payment, Trouble.DUPLICATE, [], [again], is_explained=False)]


def _not_reported(rng: Random, case: Case) -> Sequence[Case]:
    case.lines, case.is_explained = [], False
    return [case]


def _not_ours(rng: Random, case: Case) -> Sequence[Case]:
    """A charge of another shop's system on the same account; a sale that we lost; a refund made at the PSP by hand."""
    line, way = case.lines[0], rng.randrange(3)
    if way == 0:
        case.operations = []
        names = tuple(f"order-{rng.randrange(10**6)}" if name.startswith(ids.ATTEMPT) else name for name in line.names)
        of_payment = tuple(name for name in line.payment_names if not name.startswith(ids.PAYMENT))
        case.lines, case.is_explained = [replace(line, names=names, payment_names=of_payment)], False
        return [case]
    if way == 1:
        case.operations, case.is_explained = [], False
        return [case]
    stranger = draw_names(rng, case.payment, LineKind.REFUND)
    taken = rng.randint(1, max(1, abs(line.gross_minor)))
    at = line.occurred_at + timedelta(days=rng.expovariate(1 / 4))
    by_hand = replace(
        line,
        id=_id(rng, at),
        kind=LineKind.REFUND,
        gross_minor=-taken,
        fee_minor=0,
        net_minor=-taken,
        occurred_at=at,
        names=stranger.reported[-1:],
    )
    case.trouble = Trouble.NONE
    return [case, Case(case.account, case.payment, Trouble.NOT_OURS, [], [by_hand], is_explained=False)]


def _amount_off(rng: Random, case: Case) -> Sequence[Case]:
    """A few minor units, a percent, or two digits transposed. Nobody can say where the rest is."""
    line = case.lines[0]
    amount, way = abs(line.gross_minor), rng.random()
    off = rng.randint(1, 5) if way < 0.6 else max(1, round(amount * rng.uniform(0.005, 0.02)))
    changed = _transposed(amount) if way > 0.85 else amount + rng.choice((off, -off))
    if changed == amount or changed <= 0:
        changed = amount + off
    gross = changed if line.gross_minor > 0 else -changed
    case.lines[0] = replace(line, gross_minor=gross, net_minor=gross - line.fee_minor)
    case.is_explained = False
    return [case]


def _transposed(amount: int) -> int:
    digits = str(amount)
    return int(digits[1] + digits[0] + digits[2:]) if len(digits) > 2 else amount


def _id(rng: Random, at: datetime) -> ids.UUID:
    return ids.dated(at, str(rng.getrandbits(64)))


SPOILS: Final[Mapping[Trouble, Spoil]] = {
    Trouble.SPLIT_LINES: _split,
    Trouble.FEE_DRIFT: _fee_drift,
    Trouble.LATE: _late,
    Trouble.TYPO: _typo,
    Trouble.REFORMATTED: _reformatted,
    Trouble.NAMELESS: _nameless,
    Trouble.SAME_AMOUNTS: _same_amounts,
    Trouble.SWAPPED: _swapped,
    Trouble.DUPLICATE: _duplicate,
    Trouble.NOT_REPORTED: _not_reported,
    Trouble.NOT_OURS: _not_ours,
    Trouble.AMOUNT_OFF: _amount_off,
}
