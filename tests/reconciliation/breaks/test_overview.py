"""What is on its way is added up by account and age, and shown operation by operation."""

from datetime import timedelta

import pytest

from bezant.base import ids
from bezant.base.errors import NotFound
from bezant.base.money import Money
from bezant.reconciliation.breaks.overview.status import OnItsWay, Overview, TransitFilter
from bezant.reconciliation.matching.model import BreakKind
from tests.reconciliation.breaks.desk import found_break, matched, operations, written_off
from tests.reconciliation.world import NOW, World, charge, refund, world_on


async def age(world: World, days: int, *payments: object) -> None:
    async with world.database.transaction() as transaction:
        await transaction.connection.execute(
            "UPDATE operations_in_transit SET effective_at = now() - $1::interval WHERE payment_id = ANY ($2::uuid[])",
            timedelta(days=days),
            list(payments),
        )


def on_its_way(kind: str, age: str, count: int, amount_minor: int, at: str = "simulator") -> OnItsWay:
    account = "main" if at == "bank" else None
    return OnItsWay(at=at, account=account, kind=kind, age=age, count=count, amount=Money(amount_minor, "USD"))


async def test_what_is_on_its_way_is_added_up_by_kind_and_age(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sales = [await world.sells(shop, 1_000 * n) for n in range(1, 6)]
        back = await world.refunds(sales[0], 100)
        await operations(world, back)
        for days, sale in zip((0, 2, 5, 20, 40), sales, strict=True):
            await age(world, days, sale.payment_id)
        old = NOW - timedelta(days=4)
        lines = await world.reports(
            {"kind": "charge", "gross_minor": 700, "fee_minor": 20, "line_reference": "a", "occurred_at": old},
            {"kind": "payout", "gross_minor": -680, "line_reference": "b"},
            payout="po_1",
        )
        await world.books(40, "who knows")
        await found_break(world, BreakKind.MISSING_INTERNAL_ROW, lines["a"], at_risk_minor=700)
        status = await Overview(world.database).status()

    assert {(each.age, each.kind): each for each in status.operations} == {
        ("0-1d", "capture"): on_its_way("capture", "0-1d", 1, 1_000),
        ("0-1d", "refund"): on_its_way("refund", "0-1d", 1, -100),
        ("1-3d", "capture"): on_its_way("capture", "1-3d", 1, 2_000),
        ("3-7d", "capture"): on_its_way("capture", "3-7d", 1, 3_000),
        ("7-30d", "capture"): on_its_way("capture", "7-30d", 1, 4_000),
        (">30d", "capture"): on_its_way("capture", ">30d", 1, 5_000),
    }
    assert status.lines == [on_its_way("charge", "3-7d", 1, 680), on_its_way("payout", "0-1d", 1, -680)]
    assert status.payouts == [on_its_way("payout", "0-1d", 1, 0)]
    assert [(each.at, each.count, each.amount.value) for each in status.bank_lines] == [("bank", 1, 40)]
    assert [(each.kind, each.count, each.assigned, each.at_risk) for each in status.breaks] == [
        ("missing_internal_row", 1, 0, Money(700, "USD"))
    ]
    assert {(each.psp, each.state, each.count) for each in status.files} == {
        ("simulator", "loaded", 1),
        ("bank", "loaded", 1),
    }


async def test_each_operation_of_a_payment_shows_what_is_left_of_it_and_why(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        back, lost = await world.refunds(sale, 1_000), await world.refunds(sale, 300)
        captured, refunded, given_up = await operations(world, sale, back, lost)
        lines = await world.reports(charge(sale, gross_minor=4_990, line_reference="a"), refund(back))
        await matched(world, [captured], [lines["a"]], write_off=True)
        await written_off(world, given_up)
        break_id = await found_break(world, BreakKind.MISSING_PSP_ROW, refunded)
        later = await world.refunds(sale, 7)
        overview = Overview(world.database)
        shown = (await overview.transit(TransitFilter(payment=ids.show(ids.PAYMENT, sale.payment_id)))).data

    assert [(each.amount.value, each.in_transit.value, each.why) for each in shown] == [
        (5_000, 0, "explained: by_hand"),
        (-1_000, -1_000, "missing_psp_row: see its break"),
        (-300, 0, "explained: written_off"),
        (-7, -7, "booked just now: the next run collects it"),
    ]
    assert (shown[0].lines, shown[1].break_id, shown[3].break_id) == ([ids.show("psl", lines["a"])], break_id, None)
    assert later.amount_minor == 7


async def test_what_is_in_transit_is_listed_oldest_first(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sales = [await world.sells(shop, 1_000 + n) for n in range(3)]
        await operations(world, *sales)
        await age(world, 9, sales[1].payment_id)
        overview, cursor, found = Overview(world.database), None, list[int]()
        while True:
            page = await overview.transit(TransitFilter(limit=1, cursor=cursor))
            found += [each.in_transit.value for each in page.data]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == [1_001, 1_000, 1_002]
        with pytest.raises(NotFound):
            await overview.transit(TransitFilter(payment="pay_" + "0" * 32))
