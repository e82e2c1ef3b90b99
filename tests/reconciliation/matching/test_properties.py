"""What holds of any operations and lines, payouts and deposits."""

from collections import Counter
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bezant.psp.reports import LineKind
from bezant.reconciliation.matching.breaks import find_breaks, find_deposit_breaks
from bezant.reconciliation.matching.deposits import match_deposits
from bezant.reconciliation.matching.known import amount_of, exchange_slack, is_exchanged
from bezant.reconciliation.matching.model import (
    Deposit,
    Explained,
    ExplainedDeposits,
    Line,
    Operation,
    Payout,
    Terms,
)
from bezant.reconciliation.matching.operations import match_operations
from tests.reconciliation.matching.records import NOON, deposit, line, operation, pairs, payout

TERMS = Terms(group_max=4)
# Random, and one that is off by a slip from another.
NAMES = ["att_7f3a9c0b5d1e", "att_7f3a9c0b5d1f", "att_21d08e6bb74f", "ch_e05591fa3c6d", "ch_0444d2c1aa97"]
AMOUNTS = st.sampled_from([100, 200, 300, 500])
HOURS = st.sampled_from([0, 0.01, 5, 30, 24 * 5, 24 * 20])
NAMED = st.lists(st.sampled_from(NAMES), max_size=2, unique=True)
PAYMENTS = st.sampled_from(["P", "Q", "R"])
KINDS = st.sampled_from([LineKind.CHARGE, LineKind.CHARGE, LineKind.REFUND, LineKind.REFUND_FAILED])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Operation], list[Line]]:
    operations: list[Operation] = []
    for n in range(draw(st.integers(0, 6))):
        kind, amount = draw(KINDS), draw(AMOUNTS)
        signed = -amount if kind is LineKind.REFUND else amount
        operations.append(
            operation(f"O{n}", signed, names=draw(NAMED), payment=draw(PAYMENTS), kind=kind, hours=draw(HOURS))
        )
    lines: list[Line] = []
    for n in range(draw(st.integers(0, 6))):
        kind, amount = draw(KINDS), draw(AMOUNTS)
        signed = -amount if kind is LineKind.REFUND else amount
        presented = draw(st.sampled_from([None, None, ("USD", signed), ("USD", signed + 1)]))
        lines.append(
            line(
                f"L{n}",
                signed,
                names=draw(NAMED),
                payment=draw(st.none() | PAYMENTS),
                kind=kind,
                currency="EUR" if presented else "USD",
                presented=presented,
                hours=draw(HOURS),
            )
        )
    return operations, lines


TEXTS = st.sampled_from(["", "PO-1111111", "po-2222222 AND PO-1111111", "PAYOUT PO 3333333", "PO-1111112", "rent"])


@st.composite
def bank_worlds(draw: st.DrawFn) -> tuple[list[Payout], list[Deposit]]:
    amounts = st.sampled_from([10_001, 20_003, 30_004, 50_007, -20_003])
    days = st.integers(0, 9)
    payouts = [
        payout(f"P{n}", draw(amounts), names=[f"PO-{n}{n}{n}{n}{n}{n}{n}"], days=draw(days))
        for n in range(draw(st.integers(0, 5)))
    ]
    deposits = [
        deposit(f"D{n}", draw(amounts), text=draw(TEXTS), days=draw(days)) for n in range(draw(st.integers(0, 5)))
    ]
    return payouts, deposits


def matched(world: tuple[list[Operation], list[Line]]) -> Explained:
    return match_operations(*world, TERMS)


def arrived(world: tuple[list[Payout], list[Deposit]]) -> ExplainedDeposits:
    return match_deposits(*world, TERMS)


def everything(explained: Explained | ExplainedDeposits) -> object:
    """All of an answer but the order of its parts."""
    ambiguous = sorted((one.ours, one.theirs, one.candidates, one.reason) for one in explained.ambiguous)
    noted = sorted((one.kind, one.ours, one.theirs, one.detail) for one in explained.noted)
    rules = sorted((match.rule, match.cost) for match in explained.matches)
    return pairs(explained), rules, ambiguous, noted


