"""Disputes as the ledger holds them. Each story ends with `verify`."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from bezant.base import ids
from bezant.inbox.contract import Applied, Aside, Waits
from tests.disputes.world import DisputeWorld, dispute_world, told
from tests.support.verification import assert_verified_async

SOLD = {"customer_funds_in_transit": 10_000, "merchant_payable": 9_680, "platform_fee_revenue": 320}
"""The merchant's book after a sale of 10,000."""

HELD = {**SOLD, "merchant_payable": -320, "disputed_funds_held": 10_000}
LOST = {**SOLD, "merchant_payable": -320, "disputed_funds_at_psp": -10_000}


@pytest_asyncio.fixture
async def world(database_url: str) -> AsyncIterator[DisputeWorld]:
    async with dispute_world(database_url) as world:
        yield world
    await assert_verified_async(database_url)


async def test_dispute_is_held_and_given_back_when_it_is_won(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    (effect,) = await world.hears(told(sale, reason="fraudulent"))
    assert effect == Applied((sale.payment_id, shop))
    assert await world.book(shop) == HELD
    assert await world.payment(sale) == ("chargeback_open", 10_000, 10_000, 0)

    await world.hears(told(sale, "under_review"))
    await world.hears(told(sale, "won"))
    assert await world.book(shop) == SOLD
    assert await world.payment(sale) == ("captured", 0, 0, 0)
    assert await world.journals(sale) == ["dispute_opened:1", "dispute_won:1"]
    assert await world.events(sale) == ["dispute.opened", "dispute.updated", "dispute.won"]


async def test_dispute_that_is_lost_leaves_the_loss_with_the_merchant(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale), told(sale, "lost"))
    assert await world.book(shop) == LOST
    assert await world.payment(sale) == ("chargeback_lost", 10_000, 0, 0)
    assert await world.journals(sale) == ["dispute_lost:1", "dispute_opened:1"]
    assert await world.events(sale) == ["dispute.opened", "dispute.lost"]


async def test_loss_is_the_platforms_and_the_fee_the_merchants_where_his_terms_say_so(world: DisputeWorld) -> None:
    shop = await world.merchant()
    await world.policy(shop, loss="platform", fee="merchant")
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale, fee_minor=1_500))
    assert await world.book(shop) == {**HELD, "merchant_payable": -1_820, "dispute_fee_expense": -1_500}

    await world.hears(told(sale, "lost", fee_minor=1_500))
    assert await world.book(shop) == {
        **LOST,
        "merchant_payable": 8_180,
        "dispute_loss_expense": 10_000,
        "dispute_fee_expense": -1_500,
    }
    assert await world.journals(sale) == [
        "dispute_fee_charged:1",
        "dispute_loss_absorbed:1",
        "dispute_lost:1",
        "dispute_opened:1",
    ]


async def test_fee_is_the_platforms_unless_somebody_says_otherwise(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale, fee_minor=1_500), told(sale, "won", fee_minor=1_500))
    assert await world.book(shop) == SOLD


async def test_inquiry_moves_nothing_and_is_closed(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale, "inquiry", stage="inquiry"))
    await world.hears(told(sale, "under_review", stage="inquiry"))
    await world.hears(told(sale, "closed", stage="inquiry"))
    assert await world.book(shop) == SOLD
    assert await world.payment(sale) == ("captured", 0, 0, 0)
    assert await world.journals(sale) == []
    assert (await world.dispute())["status"] == "closed"
    assert await world.events(sale) == ["dispute.opened", "dispute.updated", "dispute.updated"]


async def test_inquiry_becomes_a_chargeback(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale, "inquiry", stage="inquiry"))
    await world.hears(told(sale))
    assert await world.book(shop) == HELD
    assert await world.events(sale) == ["dispute.opened", "dispute.opened"]
    await world.hears(told(sale, "closed", stage="inquiry"))
    assert (await world.dispute())["stage"] == "chargeback"
    assert await world.book(shop) == HELD


