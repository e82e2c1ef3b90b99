"""Payouts that never came: given up, or found to have come with another one."""

from uuid import UUID

import pytest

from bezant.base import ids
from bezant.base.errors import Conflict, NotFound, Unprocessable
from bezant.reconciliation.breaks.by_hand import lost_payouts
from bezant.reconciliation.breaks.by_hand.lost_payouts import match_sent_again, write_off_payout
from bezant.reconciliation.breaks.by_hand.match import match_deposits
from bezant.reconciliation.breaks.keep import keep
from bezant.reconciliation.breaks.resolve import match_items
from bezant.reconciliation.breaks.rules import Resolution
from bezant.reconciliation.matching.model import BreakKind
from tests.reconciliation.breaks.desk import (
    ME,
    audited,
    by_hand,
    found_break,
    matched,
    operations,
    resolved,
    rows,
    unmatched,
    written_off,
)
from tests.reconciliation.world import NOW, World, charge, refund, world_on
from tests.support.verification import assert_verified_async

LOST = "po_84c1a7"


def payout_id(name: str = LOST) -> UUID:
    return ids.dated(NOW, "payout", "simulator", "", name)


async def shown_break(world: World, kind: BreakKind) -> str:
    """The break of this kind that the next run finds."""
    await keep(world.database, (await world.run()).found)
    ((break_id,),) = await rows(world, "SELECT id FROM breaks WHERE kind = $1", kind.value)
    return ids.show(ids.BREAK, break_id)


