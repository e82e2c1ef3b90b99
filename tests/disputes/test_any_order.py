"""Whatever a PSP tells of a dispute, twice, shuffled and in batches of any size: the books come to one end.

The PSP is played here with its truth; notices go through the real handler, statements and constraints.
"""

from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bezant.psp.notices import DisputeNotice
from tests.disputes.world import DisputeWorld, Sale, dispute_world, told
from tests.support.databases import run
from tests.support.verification import describe, verified

End = tuple[Any, ...]
Step = tuple[str, str]

ROADS: Final[dict[str, list[Step]]] = {
    "inquiry closed": [("inquiry", "inquiry"), ("inquiry", "under_review"), ("inquiry", "closed")],
    "inquiry, then lost": [("inquiry", "inquiry"), ("chargeback", "needs_response"), ("chargeback", "lost")],
    "won": [("chargeback", "needs_response"), ("chargeback", "under_review"), ("chargeback", "won")],
    "expired": [("chargeback", "needs_response"), ("chargeback", "expired")],
    "accepted": [("chargeback", "needs_response"), ("chargeback", "lost"), ("chargeback", "accepted")],
    "second stage": [
        ("inquiry", "inquiry"),
        ("chargeback", "needs_response"),
        ("chargeback", "won"),
        ("second", "needs_response"),
        ("second", "under_review"),
        ("second", "lost"),
    ],
    "won, then lost, without a stage": [
        ("chargeback", "needs_response"),
        ("chargeback", "won"),
        ("chargeback", "lost"),
    ],
    "lost, then won after all": [("chargeback", "needs_response"), ("chargeback", "lost"), ("chargeback", "won")],
}
COUNTED: Final = {"second stage"}
"""Roads on which the PSP also says how often it took money."""


def notices_of(sale: Sale, road: str, *, counts: bool) -> list[DisputeNotice]:
    """What the PSP tells on its road, in order."""
    found: list[DisputeNotice] = []
    number = 0
    for stage, status in ROADS[road]:
        number += 1 if status == "needs_response" else 0
        round_ = number if counts else None
        found.append(
            told(sale, status, stage=stage, round=round_, reason="fraudulent", fee_minor=1_500 if number else None)
        )
    return found


async def end_of(world: DisputeWorld, sale: Sale) -> End:
    """What is left of it, by every way of looking."""
    dispute = await world.dispute(sale.name)
    rounds = await world.rounds(sale.name)
    shown = [dispute[name] for name in ("stage", "status", "round", "amount_minor", "reason", "doubt")]
    return (await world.payment(sale), shown, rounds, await world.book(sale.merchant_id))


async def told_in(url: str, road: str, order: list[tuple[int, bool]], *, counts: bool, absorbs: bool) -> End:
    """The end after what is told comes in this order; after each that ends a batch the PSP may be asked."""
    async with dispute_world(url) as world:
        shop: UUID = await world.merchant()
        await world.policy(shop, loss="platform" if absorbs else "merchant", fee="merchant")
        sale = await world.sells(shop, 10_000)
        said = [
            msgspec.structs.replace(each, dispute_reference=sale.name) for each in notices_of(sale, road, counts=counts)
        ]
        world.bank.holds[sale.name] = said[-1]
        batch: list[DisputeNotice] = []
        for number, ends_batch in order:
            batch.append(said[number % len(said)])
            if ends_batch:
                await world.hears(*batch)
                batch = []
        await world.hears(*batch, *said[:0])
        for number in range(len(said)):
            if number not in {n % len(said) for n, _ in order}:
                await world.hears(said[number])
        await world.looks()
        return await end_of(world, sale)


@pytest.mark.parametrize("road", sorted(ROADS))
def test_notices_in_any_order_and_number_come_to_one_end(module_database_url: str, road: str) -> None:
    counts = road in COUNTED
    in_order = [(n, True) for n in range(len(ROADS[road]))]

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @example(order=list(reversed(in_order)), absorbs=True)
    @given(order=st.lists(st.tuples(st.integers(0, 11), st.booleans()), max_size=14), absorbs=st.booleans())
    def come_to_one_end(order: list[tuple[int, bool]], absorbs: bool) -> None:
        expected = run(told_in(module_database_url, road, in_order, counts=counts, absorbs=absorbs))
        assert run(told_in(module_database_url, road, order, counts=counts, absorbs=absorbs)) == expected

    come_to_one_end()


def test_without_being_counted_a_second_stage_comes_to_the_same_end(module_database_url: str) -> None:
    road = "second stage"
    in_order = [(n, True) for n in range(len(ROADS[road]))]
    ends = [
        run(told_in(module_database_url, road, order, counts=counts, absorbs=False))
        for order in (in_order, in_order[::-1], in_order[3:] + in_order[:3])
        for counts in (True, False)
    ]
    assert all(end == ends[0] for end in ends)


@pytest.fixture(scope="module", autouse=True)
def _verified(module_database_url: str) -> Any:
    yield
    report = run(verified(module_database_url))
    assert report.ok, describe(report)
