"""A run dies anywhere: the next one ends where it would have ended, with nothing twice."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.conftest import MASTER_KEY
from tests.reconciliation.world import World, charge, refund, world_on
from tests.support.processes import bezant
from tests.support.verification import assert_verified_async

_STEPS = ("late", "deposits", "share", "lines")
_POINTS = [f"settle.{when}:{what}" for what in _STEPS for when in ("before_commit", "after_commit")]
_BALANCES = """
SELECT b.account_code, sum(b.debit_minor - b.credit_minor) FROM ledger_balances AS b GROUP BY 1 ORDER BY 1
"""
_EXPLAINED = "SELECT side, rule, count(*) FROM explained GROUP BY 1, 2 ORDER BY 1, 2"
_JOURNALS = "SELECT kind, count(*) FROM ledger_journals WHERE kind <> 'bank_deposit' GROUP BY 1 ORDER BY 1"


async def told(world: World) -> None:
    """Two merchants' sales, a refund, a fee, a stranger's sale; payouts reported before their deposit came, after, and
    before it is known that they carry a line.
    """
    one, two = await world.merchant("One"), await world.merchant("Two")
    sales = [await world.sells(merchant, 1_000 + n) for n, merchant in enumerate((one, two) * 5)]
    back = await world.refunds(sales[0], 400)
    await world.reports(*(charge(sale, fee_minor=30) for sale in sales[:6]), payout="po_84c1a7")
    late = await world.reports(charge(await world.sells(one, 2_000), line_reference="late"))
    await world.reports({"kind": "payout", "gross_minor": 0}, payout="po_77aa31")
    await world.sql("UPDATE psp_payouts SET amount_minor = 2_000 WHERE payout_reference = 'po_77aa31'")
    await world.books(2_000, "PAYOUT po_77aa31")
    await world.run()
    await world.tells_late("po_77aa31", late["late"])
    await world.books(sum(sale.amount_minor - 30 for sale in sales[:6]), "PAYOUT po_84c1a7")
    monthly = {"kind": "fee", "gross_minor": 0, "fee_minor": 90}
    stranger = {"kind": "charge", "gross_minor": 77, "psp_reference": "ch_stranger"}
    lines = [*(charge(sale, fee_minor=30) for sale in sales[6:]), refund(back), monthly, stranger]
    await world.reports(*lines, payout="po_9d20f3")
    await world.books(sum(sale.amount_minor - 30 for sale in sales[6:]) - 400 - 90 + 77, "PAYOUT po_9d20f3")


async def end(world: World) -> Sequence[Any]:
    """What everything came to."""
    async with world.database.connection() as connection:
        return [[tuple(row) for row in await connection.fetch(query)] for query in (_BALANCES, _EXPLAINED, _JOURNALS)]


@pytest.mark.parametrize("point", _POINTS)
async def test_run_that_dies_is_carried_on_by_the_next(database_url: str, point: str) -> None:
    async with world_on(database_url) as world:
        await told(world)
        env = {
            "BEZANT_DATABASE_URL": database_url,
            "BEZANT_MASTER_KEY": MASTER_KEY,
            "BEZANT_FAILPOINTS": f"{point}=kill",
            "BEZANT_RECONCILIATION_SKEW_HOURS": "0",
            "BEZANT_RECONCILIATION_DEPOSIT_SKEW_HOURS": "0",
        }
        await world.can_collect()
        with bezant("reconciliation", "run", env=env) as process:
            assert process.wait(60) == -9, process.output()
        await world.sql("UPDATE reconciliation_lease SET lease_until = '-infinity'")
        await world.run()
        crashed = await end(world)
        assert (await world.run()).explained == 0
        assert await end(world) == crashed
        balances = dict(crashed[0])
        assert balances["customer_funds_in_transit"] == balances["psp_clearing"] == 0
        assert balances["suspense"] == -77, "the stranger's row, and nothing else"
        assert dict(crashed[2])["psp_settlement"] == 11
    await assert_verified_async(database_url)
