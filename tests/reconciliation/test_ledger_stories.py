"""Stories of money, told as the ledger holds them: each ends with nothing in transit, or says what is and why."""

import asyncio

import pytest

from bezant.base import ids
from bezant.base.errors import Busy
from tests.reconciliation.world import NOW, PSP, charge, refund, world_on
from tests.support.verification import assert_verified_async


async def test_worked_example_ends_with_nothing_in_transit(database_url: str) -> None:
    """Capture 10,000 (fee 320), refund 3,000, report (PSP fee 200), deposit 6,800."""
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 10_000)
        back = await world.refunds(sale, 3_000)
        assert await world.book(shop) == {
            "customer_funds_in_transit": 7_000,
            "merchant_payable": 6_680,
            "platform_fee_revenue": 320,
        }

        await world.reports(charge(sale, fee_minor=200), refund(back), payout="po_84c1a7")
        await world.run()
        assert await world.book(shop) == {
            "psp_clearing": 6_800,
            "psp_fee_expense": 200,
            "merchant_payable": 6_680,
            "platform_fee_revenue": 320,
        }
        assert await world.status(sale) == "captured"

        await world.books(6_800, "SIMULATOR PAYOUT po_84c1a7")
        result = await world.run()
        assert await world.book(shop) == {
            "cash": 6_800,
            "psp_fee_expense": 200,
            "merchant_payable": 6_680,
            "platform_fee_revenue": 320,
        }
        assert await world.book() == {}
        assert await world.status(sale) == "settled"
        assert result.found == []
    await assert_verified_async(database_url)


