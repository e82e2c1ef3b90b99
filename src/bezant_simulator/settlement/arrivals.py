"""What arrives at the bank of what was paid out, and what is made wrong with it on request."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from random import Random
from typing import Final

import msgspec

from bezant_simulator.decisions import new_id
from bezant_simulator.settlement.model import Entry, Label, Payout, PlantKind

PSP_NAME: Final = "Simulator Payments"
_STRANGERS: Final = ("Acme Ltd", "J. Doe", "Northwind Traders", "Contoso AG")


class Arrived(msgspec.Struct):
    """The entries of each currency's account. `labels` name the payout or the bank's reference."""

    entries: dict[str, list[Entry]]
    labels: list[Label]
    left: dict[PlantKind, int]


def arrive(payouts: Sequence[Payout], kinds: Mapping[PlantKind, int], random: Random) -> Arrived:
    """The entries of the payouts; plants what is asked for as far as there are payouts for it."""
    arrived = Arrived({}, [], {kind: count for kind, count in kinds.items() if count})
    untouched = list(payouts)
    random.shuffle(untouched)
    plain = _merge(arrived, untouched)
    plain = _lose(arrived, plain)
    plain = _split(arrived, plain, random)
    order = {payout.id: position for position, payout in enumerate(payouts)}
    for payout in sorted(plain, key=lambda payout: order[payout.id]):
        _enter(arrived, payout.currency, _entry(payout.amount, payout.id, f"PAYOUT {payout.id}"))
    _add_strangers(arrived, payouts, random)
    return arrived


def _take(arrived: Arrived, kind: PlantKind) -> bool:
    """Whether one more of it is asked for."""
    if not arrived.left.get(kind):
        return False
    arrived.left[kind] -= 1
    if not arrived.left[kind]:
        del arrived.left[kind]
    return True


def _merge(arrived: Arrived, payouts: Sequence[Payout]) -> list[Payout]:
    """Two payouts of a currency come as one entry that names both."""
    left = list(payouts)
    while arrived.left.get(PlantKind.MERGED_DEPOSIT):
        pair = next((pair for pair in combinations(left, 2) if _can_be_one(*pair)), None)
        if pair is None:
            break
        _take(arrived, PlantKind.MERGED_DEPOSIT)
        first, second = pair
        left = [payout for payout in left if payout not in pair]
        text = f"PAYOUTS {first.id} {second.id}"
        _enter(arrived, first.currency, _entry(first.amount + second.amount, "", text))
        label = Label(PlantKind.MERGED_DEPOSIT, first.id, first.currency, payout_id=first.id, written=second.id)
        arrived.labels.append(label)
    return left


def _can_be_one(first: Payout, second: Payout) -> bool:
    return first.currency == second.currency and (first.amount > 0) is (second.amount > 0)


def _lose(arrived: Arrived, payouts: Sequence[Payout]) -> list[Payout]:
    left: list[Payout] = []
    for payout in payouts:
        if _take(arrived, PlantKind.MISSING_DEPOSIT):
            arrived.labels.append(Label(PlantKind.MISSING_DEPOSIT, payout.id, payout.currency, payout_id=payout.id))
        else:
            left.append(payout)
    return left


def _split(arrived: Arrived, payouts: Sequence[Payout], random: Random) -> list[Payout]:
    """A payout comes in two parts."""
    left: list[Payout] = []
    for payout in payouts:
        size = abs(payout.amount)
        if size < 2 or not _take(arrived, PlantKind.SPLIT_DEPOSIT):
            left.append(payout)
            continue
        part = random.randint(max(1, size // 5), max(1, size * 4 // 5))
        part = part if payout.amount > 0 else -part
        for number, amount in ((1, part), (2, payout.amount - part)):
            text = f"PAYOUT {payout.id} PART {number} OF 2"
            _enter(arrived, payout.currency, _entry(amount, payout.id, text))
        arrived.labels.append(Label(PlantKind.SPLIT_DEPOSIT, payout.id, payout.currency, payout_id=payout.id))
    return left


def _add_strangers(arrived: Arrived, payouts: Sequence[Payout], random: Random) -> None:
    """Money that no PSP has sent."""
    while _take(arrived, PlantKind.UNMATCHED_DEPOSIT):
        currency = payouts[random.randrange(len(payouts))].currency if payouts else "USD"
        name = random.choice(_STRANGERS)
        entry = msgspec.structs.replace(
            _entry(random.randint(1_000, 50_000), "", f"INVOICE {random.randint(10_000, 99_999)}"),
            counterparty=name,
        )
        _enter(arrived, currency, entry)
        arrived.labels.append(Label(PlantKind.UNMATCHED_DEPOSIT, entry.reference, currency))


def _entry(amount: int, payout_id: str, text: str) -> Entry:
    return Entry(new_id("bk"), amount, text, PSP_NAME, payout_id)


def _enter(arrived: Arrived, currency: str, entry: Entry) -> None:
    arrived.entries.setdefault(currency, []).append(entry)
