"""People find breaks, own them, talk about them and end them; the books follow."""

from functools import partial

import pytest

from bezant.base import ids
from bezant.base.errors import Conflict, InvalidRequest, NotFound, Unprocessable
from bezant.base.money import Money
from bezant.reconciliation.breaks.resolve import match_items, unmatch_item
from bezant.reconciliation.breaks.rules import Resolution
from bezant.reconciliation.breaks.views import BreakFilter
from bezant.reconciliation.breaks.work import Work, assign, comment
from bezant.reconciliation.matching.model import BreakKind
from tests.reconciliation.breaks.desk import (
    ME,
    audited,
    by_hand,
    found_break,
    in_transit,
    matched,
    operations,
    resolved,
    rows,
)
from tests.reconciliation.world import World, charge, world_on
from tests.support.verification import assert_verified_async


async def shown(world: World, **filters: object) -> list[str]:
    page = await Work(world.database).page(BreakFilter(**filters))  # pyright: ignore[reportArgumentType]
    return [each.kind for each in page.data]


async def test_breaks_are_listed_by_what_they_are_and_what_only_waits_is_left_out(database_url: str) -> None:
    async with world_on(database_url) as world:
        lines = await world.reports(*({"kind": "charge", "gross_minor": 700, "line_reference": n} for n in "abc"))
        await found_break(world, BreakKind.TIMING_SKEW, lines["a"])
        missing = await found_break(world, BreakKind.MISSING_INTERNAL_ROW, lines["b"], at_risk_minor=700)
        await found_break(world, BreakKind.DUPLICATE_PSP_ROW, lines["c"], at_risk_minor=900)
        assert sorted(await shown(world)) == ["duplicate_psp_row", "missing_internal_row"]
        assert await shown(world, kind="timing_skew") == ["timing_skew"]
        assert await shown(world, amount_gte=800) == ["duplicate_psp_row"]
        assert await shown(world, psp="stripe") == []
        assert len(await shown(world, psp="simulator", currency="USD", older_than_days=3)) == 2
        assert await shown(world, older_than_days=5) == []
        async with world.database.transaction() as transaction:
            await assign(transaction, missing, "ada", "test")
        assert await shown(world, owner="ada") == ["missing_internal_row"]
        assert await shown(world, status="resolved") == []


async def test_pages_follow_each_other_without_gap(database_url: str) -> None:
    async with world_on(database_url) as world:
        lines = await world.reports(*({"kind": "charge", "gross_minor": n, "line_reference": str(n)} for n in range(5)))
        expected = {await found_break(world, BreakKind.EXCESS, line) for line in lines.values()}
        desk, cursor, found = Work(world.database), None, list[str]()
        while True:
            page = await desk.page(BreakFilter(limit=2, cursor=cursor))
            found += [each.break_id for each in page.data]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert (len(found), set(found)) == (5, expected)


