"""Makes rows of a report wrong on request, chosen by a seed, and says which. The sums of the report stay its own.

At most one thing is planted on a charge. A row that is missing was forgotten with its money; one that is late goes
into the next report; a duplicate and a row of nobody's charge are paid out like any other.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Final

import msgspec

from bezant_simulator.decisions import new_id
from bezant_simulator.settlement.currencies import Conversion, converted
from bezant_simulator.settlement.model import Label, PlantKind, Row, RowType

FeeOf = Callable[[int], int]
"""The fee of a charge of this amount."""

_CHARGES: Final = frozenset({RowType.CHARGE})
_ROWS: Final = frozenset({RowType.CHARGE, RowType.REFUND})
_ON: Final[Mapping[PlantKind, frozenset[RowType]]] = {
    PlantKind.MISSING_PSP_ROW: _ROWS,
    PlantKind.DUPLICATE_PSP_ROW: _ROWS,
    PlantKind.AMOUNT_MISMATCH: _CHARGES,
    PlantKind.FEE_MISMATCH: _CHARGES,
    PlantKind.CURRENCY_MISMATCH: _CHARGES,
    PlantKind.TYPO_IN_REFERENCE: _ROWS,
    PlantKind.LATE_ROW: _ROWS,
}


class Planted(msgspec.Struct):
    """The rows as they stand in the report, and what became of the others."""

    rows: list[Row]
    labels: list[Label]
    withheld: list[str]
    late: list[Row]
    left: dict[PlantKind, int]


def plant(rows: Sequence[Row], kinds: Mapping[PlantKind, int], random: Random, fee_of: FeeOf) -> Planted:
    """Plants what is asked for as far as there are rows for it, the rest is left. Names that are made up are new."""
    chosen, left = _choose(rows, kinds, random)
    planted = Planted([], [], [], [], left)
    for position, row in enumerate(rows):
        if position in chosen:
            _plant(planted, chosen[position], row, random, fee_of)
        else:
            planted.rows.append(row)
    for _ in range(left.pop(PlantKind.MISSING_INTERNAL_ROW, 0) if rows else 0):
        _invent(planted, rows[random.randrange(len(rows))], random, fee_of)
    return planted


def _choose(
    rows: Sequence[Row], kinds: Mapping[PlantKind, int], random: Random
) -> tuple[dict[int, PlantKind], dict[PlantKind, int]]:
    """What is planted on which row, and how much of what is left."""
    chosen: dict[int, PlantKind] = {}
    left = {kind: count for kind, count in kinds.items() if count}
    order = list(range(len(rows)))
    random.shuffle(order)
    charges: set[str] = set()
    for position in order:
        if not left.keys() & _ON.keys():
            break
        row = rows[position]
        kind = next((kind for kind in _ON if kind in left and row.type in _ON[kind]), None)
        if kind is not None and row.charge_id not in charges:
            charges.add(row.charge_id)
            chosen[position] = kind
            left[kind] -= 1
            if not left[kind]:
                del left[kind]
    return chosen, left


def _plant(planted: Planted, kind: PlantKind, row: Row, random: Random, fee_of: FeeOf) -> None:
    written = ""
    match kind:
        case PlantKind.MISSING_PSP_ROW:
            planted.withheld.append(row.line_id)
        case PlantKind.LATE_ROW:
            planted.late.append(row)
        case PlantKind.DUPLICATE_PSP_ROW:
            twin = msgspec.structs.replace(row, line_id=new_id("txn"))
            planted.rows.extend((row, twin))
            written = twin.line_id
        case _:
            wrong = _WRONG[kind](row, random, fee_of)
            planted.rows.append(wrong)
            written = _difference(row, wrong)
    planted.labels.append(_label(kind, row, written))


def _wrong_amount(row: Row, random: Random, fee_of: FeeOf) -> Row:
    amount = row.gross if row.presented_amount is None else row.presented_amount
    off = random.randint(amount // 100 + 1, amount // 10 + 2)
    wrong = amount + off if amount <= off or random.random() < 0.5 else amount - off
    if row.presented_currency is None or row.fx_rate is None:
        return msgspec.structs.replace(row, gross=wrong, fee=fee_of(wrong))
    gross = converted(wrong, row.presented_currency, Conversion(row.currency, Decimal(row.fx_rate)))
    return msgspec.structs.replace(row, presented_amount=wrong, gross=gross, fee=fee_of(gross))


def _wrong_fee(row: Row, random: Random, _fee_of: FeeOf) -> Row:
    return msgspec.structs.replace(row, fee=row.fee + random.randint(row.fee // 5 + 5, row.fee + 10))


def _wrong_currency(row: Row, _random: Random, _fee_of: FeeOf) -> Row:
    other = "EUR" if "EUR" not in (row.currency, row.presented_currency) else "GBP"
    if row.presented_currency is not None:
        return msgspec.structs.replace(row, presented_currency=other)
    return msgspec.structs.replace(row, presented_currency=other, presented_amount=row.gross, fx_rate="1")


def _wrong_reference(row: Row, random: Random, _fee_of: FeeOf) -> Row:
    return msgspec.structs.replace(
        row, reference=_mistyped(row.reference, random), operation_id=_mistyped(row.operation_id, random)
    )


_WRONG: Final[Mapping[PlantKind, Callable[[Row, Random, FeeOf], Row]]] = {
    PlantKind.AMOUNT_MISMATCH: _wrong_amount,
    PlantKind.FEE_MISMATCH: _wrong_fee,
    PlantKind.CURRENCY_MISMATCH: _wrong_currency,
    PlantKind.TYPO_IN_REFERENCE: _wrong_reference,
}


def _invent(planted: Planted, like: Row, random: Random, fee_of: FeeOf) -> None:
    """A row about a charge that nobody made."""
    gross = random.randint(500, 20_000)
    row = Row(
        type=RowType.CHARGE,
        line_id=new_id("txn"),
        currency=like.currency,
        gross=gross,
        at=like.at,
        fee=fee_of(gross),
        charge_id=new_id("ch"),
        operation_id=new_id("op"),
        reference=f"att_{secrets.token_hex(16)}",
    )
    planted.rows.append(row)
    planted.labels.append(_label(PlantKind.MISSING_INTERNAL_ROW, row, ""))


def _label(kind: PlantKind, row: Row, written: str) -> Label:
    return Label(
        kind=kind,
        reference=row.reference or row.operation_id,
        currency=row.currency,
        line_id=row.line_id,
        charge_id=row.charge_id,
        operation_id=row.operation_id,
        written=written,
    )


def _difference(row: Row, wrong: Row) -> str:
    """What is written instead, for people."""
    fields = ((name, getattr(row, name), getattr(wrong, name)) for name in row.__struct_fields__)
    return " ".join(f"{name}={after}" for name, before, after in fields if before != after)


def _mistyped(name: str, random: Random) -> str:
    """One character of its second half is another one."""
    if len(name) < 2:
        return name
    position = random.randrange(len(name) // 2, len(name))
    other = random.choice([digit for digit in "0123456789abcdef" if digit != name[position]])
    return name[:position] + other + name[position + 1 :]
