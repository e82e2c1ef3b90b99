"""The invented world: the same for the same seed, with labels that add up and every kind of trouble in it."""

from collections import Counter
from functools import cache

import msgspec
import pytest

from bezant.bench.quality.generate import Wishes, generate
from bezant.bench.quality.world import Shares, Trouble, World
from bezant.psp.reports import LineKind
from bezant.reconciliation.matching.model import Deposit, Id, Line, Operation, Payout

OF_DEPOSITS = frozenset(
    trouble for trouble in Trouble if "DEPOSIT" in trouble.name or trouble is Trouble.NEGATIVE_PAYOUT
)


def wishes(seed: int, shares: Shares | None = None, operations: int = 6_000) -> Wishes:
    much = Shares.usual(0.3, 0.3)
    return Wishes(seed=seed, operations=operations, payouts=1_500, merchants=25, shares=shares or much)


@cache
def world(seed: int = 7) -> World:
    return generate(wishes(seed))


def operations(of: World) -> dict[Id, Operation]:
    return {each.id: each for book in of.books for each in book.operations}


def lines(of: World) -> dict[Id, Line]:
    return {each.id: each for book in of.books for each in book.lines}


def payouts(of: World) -> dict[Id, Payout]:
    return {each.id: each for each in of.payouts}


def deposits(of: World) -> dict[Id, Deposit]:
    return {each.id: each for each in of.deposits}


def test_a_seed_draws_the_same_world_again():
    assert msgspec.json.encode(generate(wishes(3)).books) == msgspec.json.encode(generate(wishes(3)).books)
    assert generate(wishes(3)).deposits == generate(wishes(3)).deposits
    assert generate(wishes(3)).labels == generate(wishes(3)).labels


def test_another_seed_draws_another_world():
    assert generate(wishes(3)).books != generate(wishes(4)).books


def test_there_are_at_least_as_many_operations_and_payouts_as_asked_for():
    assert len(operations(world())) >= 6_000
    assert len(world().payouts) >= 1_500


def test_every_kind_of_trouble_occurs():
    labels = world().labels
    found = {truth.trouble for truth in labels.truths} | set(labels.nothing.values())
    assert set(Trouble) - OF_DEPOSITS - found == set()


def test_every_kind_of_trouble_at_the_bank_occurs():
    labels = world().deposit_labels
    found = {truth.trouble for truth in labels.truths} | set(labels.nothing.values())
    assert OF_DEPOSITS - found == set()


def test_every_record_has_one_label():
    labels = world().labels
    told = Counter(each for truth in labels.truths for each in (*truth.ours, *truth.theirs))
    told.update(labels.nothing.keys())
    assert set(told) == {*operations(world()), *lines(world())}
    assert set(told.values()) == {1}


def test_every_payout_and_deposit_has_one_label():
    labels = world().deposit_labels
    told = Counter(each for truth in labels.truths for each in (*truth.ours, *truth.theirs))
    told.update(labels.nothing.keys())
    assert set(told) == {*payouts(world()), *deposits(world())}
    assert set(told.values()) == {1}


def test_what_is_the_same_money_adds_up():
    ours, theirs = operations(world()), lines(world())
    for truth in world().labels.truths:
        if truth.trouble in (Trouble.FX, Trouble.FX_HIDDEN):
            continue
        booked = sum(ours[each].amount_minor for each in truth.ours)
        assert booked == sum(theirs[each].gross_minor for each in truth.theirs), truth
        assert (
            len({*(ours[each].currency for each in truth.ours), *(theirs[each].currency for each in truth.theirs)}) == 1
        )


def test_what_is_settled_in_another_currency_shows_about_what_the_customer_paid():
    ours, theirs = operations(world()), lines(world())
    shown = [truth for truth in world().labels.truths if truth.trouble is Trouble.FX]
    assert shown
    for truth in shown:
        (operation_id,), (line_id,) = truth.ours, truth.theirs
        operation, line = ours[operation_id], theirs[line_id]
        assert line.presented_currency == operation.currency != line.currency
        assert line.presented_minor == pytest.approx(operation.amount_minor, rel=0.02, abs=20)