async def test_deposit_that_comes_before_its_report_waits_in_suspense(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        await world.reports(payout="po_84c1a7")
        await world.books(4_850, "po_84c1a7")
        await world.run()
        assert await world.book() == {"cash": 4_850, "suspense": 4_850}

        await world.reports(charge(sale, fee_minor=150), payout="po_84c1a7")
        await world.run()
        assert await world.book() == {}
        assert (await world.book(shop))["cash"] == 4_850
        assert await world.status(sale) == "settled"
    await assert_verified_async(database_url)


async def test_fees_of_the_account_are_the_operators(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        monthly = {"kind": "fee", "gross_minor": 0, "fee_minor": 900}
        await world.reports(charge(sale, fee_minor=100), monthly, payout="po_84c1a7")
        await world.books(4_000, "po_84c1a7")
        await world.books(-250, "account fee", kind="fee")
        await world.run()
        assert await world.book() == {"cash": -1_150, "psp_fee_expense": 900, "bank_fee_expense": 250}
        assert (await world.book(shop))["cash"] == 4_900
    await assert_verified_async(database_url)


async def test_refund_that_fails_after_its_report_is_clear_once_the_reversal_is_reported(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        back = await world.refunds(sale, 2_000)
        await world.reports(charge(sale), refund(back), payout="po_84c1a7")
        await world.books(3_000, "po_84c1a7")
        await world.run()
        assert await world.status(sale) == "settled"

        await world.comes_back(back)
        found = (await world.run()).found
        assert [each.kind for each in found] == ["missing_psp_row"]
        assert (await world.book(shop))["customer_funds_in_transit"] == 2_000

        again = {**refund(back), "kind": "refund_failed", "gross_minor": 2_000}
        await world.reports(again, payout="po_9d20f3")
        await world.books(2_000, "po_9d20f3")
        assert (await world.run()).found == []
        assert "customer_funds_in_transit" not in await world.book(shop)
        assert (await world.book(shop))["cash"] == 5_000
    await assert_verified_async(database_url)


async def test_refund_that_failed_before_any_report_explains_itself(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        await world.comes_back(await world.refunds(sale, 2_000))
        await world.reports(charge(sale), payout="po_84c1a7")
        await world.books(5_000, "po_84c1a7")
        assert (await world.run()).found == []
        assert await world.status(sale) == "settled"
    await assert_verified_async(database_url)


async def test_payout_below_zero_is_debited_at_the_bank(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        await world.reports(charge(sale), payout="po_84c1a7")
        await world.books(5_000, "po_84c1a7")
        await world.run()
        await world.reports(refund(await world.refunds(sale, 3_000)), payout="po_9d20f3")
        await world.books(-3_000, "po_9d20f3")
        assert (await world.run()).found == []
        assert (await world.book(shop))["cash"] == 2_000
        assert await world.book() == {}
    await assert_verified_async(database_url)


async def test_capture_in_euros_that_is_settled_in_dollars_goes_through_the_fx_position(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 10_000, "EUR")
        line = charge(sale, fee_minor=300, gross_minor=10_750, presented_minor=10_000, presented_currency="EUR")
        await world.reports(line, payout="po_84c1a7")
        await world.books(10_450, "po_84c1a7")
        assert (await world.run()).found == []
        euros, dollars = await world.book(shop, "EUR"), await world.book(shop, "USD")
        assert euros == {"fx_position": 10_000, "merchant_payable": 9_680, "platform_fee_revenue": 320}
        assert dollars == {"fx_position": -10_750, "psp_fee_expense": 300, "cash": 10_450}
        assert await world.status(sale) == "settled"
    await assert_verified_async(database_url)


async def test_report_of_an_operation_that_is_unresolved_here_resolves_it_first(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000, told=False)
        assert await world.status(sale) == "pending"
        await world.reports(charge(sale, fee_minor=175), payout="po_84c1a7")
        await world.books(4_825, "po_84c1a7")
        result = await world.run()
        assert (result.evidence, result.found) == (1, [])
        assert await world.status(sale) == "settled"
        assert (await world.book(shop))["cash"] == 4_825
    await assert_verified_async(database_url)


async def test_refund_made_in_the_dashboard_whose_webhook_was_lost_is_booked_from_the_report(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        unknown = {"kind": "refund", "gross_minor": -1_000, "psp_reference": sale.name, "operation_reference": "re_x"}
        await world.reports(charge(sale), unknown, payout="po_84c1a7")
        await world.books(4_000, "po_84c1a7")
        assert (await world.run()).found == []
        assert (await world.book(shop))["cash"] == 4_000
        assert "customer_funds_in_transit" not in await world.book(shop)
    await assert_verified_async(database_url)


async def test_deposit_over_two_merchants_is_shared_by_their_lines(database_url: str) -> None:
    async with world_on(database_url) as world:
        one, two = await world.merchant("One"), await world.merchant("Two")
        first, second = await world.sells(one, 5_000), await world.sells(two, 3_000)
        await world.reports(charge(first, fee_minor=100), charge(second, fee_minor=50), payout="po_84c1a7")
        await world.books(7_850, "po_84c1a7")
        await world.run()
        assert ((await world.book(one))["cash"], (await world.book(two))["cash"]) == (4_900, 2_950)
        assert await world.book() == {}
    await assert_verified_async(database_url)


async def test_row_that_nobody_knows_stays_in_suspense_and_is_a_break(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        stranger = {"kind": "charge", "gross_minor": 700, "psp_reference": "ch_stranger"}
        await world.reports(charge(sale), stranger, payout="po_84c1a7")
        await world.books(5_700, "po_84c1a7")
        found = (await world.run()).found
        assert [(each.kind, each.at_risk_minor) for each in found] == [("missing_internal_row", 700)]
        assert await world.book() == {"cash": 700, "suspense": 700}
        assert await world.status(sale) == "settled"
    await assert_verified_async(database_url)


async def test_row_that_comes_again_under_another_name_is_a_duplicate(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        await world.reports(charge(sale), payout="po_84c1a7")
        await world.run()
        lines = await world.reports(charge(sale), payout="po_9d20f3")
        found = (await world.run()).found
        assert [(each.kind, each.subjects[0]) for each in found if each.kind == "duplicate_psp_row"] == [
            ("duplicate_psp_row", next(iter(lines.values())))
        ]
        assert (await world.book(shop))["psp_clearing"] == 5_000
    await assert_verified_async(database_url)


async def test_money_at_the_bank_that_no_report_explains_is_suspense_until_one_does(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        await world.books(5_000, "something")
        found = (await world.run()).found
        assert "unmatched_deposit" in [each.kind for each in found]
        assert await world.book() == {"cash": 5_000, "suspense": 5_000}
        await world.reports(charge(sale), payout="po_84c1a7")
        assert (await world.run()).found == []
        assert await world.book() == {}
        assert await world.status(sale) == "settled"
    await assert_verified_async(database_url)


@pytest.mark.parametrize("runs", [1, 3])
async def test_running_again_changes_nothing(database_url: str, runs: int) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        await world.reports(charge(sale, fee_minor=100), payout="po_84c1a7")
        await world.books(4_900, "po_84c1a7")
        for _ in range(runs):
            await world.run()
        assert (await world.book(shop))["cash"] == 4_900
    await assert_verified_async(database_url)


async def test_second_run_at_the_same_time_is_refused(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        await world.reports(charge(sale, fee_minor=100), payout="po_84c1a7")
        await world.books(4_900, "po_84c1a7")
        results = await asyncio.gather(*(world.run() for _ in range(3)), return_exceptions=True)
        assert sum(isinstance(result, Busy) for result in results) == 2
        assert (await world.book(shop))["cash"] == 4_900
    await assert_verified_async(database_url)


async def test_second_deposit_of_a_payout_that_came_is_an_excess_that_names_it(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        await world.reports(charge(sale), payout="po_84c1a7")
        await world.books(5_000, "payout po_84c1a7")
        assert (await world.run()).found == []
        other = await world.sells(shop, 5_000)
        again = await world.books(5_000, "PAYOUT PO 84C1A7 again")
        await world.reports(charge(other), payout="po_9d20f3")
        excess, waits = (await world.run()).found
        assert (excess.kind, excess.currency, excess.at_risk_minor) == ("excess", "USD", 5_000)
        assert excess.subjects == (again, ids.dated(NOW, "payout", PSP, "", "po_84c1a7"))
        assert (waits.kind, await world.status(other)) == ("missing_deposit", "captured"), (
            "not taken for another payout"
        )
        assert (await world.book())["suspense"] == 5_000


async def test_payout_whose_lines_come_after_its_deposit_and_do_not_add_up_is_a_break(database_url: str) -> None:
    is_told = "UPDATE psp_payouts SET amount_minor = 5010"
    async with world_on(database_url) as world:
        await world.reports(payout="po_84c1a7")
        await world.sql(is_told)
        await world.books(5_010, "po_84c1a7")
        assert (await world.run()).found == []
        sale = await world.sells(await world.merchant(), 5_000)
        await world.reports(charge(sale), payout="po_84c1a7", paid=False)
        await world.sql(is_told)
        assert [(each.kind, each.at_risk_minor) for each in (await world.run()).found] == [("payout_mismatch", 10)]
        assert await world.book() == {"cash": 10, "suspense": 10}
    await assert_verified_async(database_url)