async def test_payout_that_never_comes_is_written_off_in_the_books_of_its_lines(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop, other = await world.merchant(), await world.merchant()
        first, second = await world.sells(shop, 5_000), await world.sells(other, 3_000)
        back = await world.refunds(first, 1_000)
        fee = {"kind": "fee", "gross_minor": 0, "fee_minor": 90}
        await world.reports(charge(first, 100), refund(back), charge(second), fee, payout=LOST)
        break_id = await shown_break(world, BreakKind.MISSING_DEPOSIT)

        ended = await resolved(world, break_id, Resolution.WRITTEN_OFF)
        assert (ended.status, ended.resolution, ended.resolved_by) == ("resolved", "written_off", "test")
        kinds = "SELECT kind FROM ledger_journals WHERE 'jrn_' || replace(id::text, '-', '') = $1"
        assert await rows(world, kinds, ended.journal_id) == [("write_off",)]
        book = await world.book(shop)
        assert (book["write_off_expense"], book["psp_fee_expense"]) == (3_900, 100)
        assert (await world.book(other))["write_off_expense"] == 3_000
        assert await world.book() == {"psp_fee_expense": 90, "write_off_expense": -90}
        assert "psp_clearing" not in book | await world.book(other)
        assert (await world.status(first), await world.status(second)) == ("captured", "captured")
        assert (await world.run()).found == []
        assert await audited(world) == ["write_off", "resolve_break"]
    await assert_verified_async(database_url)


async def test_payout_that_comes_after_it_was_written_off_is_explained_once_that_is_taken_back(
    database_url: str,
) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        await world.reports(charge(sale, 100), payout=LOST)
        break_id = await shown_break(world, BreakKind.MISSING_DEPOSIT)
        reported = await world.book(shop)
        for _ in range(2):
            await by_hand(world, lambda t: write_off_payout(t, payout_id(), ME))
            with pytest.raises(Conflict, match="explained already"):
                await by_hand(world, lambda t: write_off_payout(t, payout_id(), ME))
            assert (await world.book(shop))["write_off_expense"] == 4_900
            await assert_verified_async(database_url)
            await unmatched(world, payout_id())
            assert await world.book(shop) == reported
            await assert_verified_async(database_url)

        await resolved(world, break_id, Resolution.WRITTEN_OFF)
        came = await world.books(4_900, f"SCT {LOST.upper()}")
        (late,) = (await world.run()).found
        assert (late.kind, late.subjects) == ("excess", (came, payout_id()))
        assert late.detail == "the payout that it names was written off: take that back, then match the two"
        with pytest.raises(Conflict, match="take that match back first"):
            await by_hand(world, lambda t: match_deposits(t, [payout_id()], [came], ME))
        await unmatched(world, payout_id())
        await by_hand(world, lambda t: match_deposits(t, [payout_id()], [came], ME))
        assert (await world.run()).found == []
        assert (await world.book(shop))["cash"] == 4_900
        assert (await world.status(sale), await world.book()) == ("settled", {})
    await assert_verified_async(database_url)


async def test_line_that_is_explained_after_its_payout_was_written_off_is_as_lost(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        first, second = await world.sells(shop, 5_000), await world.sells(shop, 3_000)
        extra = {"kind": "adjustment", "gross_minor": 7, "line_reference": "b"}
        unnamed = {"kind": "charge", "gross_minor": 2_990, "line_reference": "a"}
        lines = await world.reports(charge(first), unnamed, extra, payout=LOST)
        await world.run()
        await by_hand(world, lambda t: write_off_payout(t, payout_id(), ME))
        assert (await world.book(shop))["write_off_expense"] == 5_000
        await assert_verified_async(database_url)

        await matched(world, await operations(world, second), [lines["a"]], write_off=True)
        book = await world.book(shop)
        assert (book["write_off_expense"], await world.status(second)) == (8_000, "captured")
        await written_off(world, lines["b"])
        assert await world.book() == {}, "what was nobody's has not come either"
        await assert_verified_async(database_url)

        await unmatched(world, lines["a"])
        assert (await world.book(shop))["write_off_expense"] == 5_000
        await assert_verified_async(database_url)
        await unmatched(world, payout_id())
        assert "write_off_expense" not in await world.book(shop)
    await assert_verified_async(database_url)


async def test_a_payout_of_very_many_lines_is_shared_out_as_lost_by_the_next_run(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_payouts, "_AT_ONCE", 1)
    monkeypatch.setattr(lost_payouts, "LINES_OF_PAYOUT_MAX", 2)
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sales = [await world.sells(shop, 1_000) for _ in range(4)]
        await world.reports(*(charge(sale) for sale in sales), payout=LOST)
        await world.run()
        await by_hand(world, lambda t: write_off_payout(t, payout_id(), ME))
        assert (await world.book(shop))["write_off_expense"] == 2_000
        await assert_verified_async(database_url)
        await world.run()
        assert (await world.book(shop))["write_off_expense"] == 4_000
        assert [await world.status(sale) for sale in sales] == ["captured"] * 4
    await assert_verified_async(database_url)


async def test_what_is_only_a_part_of_a_payout_does_not_give_up_all_of_it(database_url: str) -> None:
    async with world_on(database_url) as world:
        sale = await world.sells(await world.merchant(), 5_000)
        await world.reports(charge(sale), payout=LOST)
        await world.sql("UPDATE psp_payouts SET amount_minor = 5_010")
        part = await found_break(world, BreakKind.PAYOUT_MISMATCH, payout_id(), at_risk_minor=10)
        with pytest.raises(Unprocessable, match="did not come"):
            await resolved(world, part, Resolution.WRITTEN_OFF)
        await world.run()
        await by_hand(world, lambda t: write_off_payout(t, payout_id(), ME))
        with pytest.raises(Unprocessable, match="written off as a whole"):
            await resolved(world, part, Resolution.WRITTEN_OFF)
        assert (await resolved(world, part, Resolution.DISMISSED)).status == "resolved"
        with pytest.raises(NotFound):
            await by_hand(world, lambda t: write_off_payout(t, ids.new_id(), ME))
    await assert_verified_async(database_url)


async def test_payout_that_failed_is_explained_by_the_one_with_which_it_was_sent_again(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        first, second = await world.sells(shop, 5_000), await world.sells(shop, 3_000)
        await world.reports(charge(first, 100), payout=LOST)
        came_back = {"kind": "payout_failed", "gross_minor": 4_900}
        await world.reports(charge(second), came_back, payout="po_9d20f3")
        came = await world.books(7_900, "po_9d20f3")
        found = (await world.run()).found
        assert [each.kind for each in found] == ["missing_deposit", "payout_mismatch"]
        await keep(world.database, found)
        assert await rows(world, "SELECT count(*) FROM open_lines") == [(0,)]
        assert await world.book() == {"cash": 4_900, "suspense": 4_900}
        assert (await world.status(first), await world.status(second)) == ("captured", "settled")

        ours, theirs = ([ids.show(ids.PAYOUT_AT_PSP, payout_id(name))] for name in (LOST, "po_9d20f3"))
        made = await by_hand(world, lambda t: match_items(t, ours, theirs, ME, write_off=False))
        ended = await rows(world, "SELECT kind, resolution FROM breaks WHERE item_id = $1", payout_id())
        assert ended == [("missing_deposit", "matched")]
        assert (made.items, made.written_off_minor) == ((payout_id(),), 0)
        assert (await world.run()).found == []
        assert (await world.book(shop))["cash"] == 7_900
        assert (await world.status(first), await world.book()) == ("settled", {})
        await assert_verified_async(database_url)

        with pytest.raises(Conflict, match="sent again with it"):
            await unmatched(world, came)
        await unmatched(world, payout_id())
        assert (await world.status(first), await world.book()) == ("captured", {"cash": 4_900, "suspense": 4_900})
    await assert_verified_async(database_url)


async def test_payout_of_which_only_its_failure_is_reported_is_not_awaited(database_url: str) -> None:
    async with world_on(database_url) as world:
        await world.reports({"kind": "payout_failed", "gross_minor": 4_000}, payout=LOST, paid=False)
        assert (await world.run()).found == []
        assert await rows(world, "SELECT count(*) FROM open_lines") == [(0,)]
    await assert_verified_async(database_url)


async def test_no_more_can_have_come_with_a_payout_than_its_lines_leave(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        first, second = await world.sells(shop, 5_000), await world.sells(shop, 3_000)
        await world.reports(charge(first), payout=LOST)
        await world.reports(charge(second), {"kind": "payout_failed", "gross_minor": 4_000}, payout="po_9d20f3")
        again = [payout_id()], payout_id("po_9d20f3")
        with pytest.raises(Unprocessable, match="not at the bank"):
            await by_hand(world, lambda t: match_sent_again(t, *again, ME))
        await world.books(7_000, "po_9d20f3")
        await world.run()
        with pytest.raises(Unprocessable, match="4000 minor units of USD came with it, not 5000"):
            await by_hand(world, lambda t: match_sent_again(t, *again, ME))
        await written_off(world, payout_id("po_9d20f3"))
        with pytest.raises(Conflict, match="written off already"):
            await by_hand(world, lambda t: match_sent_again(t, *again, ME))
    await assert_verified_async(database_url)
