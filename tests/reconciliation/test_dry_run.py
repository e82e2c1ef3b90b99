"""A run that is only rehearsed says what a run would do, and does nothing of it."""

from collections import Counter
from typing import Any

from bezant.reconciliation.evidence import Evidence
from bezant.reconciliation.run import Run, RunResult
from tests.reconciliation.world import World, charge, refund, world_on

TABLES = ("explained", "ledger_journals", "open_lines", "open_bank_lines", "breaks", "payments")


async def counted(world: World) -> list[Any]:
    async with world.database.connection() as connection:
        counts = [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES]
        settled = await connection.fetchval("SELECT sum(settled_minor) FROM payments")
        deposited = await connection.fetchval("SELECT count(deposited_at) + count(shared_at) FROM psp_payouts")
        ran_at = await connection.fetchval("SELECT ran_at FROM reconciliation_lease")
    return [*counts, settled, deposited, ran_at]


async def rehearsed(world: World) -> RunResult:
    await world.can_collect()
    return await Run(world.database, Evidence(world.database, world.handlers), world.terms)(dry=True)


async def test_dry_run_says_what_a_run_then_does(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        first, second, lost = await world.sells(shop, 5_000), await world.sells(shop, 3_000), await world.sells(shop, 7)
        back = await world.refunds(first, 500)
        slip = charge(second, reference=None, psp_reference=None, operation_reference=None)
        fee = {"kind": "fee", "gross_minor": 0, "fee_minor": 20}
        await world.reports(charge(first, 100), refund(back), slip, fee, payout="po_84c1a7")
        await world.reports(charge(first, 100, line_reference="once more"))
        await world.books(7_380, "po_84c1a7")
        await world.books(40, "who knows")
        await world.books(-3, "account fee", kind="fee")
        before = await counted(world)
        dry, again = await rehearsed(world), await rehearsed(world)
        assert await counted(world) == before
        assert (again.explained, again.found) == (dry.explained, dry.found)
        wet = await world.run()

        assert (dry.lines, dry.explained, dry.deposits) == (wet.lines, wet.explained, wet.deposits)
        assert Counter(each.kind for each in dry.found) == Counter(each.kind for each in wet.found)
        assert {each.kind.value for each in dry.found} >= {"duplicate_psp_row", "unmatched_deposit", "missing_psp_row"}
        assert dry.rehearsal is not None
        assert len(dry.rehearsal.matches) == 3
        assert len(dry.rehearsal.deposits) == 1
        assert lost.amount_minor == 7
        assert (await counted(world))[0] > before[0]