@given(worlds(), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_the_order_of_operations_and_lines_changes_nothing(world: tuple[list[Operation], list[Line]], random: Random):
    answer = matched(world)
    for records in world:
        random.shuffle(records)
    assert everything(matched(world)) == everything(answer)


@given(bank_worlds(), st.randoms(use_true_random=False))
def test_the_order_of_payouts_and_deposits_changes_nothing(world: tuple[list[Payout], list[Deposit]], random: Random):
    answer = arrived(world)
    for records in world:
        random.shuffle(records)
    assert everything(arrived(world)) == everything(answer)


@given(st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_the_order_of_many_deposits_without_names_changes_nothing(seed: int, random: Random):
    """More of them than are looked at together, payouts in parts among them."""
    drawn = Random(seed)
    payouts = [payout(f"P{n:02}", drawn.randint(50_000, 900_000), days=drawn.randint(0, 2)) for n in range(8)]
    parts = [drawn.randint(1_000, one.amount_minor - 1_000) for one in payouts]
    amounts = [amount for one, part in zip(payouts, parts, strict=True) for amount in (part, one.amount_minor - part)]
    amounts += [drawn.randint(1_000, 900_000) for _ in range(8)]
    drawn.shuffle(amounts)
    deposits = [deposit(f"D{n:02}", amount, days=drawn.randint(2, 5)) for n, amount in enumerate(amounts)]
    answer = arrived((payouts, deposits))
    mixed = random.sample(payouts, len(payouts)), random.sample(deposits, len(deposits))
    assert everything(arrived(mixed)) == everything(answer)


@given(worlds())
@settings(max_examples=200)
def test_each_record_is_matched_at_most_once_or_left(world: tuple[list[Operation], list[Line]]):
    explained = matched(world)
    operations = Counter(o.id for match in explained.matches for o in match.operations)
    lines = Counter(one.id for match in explained.matches for one in match.lines)
    assert operations + Counter(o.id for o in explained.operations) == Counter(o.id for o in world[0])
    assert lines + Counter(one.id for one in explained.lines) == Counter(one.id for one in world[1])


@given(bank_worlds())
def test_each_payout_and_deposit_is_matched_at_most_once_or_left(world: tuple[list[Payout], list[Deposit]]):
    explained = arrived(world)
    payouts = Counter(one.id for match in explained.matches for one in match.payouts)
    deposits = Counter(one.id for match in explained.matches for one in match.deposits)
    assert payouts + Counter(one.id for one in explained.payouts) == Counter(one.id for one in world[0])
    assert deposits + Counter(one.id for one in explained.deposits) == Counter(one.id for one in world[1])


@given(worlds())
@settings(max_examples=200)
def test_both_sides_of_a_match_have_one_sum_kind_and_currency(world: tuple[list[Operation], list[Line]]):
    for match in matched(world).matches:
        booked = sum(o.amount_minor for o in match.operations)
        reported = sum(amount_of(one)[1] for one in match.lines)
        slack = exchange_slack(TERMS, booked) if match.lines and all(is_exchanged(one) for one in match.lines) else 0
        assert abs(booked - reported) <= slack
        if match.lines:
            assert {one.kind for one in match.lines} == {o.kind for o in match.operations}
            assert {amount_of(one)[0] for one in match.lines} == {o.currency for o in match.operations}
            assert len({o.payment for o in match.operations}) == 1


@given(bank_worlds())
def test_payouts_and_their_deposits_have_one_sum(world: tuple[list[Payout], list[Deposit]]):
    for match in arrived(world).matches:
        assert sum(one.amount_minor for one in match.payouts) == sum(one.amount_minor for one in match.deposits)


@given(worlds())
def test_records_that_nothing_connects_change_nothing(world: tuple[list[Operation], list[Line]]):
    others = [operation("other", 4242, names=["att_ffff0000ffff"], payment="other")]
    other_lines = [line("other", 4242, names=["att_ffff0000ffff"]), line("stray", 9999, names=["att_eeee1111eeee"])]
    later = NOON + timedelta(days=90)
    alone = match_operations(*world, TERMS, now=later)
    with_others = match_operations([*others, *world[0]], [*other_lines, *world[1]], TERMS, now=later)
    assert pairs(with_others) == pairs(alone) | {("other", "other")}
    assert with_others.ambiguous == alone.ambiguous
    assert with_others.noted == alone.noted


@given(worlds())
@settings(max_examples=200)
def test_every_record_that_is_left_is_the_subject_of_a_break(world: tuple[list[Operation], list[Line]]):
    explained = matched(world)
    told = Counter(subject for found in find_breaks(explained, NOON, TERMS) for subject in found.subjects)
    assert {one.id for one in (*explained.operations, *explained.lines)} <= set(told)
    lines_told = Counter(
        found.subjects[0] for found in find_breaks(explained, NOON, TERMS) if str(found.subjects[0]).startswith("L")
    )
    assert set(lines_told.values()) <= {1}


@given(bank_worlds())
def test_every_payout_and_deposit_that_is_left_is_the_subject_of_a_break(world: tuple[list[Payout], list[Deposit]]):
    explained = arrived(world)
    told = {subject for found in find_deposit_breaks(explained, NOON, TERMS) for subject in found.subjects}
    assert {one.id for one in (*explained.payouts, *explained.deposits)} <= told


@pytest.mark.parametrize("lead", ["", "att_"])
def test_of_nameless_lines_as_many_are_matched_as_can_be_for_certain(lead: str):
    """Compared with trying all, for lines that could be of no operation but those of their days."""
    for seed in range(60):
        random = Random(seed)
        booked, reported = ([random.choice([0, 20, 40, 60]) for _ in range(3)] for _ in range(2))
        operations = [
            operation(f"O{n}", 500, names=[f"{lead}{n}"] if lead else [], hours=at) for n, at in enumerate(booked)
        ]
        lines = [line(f"L{n}", 500, hours=at + 3) for n, at in enumerate(reported)]
        near = {(n, m) for n in range(3) for m in range(3) if abs(reported[m] + 3 - booked[n]) <= 24}
        possible = {(n, m) for n in range(3) for m in range(3) if reported[m] + 3 - booked[n] >= -48}
        evident = {(n, m) for n, m in near if {k for k, other in possible - near if other == m} == set()}
        assert pairs(match_operations(operations, lines, TERMS)) == certain(evident)


def certain(possible: set[tuple[int, int]]) -> set[tuple[str, str]]:
    """What every largest assignment holds."""
    assignments: list[frozenset[tuple[int, int]]] = [frozenset()]
    for pair in sorted(possible):
        assignments += [some | {pair} for some in assignments if all(pair[0] != n and pair[1] != m for n, m in some)]
    largest = max(len(some) for some in assignments)
    every = [some for some in assignments if len(some) == largest]
    return {(f"O{n}", f"L{m}") for n, m in possible if all((n, m) in some for some in every)}
