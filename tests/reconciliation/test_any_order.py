"""Whatever comes first, and wherever a run falls in between: the month ends with the same explained and the same books.

Reports and statements are loaded as files, through the readers, in an order of their own each time, their rows too. One
thing is first come, first kept: of two rows of one operation it is the one that a run has seen that explains it, since
what is explained stays so. The books are the same either way, and so is the break, of the other row.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.conftest import TEMPLATE
from tests.reconciliation.any_order import Told, comes_to, happens
from tests.reconciliation.world import charge, world_on
from tests.support.databases import copied_database, run
from tests.support.verification import assert_verified, assert_verified_async

Month = tuple[str, str, list[Told]]
End = dict[str, Sequence[Any]]
FILES = 6
KINDS = {
    "ambiguous",
    "amount_mismatch",
    "currency_mismatch",
    "duplicate_psp_row",
    "missing_deposit",
    "missing_internal_row",
    "missing_psp_row",
    "payout_mismatch",
    "unmatched_deposit",
}

SEEDS = st.integers(0, 99)

_few = settings(
    max_examples=5,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def month(server_url: str) -> Iterator[Month]:
    """The server, the name of a database where it all has happened, and the files that tell of it."""
    with copied_database(server_url, TEMPLATE) as url:
        files = run(happens(url))
        yield server_url, url.rpartition("/")[2], files


def end_of(month: Month, order: list[tuple[int, bool]], seed: int, *, verified: bool = False) -> End:
    """What a copy of the month comes to, with its files in this order, each followed by a run or not."""
    server_url, name, files = month
    with copied_database(server_url, name) as url:
        found = run(comes_to(url, [(files[n], is_run) for n, is_run in order], Random(seed)))
        if verified:
            assert_verified(url)
    return found


def test_month_has_trouble_of_many_kinds_and_verifies(month: Month) -> None:
    found = end_of(month, [(n, False) for n in range(FILES)], 0, verified=True)
    assert {row[0] for row in found["breaks"]} == KINDS


def test_files_and_their_rows_in_any_order_come_to_one_end(month: Month) -> None:
    """One run over all of them: nothing whatever depends on an order."""
    expected = end_of(month, [(n, False) for n in range(FILES)], 0)

    @_few
    @example(order=list(range(FILES))[::-1], seed=1)
    @given(order=st.permutations(range(FILES)), seed=SEEDS)
    def come_to_one_end(order: list[int], seed: int) -> None:
        assert end_of(month, [(n, False) for n in order], seed) == expected

    come_to_one_end()


def test_runs_in_between_come_to_the_same_end(month: Month) -> None:
    expected = end_of(month, [(n, False) for n in range(FILES)], 0)
    everywhere = [True] * FILES

    @_few
    @example(order=list(range(FILES)), runs=everywhere, seed=0)
    @example(order=list(range(FILES))[::-1], runs=everywhere, seed=1)
    @given(order=st.permutations(range(FILES)), runs=st.lists(st.booleans(), min_size=6, max_size=6), seed=SEEDS)
    def come_to_the_same_end(order: list[int], runs: list[bool], seed: int) -> None:
        assert end_of(month, list(zip(order, runs, strict=True)), seed, verified=True) == expected

    come_to_the_same_end()


@pytest.mark.parametrize("weak_first", [True, False], ids=["row without a name first", "named row first"])
async def test_row_without_a_name_that_a_run_has_taken_is_kept_and_the_named_one_is_shown(
    database_url: str, weak_first: bool
) -> None:
    """What is booked is not taken back by a run: but the books are the same, and one of the two rows is a break."""
    async with world_on(database_url) as world:
        sale = await world.sells(await world.merchant(), 5_000)
        rows = [{"kind": "charge", "gross_minor": 5_000}, charge(sale)]
        for row in rows if weak_first else rows[::-1]:
            await world.reports(row, payout="po_84c1a7")
            await world.run()
        await world.books(10_000, "PAYOUT po_84c1a7")
        result = await world.run()
        assert [(each.kind, each.at_risk_minor) for each in result.found] == [
            ("duplicate_psp_row" if weak_first else "missing_internal_row", 5_000)
        ]
        assert await world.book() == {"cash": 5_000, "suspense": 5_000}
        assert await world.book(sale.merchant_id) == {
            "cash": 5_000,
            "merchant_payable": 4_825,
            "platform_fee_revenue": 175,
        }
    await assert_verified_async(database_url)
