"""What people put together and take apart, told as the ledger holds it."""

import pytest

from bezant.base import ids
from bezant.base.errors import Busy, Conflict, NotFound, Unprocessable
from bezant.reconciliation.breaks.by_hand.match import match_deposits
from bezant.reconciliation.lease import Lease
from tests.reconciliation.breaks.desk import (
    ME,
    audited,
    by_hand,
    in_transit,
    matched,
    operations,
    rows,
    unmatched,
    written_off,
)
from tests.reconciliation.world import NOW, charge, refund, world_on
from tests.support.verification import assert_verified_async


async def test_match_by_hand_posts_as_a_run_would(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        lines = await world.reports({"kind": "charge", "gross_minor": 5_000, "fee_minor": 100, "line_reference": "a"})
        made = await matched(world, await operations(world, sale), [lines["a"]])

        assert (made.match_id, made.merchant_id, made.written_off_minor) == (lines["a"], shop, 0)
        book = await world.book(shop)
        assert (book["psp_clearing"], book["psp_fee_expense"]) == (4_900, 100)
        assert "customer_funds_in_transit" not in book
        assert await in_transit(world) == []
        assert await audited(world) == ["match_by_hand"]
    await assert_verified_async(database_url)


async def test_sums_that_do_not_agree_are_refused_unless_the_rest_is_written_off(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        lines = await world.reports({"kind": "charge", "gross_minor": 4_990, "line_reference": "a"})
        own = await operations(world, sale)
        with pytest.raises(Unprocessable, match="10 minor units of USD more"):
            await matched(world, own, [lines["a"]])
        assert await in_transit(world) == [5_000]

        made = await matched(world, own, [lines["a"]], write_off=True)
        assert made.written_off_minor == 10
        assert await rows(world, "SELECT kind FROM ledger_journals WHERE id = $1", made.journal_id) == [("write_off",)]
        book = await world.book(shop)
        assert (book["psp_clearing"], book["write_off_expense"]) == (4_990, 10)
        assert "customer_funds_in_transit" not in book
    await assert_verified_async(database_url)


async def test_several_lines_may_report_several_operations_of_one_payment(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        back = await world.refunds(sale, 1_000)
        lines = await world.reports(
            {"kind": "charge", "gross_minor": 3_000, "line_reference": "a"},
            {"kind": "charge", "gross_minor": 1_000, "line_reference": "b"},
        )
        await matched(world, await operations(world, sale, back), list(lines.values()))
        book = await world.book(shop)
        assert book["psp_clearing"] == 4_000
        assert "customer_funds_in_transit" not in book
    await assert_verified_async(database_url)


async def test_what_cannot_be_of_each_other_is_refused(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        first, second = await world.sells(shop, 5_000), await world.sells(shop, 2_000)
        lines = await world.reports(charge(first, line_reference="a"), charge(second, line_reference="b"))
        euros = await world.reports({"kind": "charge", "gross_minor": 7, "line_reference": "c"}, currency="EUR")
        of_first, of_second = await operations(world, first, second)
        with pytest.raises(Unprocessable, match="one payment"):
            await matched(world, [of_first, of_second], list(lines.values()))
        with pytest.raises(Unprocessable, match="does not say what it is in USD"):
            await matched(world, [of_first], [lines["a"], euros["c"]])
        with pytest.raises(NotFound):
            await matched(world, [of_first], [ids.new_id()])
        await matched(world, [of_first], [lines["a"]])
        with pytest.raises(Conflict, match="explained already"):
            await matched(world, [of_first], [lines["a"]])
    await assert_verified_async(database_url)


async def test_capture_reported_in_another_currency_goes_through_the_position(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        line = {"kind": "charge", "gross_minor": 4_600, "fee_minor": 60, "line_reference": "a"}
        lines = await world.reports(line, currency="EUR")
        made = await matched(world, await operations(world, sale), [lines["a"]])
        assert "customer_funds_in_transit" not in await world.book(shop)
        assert (await world.book(shop, "EUR"))["psp_clearing"] == 4_540

        await unmatched(world, made.match_id)
        assert await world.book(shop, "EUR") == {}
        assert (await world.book(shop))["customer_funds_in_transit"] == 5_000
    await assert_verified_async(database_url)


async def test_nobody_decides_while_a_run_is_under_way(database_url: str) -> None:
    async with world_on(database_url) as world:
        sale = await world.sells(await world.merchant(), 5_000)
        lines = await world.reports(charge(sale, line_reference="a"))
        own = await operations(world, sale)
        async with Lease(world.database).held():
            with pytest.raises(Busy):
                await matched(world, own, [lines["a"]])
        assert await in_transit(world) == [5_000]


async def test_match_that_is_taken_back_leaves_the_books_as_they_were_and_can_be_made_anew(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        before = await world.book(shop)
        lines = await world.reports(charge(sale, fee_minor=100, gross_minor=4_990, line_reference="a"))
        own = await operations(world, sale)
        for _ in range(2):
            made = await matched(world, own, [lines["a"]], write_off=True)
            undone = await unmatched(world, made.match_id)
            assert set(undone.items) == {*own, lines["a"]}
            assert await world.book(shop) == before
            assert await in_transit(world) == [5_000]
        made = await matched(world, own, [lines["a"]], write_off=True)
        assert (await world.book(shop))["psp_clearing"] == 4_890
        kinds = "SELECT count(*) FROM ledger_journals WHERE kind IN ('psp_settlement', 'write_off')"
        assert await rows(world, kinds) == [(6,)]
    await assert_verified_async(database_url)


async def test_what_explains_itself_cannot_be_taken_apart(database_url: str) -> None:
    async with world_on(database_url) as world:
        with pytest.raises(NotFound):
            await unmatched(world, ids.new_id())


async def test_operation_that_is_never_reported_is_written_off_and_that_can_be_taken_back(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        back = await world.refunds(sale, 1_000)
        captured, refunded = await operations(world, sale, back)
        before = await world.book(shop)
        await written_off(world, captured)
        book = await world.book(shop)
        assert (book["customer_funds_in_transit"], book["write_off_expense"]) == (-1_000, 5_000)
        await written_off(world, refunded)
        book = await world.book(shop)
        assert book["write_off_expense"] == 4_000
        assert "customer_funds_in_transit" not in book
        with pytest.raises(Conflict):
            await written_off(world, captured)
        assert await world.status(sale) == "captured"

        for operation in (captured, refunded):
            await unmatched(world, operation)
        assert await world.book(shop) == before
        assert await in_transit(world) == [-1_000, 5_000]
        await written_off(world, captured)
        assert await audited(world) == ["write_off", "write_off", "unmatch_by_hand", "unmatch_by_hand", "write_off"]
    await assert_verified_async(database_url)


async def test_line_that_is_nobodys_is_written_off_in_the_operators_book(database_url: str) -> None:
    async with world_on(database_url) as world:
        line = {"kind": "adjustment", "gross_minor": 700, "fee_minor": 20, "line_reference": "a"}
        lines = await world.reports(line)
        await written_off(world, lines["a"])
        assert await world.book() == {"psp_clearing": 680, "write_off_expense": -680}

        await unmatched(world, lines["a"])
        assert await world.book() == {}
        await written_off(world, lines["a"])
        assert await world.book() == {"psp_clearing": 680, "write_off_expense": -680}
    await assert_verified_async(database_url)


async def test_money_at_the_bank_that_is_nobodys_is_written_off(database_url: str) -> None:
    async with world_on(database_url) as world:
        came, went = await world.books(700, "who knows"), await world.books(-30, "who knows")
        await written_off(world, came)
        await written_off(world, went)
        assert await world.book() == {"cash": 670, "write_off_expense": -670}

        await unmatched(world, came)
        assert await world.book() == {"cash": -30, "write_off_expense": 30}
    await assert_verified_async(database_url)


async def test_refund_line_and_its_charge_are_matched_each_with_its_own(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        back = await world.refunds(sale, 1_000)
        lines = await world.reports(charge(sale, line_reference="a"), refund(back, line_reference="b"))
        captured, refunded = await operations(world, sale, back)
        await matched(world, [refunded], [lines["b"]])
        await matched(world, [captured], [lines["a"]])
        book = await world.book(shop)
        assert book["psp_clearing"] == 4_000
        assert "customer_funds_in_transit" not in book
    await assert_verified_async(database_url)


async def test_deposit_is_taken_apart_with_its_shares_and_put_together_by_hand(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop, other = await world.merchant(), await world.merchant()
        first, second = await world.sells(shop, 5_000), await world.sells(other, 3_000)
        fee = {"kind": "fee", "gross_minor": 0, "fee_minor": 90}
        await world.reports(charge(first, 100), charge(second), fee, payout="po_84c1a7")
        came = await world.books(7_810, "po_84c1a7")
        payout = ids.dated(NOW, "payout", "simulator", "", "po_84c1a7")
        await world.run()
        books = [await world.book(each) for each in (shop, other, ids.OPERATOR_MERCHANT)]
        assert await world.status(first) == await world.status(second) == "settled"

        for _ in range(2):
            await unmatched(world, came)
            assert (await world.book(shop))["psp_clearing"] == 4_900
            assert await world.book() == {"psp_clearing": -90, "psp_fee_expense": 90}
            assert await world.status(first) == "captured"
            result = await world.run()
            assert sorted(each.kind for each in result.found) == ["missing_deposit", "unmatched_deposit"]
            assert (await world.book())["suspense"] == 7_810
            await by_hand(world, lambda t: match_deposits(t, [payout], [came], ME))
            assert (await world.run()).found == []
            assert [await world.book(each) for each in (shop, other, ids.OPERATOR_MERCHANT)] == books
            assert await world.status(first) == await world.status(second) == "settled"
    await assert_verified_async(database_url)


async def test_what_a_bank_has_kept_of_a_payout_is_written_off_if_wanted(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        await world.reports(charge(sale), payout="po_84c1a7")
        came = await world.books(4_980, "something else")
        payout = ids.dated(NOW, "payout", "simulator", "", "po_84c1a7")
        with pytest.raises(Unprocessable, match="20 minor units of USD more"):
            await by_hand(world, lambda t: match_deposits(t, [payout], [came], ME))
        await by_hand(world, lambda t: match_deposits(t, [payout], [came], ME, write_off=True))
        await world.run()
        assert await world.book() == {"cash": -20, "write_off_expense": 20}
        assert (await world.book(shop))["cash"] == 5_000
        assert await world.status(sale) == "settled"
        await assert_verified_async(database_url)

        await unmatched(world, payout)
        assert await world.book() == {}
        assert await world.status(sale) == "captured"
    await assert_verified_async(database_url)


async def test_line_of_a_deposit_is_taken_apart_with_its_share_and_no_run_explains_it_again(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        first, second = await world.sells(shop, 5_000), await world.sells(shop, 3_000)
        lines = await world.reports(charge(first, 100, line_reference="a"), charge(second), payout="po_84c1a7")
        await world.books(7_900, "po_84c1a7")
        await world.run()
        book = await world.book(shop)

        await unmatched(world, lines["a"])
        assert await world.book() == {"cash": 4_900, "suspense": 4_900}
        assert (await world.book(shop))["customer_funds_in_transit"] == 5_000
        assert (await world.status(first), await world.status(second)) == ("captured", "settled")
        assert {each.kind for each in (await world.run()).found} == {"missing_internal_row", "missing_psp_row"}
        assert await in_transit(world) == [5_000]

        await matched(world, await operations(world, first), [lines["a"]])
        assert (await world.book(shop), await world.book()) == (book, {})
        assert await world.status(first) == "settled"
    await assert_verified_async(database_url)


async def test_rest_of_a_deposit_is_written_off_once_its_lines_are_explained(database_url: str) -> None:
    async with world_on(database_url) as world:
        sale = await world.sells(await world.merchant(), 5_000)
        extra = {"kind": "adjustment", "gross_minor": 7, "line_reference": "a"}
        lines = await world.reports(charge(sale), extra, payout="po_84c1a7")
        payout = ids.dated(NOW, "payout", "simulator", "", "po_84c1a7")
        with pytest.raises(Unprocessable, match="did not come"):
            await written_off(world, payout)
        async with world.database.transaction() as transaction:
            await transaction.connection.execute("UPDATE psp_payouts SET amount_minor = 5_010")
        await world.books(5_010, "po_84c1a7")
        await world.run()
        assert (await world.book())["suspense"] == 10
        with pytest.raises(Unprocessable, match="begin with those"):
            await written_off(world, payout)
        await written_off(world, lines["a"])
        await written_off(world, payout)
        assert await world.book() == {"cash": 10, "write_off_expense": -10}
        with pytest.raises(Conflict, match="written off already"):
            await written_off(world, payout)
    await assert_verified_async(database_url)
