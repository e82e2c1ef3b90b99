"""Disputes that PSPs report and banks book: told as the ledger holds them, to the last cent in transit."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest_asyncio

from bezant.psp.notices import DisputeNotice
from tests.disputes.world import DisputeWorld, dispute_world, told
from tests.disputes.world import Sale as Told
from tests.reconciliation.world import Sale, World, charge, refund
from tests.support.verification import assert_verified_async

IN_TRANSIT = {"customer_funds_in_transit", "psp_clearing", "disputed_funds_at_psp", "payouts_in_transit", "suspense"}


@pytest_asyncio.fixture
async def bank(database_url: str) -> AsyncIterator[DisputeWorld]:
    async with dispute_world(database_url) as world:
        yield world
    await assert_verified_async(database_url)


@pytest_asyncio.fixture
async def world(bank: DisputeWorld) -> World:
    """The sales, reports and statements; disputes in reports are heard like those of webhooks."""
    world = World(bank.database)
    world.handlers = {**world.handlers, DisputeNotice: bank.disputes.handler}
    return world


async def test_worked_example_dispute_that_is_reported_debited_and_lost_leaves_nothing_in_transit(
    world: World, bank: DisputeWorld
) -> None:
    """Capture 10,000, refund 3,000, reported and deposited; then a dispute of 7,000 with a fee of 1,500."""
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    back = await world.refunds(sale, 3_000)
    await world.reports(charge(sale, fee_minor=200), refund(back), payout="po_84c1a7")
    await world.books(6_800, "SIMULATOR PAYOUT po_84c1a7")
    await world.run()
    await bank.hears(of(sale, amount_minor=7_000))
    assert (await world.book(shop))["merchant_payable"] == -320

    await world.reports(line(sale, "dispute", -7_000, fee_minor=1_500), payout="po_9d20f3")
    await world.books(-8_500, "SIMULATOR DEBIT po_9d20f3")
    await world.run()
    await bank.hears(of(sale, "lost", amount_minor=7_000))
    assert await both(world, shop, "cash") == 6_800 - 8_500
    assert await both(world, shop, "dispute_fee_expense") == 1_500
    assert (await world.book(shop))["merchant_payable"] == -320
    await nothing_is_in_transit(world, shop)
    assert await world.status(sale) == "chargeback_lost"


async def test_dispute_that_is_won_and_reported_back_leaves_nothing_in_transit(
    world: World, bank: DisputeWorld
) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await bank.hears(of(sale), of(sale, "won"))
    await world.reports(
        charge(sale), line(sale, "dispute", -10_000), line(sale, "dispute_reversed", 10_000), payout="po_84c1a7"
    )
    await world.books(10_000, "SIMULATOR PAYOUT po_84c1a7")
    await world.run()
    await nothing_is_in_transit(world, shop)
    assert await world.book(shop) == {"cash": 10_000, "merchant_payable": 9_680, "platform_fee_revenue": 320}
    assert await world.status(sale) == "settled"


async def test_webhook_that_was_lost_is_found_in_the_report(world: World, bank: DisputeWorld) -> None:
    shop = await world.merchant()
    await bank.policy(shop, fee="merchant")
    sale = await world.sells(shop, 10_000)
    await world.reports(charge(sale), line(sale, "dispute", -10_000, fee_minor=1_500), payout="po_84c1a7")
    await world.books(-1_500, "SIMULATOR DEBIT po_84c1a7")
    await world.run()
    assert await bank.rounds() == [(1, "open")]
    book = await world.book(shop)
    assert (book["disputed_funds_held"], book["disputed_funds_at_psp"]) == (10_000, 10_000)
    assert book["merchant_payable"] == 9_680 - 10_000 - 1_500
    assert await both(world, shop, "dispute_fee_expense") == 0

    await world.reports(line(sale, "dispute_reversed", 10_000), payout="po_9d20f3")
    await world.books(10_000, "SIMULATOR PAYOUT po_9d20f3")
    await world.run()
    assert await bank.rounds() == [(1, "won")]
    await nothing_is_in_transit(world, shop)
    await bank.hears(of(sale), of(sale, "won"))
    assert await bank.rounds() == [(1, "won")]


async def test_second_stage_that_is_reported_leaves_nothing_in_transit(world: World, bank: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await bank.hears(of(sale))
    await world.reports(charge(sale), line(sale, "dispute", -10_000), payout="po_84c1a7")
    await world.run()
    await bank.hears(of(sale, "won"))
    await world.reports(line(sale, "dispute_reversed", 10_000), payout="po_9d20f3")
    await world.run()
    await bank.hears(of(sale, stage="second"), of(sale, "lost", stage="second"))
    await world.reports(line(sale, "dispute", -10_000), payout="po_1b77e0")
    await world.run()
    assert await bank.rounds() == [(1, "won"), (2, "lost")]
    book = await world.book(shop)
    assert "disputed_funds_at_psp" not in book, book
    assert "psp_clearing" not in book, book


async def nothing_is_in_transit(world: World, shop: UUID) -> None:
    for book in (await world.book(shop), await world.book()):
        assert not IN_TRANSIT & book.keys(), book


async def both(world: World, shop: UUID, account: str) -> int:
    """The balance of an account in the merchant's book and the operator's."""
    return sum([(await world.book(shop)).get(account, 0), (await world.book()).get(account, 0)])


def line(sale: Sale, kind: str, gross_minor: int, **more: Any) -> dict[str, Any]:
    """What a report says of the dispute."""
    return {
        "kind": kind,
        "gross_minor": gross_minor,
        "psp_reference": sale.name,
        "operation_reference": "dp_1",
        **more,
    }


def of(sale: Sale, status: Any = "needs_response", **more: Any) -> DisputeNotice:
    """What a webhook says of it."""
    names = (sale.payment_id, sale.merchant_id, sale.reference, sale.name, sale.amount_minor, sale.currency)
    return told(Told(*names), status, **more)