async def test_dispute_after_a_full_refund_is_booked_and_is_excess(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.refunds(sale, 10_000)
    assert await world.book(shop) == {"merchant_payable": -320, "platform_fee_revenue": 320}
    await world.hears(told(sale))
    assert await world.payment(sale) == ("chargeback_open", 10_000, 10_000, 10_000)
    assert await world.breaks(sale) == ["excess"]
    assert await world.book(shop) == {
        "merchant_payable": -10_320,
        "disputed_funds_held": 10_000,
        "platform_fee_revenue": 320,
    }
    await world.hears(told(sale, "won"))
    assert await world.payment(sale) == ("refunded", 0, 0, 0)


async def test_dispute_above_the_payment_is_booked_as_it_is(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale, amount_minor=12_000))
    assert await world.payment(sale) == ("chargeback_open", 12_000, 12_000, 2_000)
    assert (await world.book(shop))["disputed_funds_held"] == 12_000
    assert await world.breaks(sale) == ["excess"]
    await world.hears(told(sale, "lost", amount_minor=12_000))
    assert await world.payment(sale) == ("chargeback_lost", 12_000, 0, 2_000)


async def test_dispute_in_another_currency_is_booked_in_its_own_and_holds_what_is_left(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.refunds(sale, 3_000)
    await world.hears(told(sale, amount_minor=9_100, currency="EUR"))
    assert await world.book(shop, "EUR") == {"merchant_payable": -9_100, "disputed_funds_held": 9_100}
    assert await world.payment(sale) == ("chargeback_open", 7_000, 7_000, 0)
    assert await world.breaks(sale) == ["currency_mismatch"]
    await world.hears(told(sale, "won", amount_minor=9_100, currency="EUR"))
    assert await world.book(shop, "EUR") == {}
    assert await world.payment(sale) == ("captured", 0, 0, 0)


async def test_two_disputes_of_one_payment_end_each_in_its_own_way(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale, amount_minor=4_000), told(sale, amount_minor=5_000, dispute_reference="dp_2"))
    assert await world.payment(sale) == ("chargeback_open", 9_000, 9_000, 0)
    await world.hears(told(sale, "lost", amount_minor=4_000))
    assert await world.payment(sale) == ("chargeback_open", 9_000, 5_000, 0)
    await world.hears(told(sale, "won", amount_minor=5_000, dispute_reference="dp_2"))
    assert await world.payment(sale) == ("chargeback_lost", 4_000, 0, 0)
    assert await world.book(shop) == {**SOLD, "merchant_payable": 5_680, "disputed_funds_at_psp": -4_000}


async def test_second_stage_takes_the_money_once_more(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale), told(sale, "won"))
    assert await world.book(shop) == SOLD
    await world.hears(told(sale, stage="second"))
    assert await world.book(shop) == HELD
    await world.hears(told(sale, "lost", stage="second"))
    assert await world.book(shop) == LOST
    assert await world.rounds() == [(1, "won"), (2, "lost")]
    assert await world.journals(sale) == ["dispute_lost:2", "dispute_opened:1", "dispute_opened:2", "dispute_won:1"]


async def test_won_then_lost_is_a_second_round_once_the_psp_says_so(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale), told(sale, "won"))
    world.bank.holds["dp_1"] = told(sale, "lost")
    await world.hears(told(sale, "lost"))
    assert await world.book(shop) == SOLD, "nothing moves before the PSP was asked"
    await world.looks()
    assert await world.book(shop) == LOST
    assert await world.rounds() == [(1, "won"), (2, "lost")]
    assert (await world.dispute())["next_check_at"] is None


async def test_lost_then_said_to_be_won_is_believed_once_the_psp_says_so(world: DisputeWorld) -> None:
    shop = await world.merchant()
    await world.policy(shop, loss="platform")
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale, "lost"))
    world.bank.holds["dp_1"] = told(sale, "won")
    await world.hears(told(sale, "won"))
    await world.looks()
    assert await world.book(shop) == SOLD
    assert await world.rounds() == [(1, "won")]
    assert await world.journals(sale) == [
        "dispute_loss_absorbed:1",
        "dispute_loss_absorbed_reversed:1",
        "dispute_lost:1",
        "dispute_lost_reversed:1",
        "dispute_opened:1",
        "dispute_won:1",
    ]


async def test_decision_that_is_older_than_what_stands_changes_nothing(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale), told(sale, "lost"), told(sale, "won"))
    world.bank.holds["dp_1"] = told(sale, "won")
    await world.looks()
    assert await world.rounds() == [(1, "won")]
    await world.hears(told(sale, "lost"))
    await world.looks()
    assert await world.rounds() == [(1, "won")]
    assert await world.book(shop) == SOLD