def test_payouts_are_the_sum_of_their_lines():
    sums = Counter[Id]()
    for line in lines(world()).values():
        if line.payout is not None:
            sums[line.payout] += line.net_minor
    by_id = payouts(world())
    assert sums
    assert {each: by_id[each].amount_minor for each in sums} == sums


def test_deposits_are_the_sum_of_their_payouts():
    ours, theirs = payouts(world()), deposits(world())
    for truth in world().deposit_labels.truths:
        came = sum(entry.original_minor or entry.amount_minor for entry in (theirs[each] for each in truth.theirs))
        assert came == sum(ours[each].amount_minor for each in truth.ours), truth


def test_nets_are_gross_less_fees():
    assert [line for line in lines(world()).values() if line.net_minor != line.gross_minor - line.fee_minor] == []


def test_the_fee_of_an_operation_in_several_lines_is_taken_once():
    theirs = lines(world())
    split = [truth.theirs for truth in world().labels.truths if truth.trouble is Trouble.SPLIT_LINES]
    assert split
    assert [ids for ids in split if sum(theirs[each].fee_minor != 0 for each in ids) > 1] == []


def test_signs_are_those_of_the_balance():
    takes = {LineKind.REFUND, LineKind.DISPUTE}
    assert [each for each in operations(world()).values() if (each.amount_minor < 0) != (each.kind in takes)] == []
    given_back = {
        each for truth in world().labels.truths if truth.trouble is Trouble.WHOLE_AND_REST for each in truth.theirs
    }
    rows = [each for each in lines(world()).values() if each.id not in given_back]
    assert [each for each in rows if (each.gross_minor < 0) != (each.kind in takes)] == []


def test_copies_differ_from_their_row_by_their_id_alone():
    by_id, labels = lines(world()), world().labels
    assert labels.copies
    for copy, original in labels.copies.items():
        assert labels.nothing[copy] is Trouble.DUPLICATE
        assert msgspec.structs.replace(by_id[copy], id="", payout=None) == msgspec.structs.replace(
            by_id[original], id="", payout=None
        )


def test_a_row_that_is_booked_twice_is_explained_by_the_first():
    by_id, labels = lines(world()), world().labels
    own = {truth.theirs: truth for truth in labels.truths if truth.trouble is Trouble.DUPLICATE}
    first = {by_id[each].names: by_id[each].occurred_at for theirs in own for each in theirs}
    again = [by_id[each] for each, trouble in labels.nothing.items() if trouble is Trouble.DUPLICATE and each in by_id]
    assert again
    assert [line for line in again if line.names in first and line.occurred_at < first[line.names]] == []


def test_swapped_rows_carry_each_others_references_and_other_amounts():
    ours, theirs, swapped = operations(world()), lines(world()), 0
    by_line = {each: next(iter(truth.ours)) for truth in world().labels.truths for each in truth.theirs if truth.ours}
    names = {name: each for each in ours.values() for name in each.names}
    for truth in world().labels.truths:
        if truth.trouble is Trouble.SWAPPED:
            (line_id,) = truth.theirs
            named = next(names[name] for name in theirs[line_id].names if name in names)
            assert named.id != by_line[line_id]
            assert named.amount_minor != theirs[line_id].gross_minor
            swapped += 1
    assert swapped


def test_the_usual_share_of_operations_is_in_trouble():
    usual = generate(wishes(11, shares=Shares.usual(), operations=20_000))
    assert usual.troubled == pytest.approx(0.08, abs=0.012)


def test_a_world_without_trouble_has_only_what_is_ordinary():
    calm = generate(wishes(11, shares=Shares.usual(0, 0)))
    assert calm.troubled == 0
    assert {truth.trouble for truth in calm.labels.truths} == {Trouble.NONE, Trouble.REFUND}
    assert set(calm.labels.nothing.values()) == {Trouble.NOT_YET}
    assert set(calm.deposit_labels.nothing.values()) <= {Trouble.DEPOSIT_NOT_YET}


def test_amounts_repeat_as_prices_do():
    charges = [each.amount_minor for each in operations(world()).values() if each.kind is LineKind.CHARGE]
    assert len(set(charges)) < len(charges) / 2
