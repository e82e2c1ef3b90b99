"""Reports, payouts and statements of every kind that reconciliation knows, on a database in which was traded."""

from bezant.reconciliation.breaks.rules import Resolution
from bezant.reconciliation.matching.model import BreakKind
from tests.reconciliation.breaks.desk import found_break, operations, resolved
from tests.reconciliation.world import charge, refund, world_on


async def reconcile(url: str) -> None:
    """A payout over two merchants that came and does not explain itself whole, one that did not come, and the rest."""
    async with world_on(url) as world:
        shop, other = await world.merchant("A shop of reports"), await world.merchant("Another shop of reports")
        first, second = await world.sells(shop, 5_000), await world.sells(other, 3_000)
        back = await world.refunds(first, 500)
        nobodys = {"kind": "adjustment", "gross_minor": 700, "line_reference": "nobody's"}
        await world.reports(charge(first, 100), refund(back), charge(second), nobodys, payout="po_84c1a7")
        await world.books(8_100, "po_84c1a7")
        await world.books(40, "who knows")
        await world.reports(charge(await world.sells(shop, 2_000), 30), payout="po_9d20f3")
        lost = await world.sells(shop, 900)
        await world.run()
        (operation,) = await operations(world, lost)
        await resolved(world, await found_break(world, BreakKind.MISSING_PSP_ROW, operation), Resolution.WRITTEN_OFF)
