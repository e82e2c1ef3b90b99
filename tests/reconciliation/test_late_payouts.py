"""The payout of a line becomes known after the line was there: by a later file, or since a balance was drawn whole."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from bezant.base import ids
from bezant.reconciliation.breaks.by_hand.lost_payouts import write_off_payout
from tests.reconciliation.breaks.desk import ME, by_hand
from tests.reconciliation.world import NOW, PSP, World, charge, refund, world_on
from tests.support.verification import assert_verified_async


def payout_id(name: str) -> UUID:
    return ids.dated(NOW, "payout", PSP, "", name)


async def test_line_that_was_explained_before_its_payout_was_known_gets_its_share_of_the_deposit(
    database_url: str,
) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        first, second = await world.sells(shop, 5_000), await world.sells(shop, 3_000)
        lines = await world.reports(charge(first, 100, line_reference="a"), charge(second, line_reference="b"))
        await world.reports({"kind": "payout", "gross_minor": 0}, payout="po_84c1a7")
        await world.sql("UPDATE psp_payouts SET amount_minor = 7_900")
        await world.books(7_900, "po_84c1a7")
        await world.run()
        assert (await world.book())["suspense"] == 7_900
        assert await world.status(first) == "captured"

        await world.tells_late("po_84c1a7", lines["a"], lines["b"])
        assert (await world.run()).found == []
        assert (await world.status(first), await world.status(second)) == ("settled", "settled")
        assert ((await world.book(shop))["cash"], await world.book()) == (7_900, {})
    await assert_verified_async(database_url)


async def test_line_whose_payout_was_written_off_before_it_was_known_is_as_lost(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        lines = await world.reports(charge(sale, line_reference="a"))
        await world.reports({"kind": "payout", "gross_minor": 0}, payout="po_84c1a7")
        await world.run()
        await by_hand(world, lambda t: write_off_payout(t, payout_id("po_84c1a7"), ME))
        await world.tells_late("po_84c1a7", lines["a"])
        await world.run()
        assert ((await world.book(shop))["write_off_expense"], await world.status(sale)) == (5_000, "captured")
    await assert_verified_async(database_url)


class Balance:
    """What moves a balance at a PSP whose lines name no payouts, a minute apart."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._minutes = -600

    async def moves(self, *lines: dict[str, Any]) -> None:
        await self.world.reports(*({**line, "occurred_at": self.next_moment()} for line in lines))

    async def draws(self, amount_minor: int, payout: str, **more: Any) -> None:
        line = {"kind": "payout", "gross_minor": -amount_minor, "occurred_at": self.next_moment(), **more}
        await self.world.reports(line, payout=payout)
        await self.world.sql("UPDATE psp_payouts SET amount_minor = $1 WHERE id = $2", amount_minor, payout_id(payout))
        await self.world.books(amount_minor, payout)

    async def carried(self) -> list[str | None]:
        """The payout of each line that is none, oldest first."""
        query = """SELECT y.payout_reference FROM psp_lines AS l LEFT JOIN psp_payouts AS y ON y.id = l.payout_id
            WHERE l.kind <> 'payout' ORDER BY l.occurred_at"""
        return [row[0] for row in await self.world.sql(query)]

    def next_moment(self) -> datetime:
        """The next minute."""
        self._minutes += 1
        return NOW + timedelta(minutes=self._minutes)


async def test_balance_that_is_drawn_whole_says_which_lines_each_payout_carries(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop, balance = await world.merchant(), Balance(world)
        first, second = await world.sells(shop, 5_000), await world.sells(shop, 3_000)
        back = await world.refunds(first, 1_000)
        await balance.moves(charge(first, 100), refund(back))
        await balance.draws(3_900, "W1AAAAAAAAAAAAA")
        await balance.moves(charge(second, 60))
        assert (await world.run(balances=[PSP])).found == []
        assert await balance.carried() == ["W1AAAAAAAAAAAAA", "W1AAAAAAAAAAAAA", None]
        assert (await world.status(first), await world.status(second)) == ("settled", "captured")
        await balance.draws(2_940, "W2BBBBBBBBBBBBB")
        assert (await world.run(balances=[PSP])).found == []
        assert (await world.status(second), await world.book()) == ("settled", {})
        assert (await world.book(shop))["cash"] == 6_840
    await assert_verified_async(database_url)


@pytest.mark.parametrize(
    ("drawn_minor", "more"),
    [(4_000, {}), (6_000, {}), (5_000, {"fee_minor": 1})],
    ids=["a part", "with what was there before", "with a fee"],
)
async def test_balance_that_is_not_drawn_whole_says_nothing_of_lines(
    database_url: str, drawn_minor: int, more: dict[str, int]
) -> None:
    async with world_on(database_url) as world:
        balance = Balance(world)
        sale = await world.sells(await world.merchant(), 5_000)
        await balance.moves(charge(sale))
        await balance.draws(drawn_minor, "W1AAAAAAAAAAAAA", **more)
        await world.run(balances=[PSP])
        assert (await balance.carried(), await world.status(sale)) == ([None], "captured")
        assert (await world.book())["suspense"] == drawn_minor
    await assert_verified_async(database_url)


async def test_report_that_comes_late_completes_the_balance_that_was_drawn(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop, balance = await world.merchant(), Balance(world)
        first, second = await world.sells(shop, 5_000), await world.sells(shop, 3_000)
        await balance.moves(charge(first))
        at = balance.next_moment()
        await balance.draws(8_000, "W1AAAAAAAAAAAAA")
        await world.run(balances=[PSP])
        assert await balance.carried() == [None]
        await world.reports({**charge(second), "occurred_at": at})
        assert (await world.run(balances=[PSP])).found == []
        assert await balance.carried() == ["W1AAAAAAAAAAAAA"] * 2
        assert (await world.status(first), await world.status(second)) == ("settled", "settled")
    await assert_verified_async(database_url)


async def test_payout_that_came_back_to_the_balance_is_drawn_with_the_next_one(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop, balance = await world.merchant(), Balance(world)
        first, second = await world.sells(shop, 5_000), await world.sells(shop, 3_000)
        await balance.moves(charge(first))
        await balance.draws(5_000, "W1AAAAAAAAAAAAA")
        came_back = {"kind": "payout_failed", "gross_minor": 5_000, "occurred_at": balance.next_moment()}
        await world.reports(came_back, payout="W1AAAAAAAAAAAAA")
        await world.sql("UPDATE psp_payouts SET amount_minor = 5_000")
        await balance.moves(charge(second))
        await balance.draws(8_000, "W2BBBBBBBBBBBBB")
        await world.run(balances=[PSP])
        assert await balance.carried() == ["W1AAAAAAAAAAAAA", "W1AAAAAAAAAAAAA", "W2BBBBBBBBBBBBB"]
        assert (await world.status(second), (await world.book())["suspense"]) == ("settled", 5_000)
    await assert_verified_async(database_url)