async def test_dispute_goes_on_after_the_merchant_is_closed(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.execute("UPDATE merchants SET status = 'closed' WHERE id = $1", shop)
    await world.hears(told(sale), told(sale, "lost"))
    assert await world.book(shop) == LOST


async def test_dispute_before_we_know_of_the_capture_waits(world: DisputeWorld) -> None:
    shop = await world.merchant()
    unheard = await world.sells(shop, 10_000, is_known=False)
    held = await world.sells(shop, 10_000, is_captured=False)
    effects = await world.hears(told(unheard), told(held, dispute_reference="dp_2"))
    assert all(isinstance(effect, Waits) for effect in effects)
    assert await world.rows("SELECT * FROM disputes") == []


async def test_dispute_that_another_account_tells_of_stands_aside(world: DisputeWorld) -> None:
    sale = await world.sells(await world.merchant(), 10_000)
    (effect,) = await world.hears(told(sale), account_id=ids.new_id())
    assert effect == Aside("names a payment of another account")
    for strange in ({"dispute_reference": "x" * 256}, {"amount_minor": 0}, {"currency": "EURO"}):
        (effect,) = await world.hears(told(sale, **strange))
        assert effect == Aside("names a dispute in a way that cannot be kept")
    assert await world.rows("SELECT * FROM disputes") == []


async def test_what_is_told_to_many_processes_at_once_is_booked_once(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sales = [await world.sells(shop, 10_000) for _ in range(3)]
    said = [
        told(sale, status, dispute_reference=sale.name)
        for sale in sales
        for status in ("needs_response", "under_review", "lost")
    ]
    for sale in sales:
        world.bank.holds[sale.name] = told(sale, "lost", dispute_reference=sale.name)
    await asyncio.gather(*(world.hears(*said[n:], *said[:n]) for n in range(len(said))))
    for sale in sales:
        assert await world.rounds(sale.name) == [(1, "lost")]
        assert await world.journals(sale) == ["dispute_lost:1", "dispute_opened:1"]
    assert (await world.book(shop))["disputed_funds_at_psp"] == -30_000


async def test_dispute_that_expires_is_learned_by_asking(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale))
    world.bank.holds["dp_1"] = told(sale, "expired")
    await world.looks()
    assert world.bank.fetched == 0, "there is time until tomorrow"
    await world.execute("UPDATE disputes SET next_check_at = now()")
    await world.looks()
    assert world.bank.fetched == 1
    assert (await world.dispute())["status"] == "expired"
    assert await world.book(shop) == LOST


async def test_word_that_is_signed_too_little_is_asked_about(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale), trusted=False)
    assert await world.book(shop) == SOLD
    assert (await world.dispute())["status"] == "unconfirmed"
    await world.looks()
    assert await world.book(shop) == HELD


async def test_psp_that_does_not_answer_is_asked_less_and_less_and_then_a_person(world: DisputeWorld) -> None:
    shop = await world.merchant()
    sale = await world.sells(shop, 10_000)
    await world.hears(told(sale, "lost"), told(sale, "won"))
    world.bank.holds.clear()
    for _ in range(4):
        await world.execute("UPDATE disputes SET next_check_at = now()")
        await world.looks()
    assert world.bank.fetched == 4
    assert await world.breaks(sale) == ["contradiction"]
    assert await world.book(shop) == LOST, "the first decision stands meanwhile"


async def test_psp_that_cannot_be_asked_is_believed_about_a_further_round_only(database_url: str) -> None:
    async with dispute_world(database_url, can_ask=False) as world:
        shop = await world.merchant()
        sale, other = await world.sells(shop, 10_000), await world.sells(shop, 10_000)
        await world.hears(told(sale, "won"), told(sale, "lost"))
        assert await world.rounds() == [(1, "won"), (2, "lost")]
        lost = told(other, "lost", dispute_reference="dp_2")
        won = told(other, "won", dispute_reference="dp_2")
        await world.hears(lost, won)
        assert await world.rounds("dp_2") == [(1, "lost")]
        assert await world.breaks(other) == ["contradiction"]
        await world.hears(won, confirmed=True)
        assert await world.rounds("dp_2") == [(1, "won")], "a report shows the money"
    await assert_verified_async(database_url)