async def test_break_shows_what_it_is_about_who_said_what_and_what_could_explain_it(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale, other = await world.sells(shop, 5_000), await world.sells(shop, 700)
        lines = await world.reports({"kind": "charge", "gross_minor": 5_000, "line_reference": "a", "reference": "?"})
        wanted, unlike = await operations(world, sale, other)
        break_id = await found_break(world, BreakKind.MISSING_INTERNAL_ROW, lines["a"])
        async with world.database.transaction() as transaction:
            await comment(transaction, break_id, "I asked them.", "ada")
            await assign(transaction, break_id, "ada", "grace")
        detail = await Work(world.database).show(break_id)

        assert (detail.at_risk, detail.owner) == (Money(5_000, "USD"), "ada")
        assert [(each.id, each.names, each.is_open) for each in detail.items] == [
            (ids.show("psl", lines["a"]), ["a", "?"], True)
        ]
        assert [each.id for each in detail.candidates] == [ids.show("jrn", wanted)]
        assert unlike != wanted
        assert [(each.author, each.body) for each in detail.comments] == [("ada", "I asked them.")]
        assert await audited(world) == ["comment_on_break", "assign_break"]
        with pytest.raises(NotFound):
            await Work(world.database).show("brk_" + "0" * 32)
    await assert_verified_async(database_url)


async def test_operation_that_was_never_reported_is_written_off_once(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        (operation,) = await operations(world, sale)
        break_id = await found_break(world, BreakKind.MISSING_PSP_ROW, operation)
        detail = await resolved(world, break_id, Resolution.WRITTEN_OFF)
        assert await resolved(world, break_id, Resolution.WRITTEN_OFF) == detail
        assert (detail.status, detail.resolution, detail.resolved_by) == ("resolved", "written_off", "test")
        journal = "SELECT kind FROM ledger_journals WHERE id = $1"
        assert await rows(world, journal, ids.parse("jrn", detail.journal_id or "")) == [("write_off",)]
        book = await world.book(shop)
        assert book["write_off_expense"] == 5_000
        assert "customer_funds_in_transit" not in book
        assert await audited(world) == ["write_off", "resolve_break"]
        with pytest.raises(Conflict, match="written_off"):
            await resolved(world, break_id, Resolution.DISMISSED)
    await assert_verified_async(database_url)


async def test_amount_that_is_reported_otherwise_is_booked_as_reported(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        lines = await world.reports(charge(sale, gross_minor=4_900, fee_minor=100, line_reference="a"))
        (operation,) = await operations(world, sale)
        break_id = await found_break(world, BreakKind.AMOUNT_MISMATCH, lines["a"], operation)
        detail = await resolved(world, break_id, Resolution.ACCEPTED)
        assert detail.journal_id is not None
        book = await world.book(shop)
        assert (book["psp_clearing"], book["psp_fee_expense"], book["write_off_expense"]) == (4_800, 100, 100)
        assert await in_transit(world) == []
        assert await audited(world) == ["accept_report", "resolve_break"]
    await assert_verified_async(database_url)


async def test_currency_that_is_reported_otherwise_is_booked_as_reported(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        lines = await world.reports(charge(sale, gross_minor=4_600, line_reference="a"), currency="EUR")
        (operation,) = await operations(world, sale)
        break_id = await found_break(world, BreakKind.CURRENCY_MISMATCH, lines["a"], operation)
        await resolved(world, break_id, Resolution.ACCEPTED)
        assert (await world.book(shop, "EUR"))["psp_clearing"] == 4_600
        assert (await world.book(shop))["fx_position"] == 5_000
    await assert_verified_async(database_url)


async def test_nothing_is_dismissed_or_accepted_that_hides_money(database_url: str) -> None:
    async with world_on(database_url) as world:
        sale = await world.sells(await world.merchant(), 5_000)
        lines = await world.reports(*({"kind": "charge", "gross_minor": 700, "line_reference": n} for n in "ab"))
        (operation,) = await operations(world, sale)
        missing = await found_break(world, BreakKind.MISSING_PSP_ROW, operation)
        unknown = await found_break(world, BreakKind.MISSING_INTERNAL_ROW, lines["a"])
        waits = await found_break(world, BreakKind.TIMING_SKEW, lines["b"])
        for break_id in (missing, unknown, waits):
            with pytest.raises(Unprocessable, match="at risk"):
                await resolved(world, break_id, Resolution.DISMISSED)
            with pytest.raises(Unprocessable):
                await resolved(world, break_id, Resolution.ACCEPTED)
        with pytest.raises(Unprocessable, match="only waits"):
            await resolved(world, waits, Resolution.WRITTEN_OFF)
        assert await audited(world) == []


async def test_wrong_fee_of_what_is_explained_is_accepted_or_dismissed(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sales = [await world.sells(shop, 5_000) for _ in range(2)]
        lines = await world.reports(*(charge(s, fee_minor=900, line_reference=s.name) for s in sales))
        for sale, resolution in zip(sales, (Resolution.ACCEPTED, Resolution.DISMISSED), strict=True):
            line = lines[sale.name]
            await matched(world, await operations(world, sale), [line])
            break_id = await found_break(world, BreakKind.FEE_MISMATCH, line, at_risk_minor=0)
            assert (await resolved(world, break_id, resolution)).resolution == resolution
    await assert_verified_async(database_url)


async def test_match_by_hand_ends_the_breaks_of_what_it_explains_until_it_is_taken_back(database_url: str) -> None:
    async with world_on(database_url) as world:
        sale = await world.sells(await world.merchant(), 5_000)
        lines = await world.reports({"kind": "charge", "gross_minor": 5_000, "line_reference": "a"})
        own = [ids.show("jrn", each) for each in await operations(world, sale)]
        break_id = await found_break(world, BreakKind.MISSING_INTERNAL_ROW, lines["a"])
        theirs = [ids.show("psl", lines["a"])]
        with pytest.raises(InvalidRequest):
            await by_hand(world, lambda t: match_items(t, theirs, own, ME, write_off=False))
        made = await by_hand(world, lambda t: match_items(t, own, theirs, ME, write_off=False))
        assert (await Work(world.database).show(break_id)).resolution == "matched"

        await by_hand(world, partial(unmatch_item, item_id=made.match_id, by=ME))
        detail = await Work(world.database).show(break_id)
        assert (detail.status, detail.resolution, detail.resolved_by) == ("open", None, None)
    await assert_verified_async(database_url)


async def test_write_off_that_is_taken_back_opens_its_break_again(database_url: str) -> None:
    async with world_on(database_url) as world:
        came = await world.books(700, "who knows")
        break_id = await found_break(world, BreakKind.UNMATCHED_DEPOSIT, came)
        assert (await resolved(world, break_id, Resolution.WRITTEN_OFF)).status == "resolved"
        await by_hand(world, partial(unmatch_item, item_id=came, by=ME))
        detail = await Work(world.database).show(break_id)
        assert (detail.status, detail.journal_id) == ("open", None)
        assert await world.book() == {}
    await assert_verified_async(database_url)
