"""Breaks from one run to the next: each once, closed when it is explained, never against a person's word."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from bezant.base import ids
from bezant.reconciliation.breaks.keep import Kept, keep
from bezant.reconciliation.matching.model import BreakKind, Found
from tests.reconciliation.world import NOW, World, charge, world_on


def found(kind: BreakKind, subject: UUID, at_risk_minor: int = 5_000, payment: UUID | None = None) -> Found:
    return Found(kind, (subject,), "USD", at_risk_minor, NOW - timedelta(days=4), "as it was found", payment)


async def breaks(world: World, *columns: str) -> Sequence[Any]:
    async with world.database.connection() as connection:
        rows = await connection.fetch(f"SELECT {', '.join(columns)} FROM breaks ORDER BY kind, id")
    return [tuple(row) for row in rows]


async def end_by_hand(world: World, resolution: str) -> None:
    async with world.database.transaction() as transaction:
        await transaction.connection.execute(
            "UPDATE breaks SET status = 'resolved', resolution = $1, resolved_by = 'me', resolved_at = now()",
            resolution,
        )


async def operation_of(world: World, payment_id: UUID) -> UUID:
    async with world.database.connection() as connection:
        query = "SELECT id FROM ledger_journals WHERE payment_id = $1 AND kind = 'capture'"
        return await connection.fetchval(query, payment_id)


async def test_break_is_the_merchants_whose_payment_it_is_and_else_the_operators(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        lines = await world.reports({"kind": "charge", "gross_minor": 700, "line_reference": "a"}, payout="po_1")
        operation, bank_line = await operation_of(world, sale.payment_id), await world.books(700, "who knows")
        payout = ids.dated(NOW, "payout", "simulator", "", "po_1")
        kept = await keep(
            world.database,
            [
                found(BreakKind.MISSING_PSP_ROW, operation),
                found(BreakKind.MISSING_INTERNAL_ROW, lines["a"]),
                found(BreakKind.MISSING_DEPOSIT, payout),
                found(BreakKind.UNMATCHED_DEPOSIT, bank_line),
            ],
        )
        assert kept == Kept(
            counts={"missing_deposit": 1, "missing_internal_row": 1, "missing_psp_row": 1, "unmatched_deposit": 1},
            opened=4,
            closed=0,
        )
        operator = ids.OPERATOR_MERCHANT
        assert await breaks(world, "kind", "subject", "merchant_id", "payment_id", "psp", "status") == [
            ("missing_deposit", ids.show("pyo", payout), operator, None, "simulator", "open"),
            ("missing_internal_row", ids.show("psl", lines["a"]), operator, None, "simulator", "open"),
            ("missing_psp_row", ids.show("jrn", operation), shop, sale.payment_id, "simulator", "open"),
            ("unmatched_deposit", ids.show("bkl", bank_line), operator, None, None, "open"),
        ]
        assert (await breaks(world, "since"))[0][0] == NOW - timedelta(days=4)


async def test_what_is_found_again_is_the_same_break_brought_up_to_date(database_url: str) -> None:
    async with world_on(database_url) as world:
        lines = await world.reports({"kind": "charge", "gross_minor": 700, "line_reference": "a"})
        await keep(world.database, [found(BreakKind.MISSING_INTERNAL_ROW, lines["a"])])
        kept = await keep(world.database, [found(BreakKind.MISSING_INTERNAL_ROW, lines["a"], at_risk_minor=700)])

        assert kept == Kept(counts={"missing_internal_row": 1}, opened=0, closed=0)
        assert await breaks(world, "at_risk_minor") == [(700,)]


async def test_break_closes_by_itself_once_its_line_is_explained_and_opens_again_when_that_is_undone(
    database_url: str,
) -> None:
    async with world_on(database_url) as world:
        sale = await world.sells(await world.merchant(), 5_000)
        lines = await world.reports(charge(sale, line_reference="a"))
        missing = [found(BreakKind.MISSING_INTERNAL_ROW, lines["a"])]
        await keep(world.database, missing)
        async with world.database.transaction() as transaction:
            await transaction.connection.execute(
                "INSERT INTO explained VALUES ($1, 'line', $1, 'test', $2, now())", lines["a"], sale.merchant_id
            )
        assert await keep(world.database, []) == Kept(counts={}, opened=0, closed=1)
        assert await breaks(world, "status", "resolution", "resolved_by") == [("resolved", "explained", None)]

        assert (await keep(world.database, missing)).opened == 1
        assert await breaks(world, "status", "resolution") == [("open", None)]


async def test_what_waits_becomes_what_is_missing(database_url: str) -> None:
    async with world_on(database_url) as world:
        sale = await world.sells(await world.merchant(), 5_000)
        operation = await operation_of(world, sale.payment_id)
        await keep(world.database, [found(BreakKind.TIMING_SKEW, operation)])
        kept = await keep(world.database, [found(BreakKind.MISSING_PSP_ROW, operation)])

        assert kept == Kept(counts={"missing_psp_row": 1}, opened=1, closed=1)
        assert await breaks(world, "kind", "resolution") == [("missing_psp_row", None), ("timing_skew", "superseded")]


async def test_what_is_neither_found_nor_explained_stands(database_url: str) -> None:
    async with world_on(database_url) as world:
        lines = await world.reports({"kind": "charge", "gross_minor": 700, "line_reference": "a"})
        await keep(world.database, [found(BreakKind.AMBIGUOUS, lines["a"])])

        assert await keep(world.database, []) == Kept(counts={}, opened=0, closed=0)


async def test_wrong_fee_of_an_explained_line_stands_until_somebody_ends_it(database_url: str) -> None:
    async with world_on(database_url) as world:
        sale = await world.sells(await world.merchant(), 5_000)
        lines = await world.reports(charge(sale, fee_minor=4_000, line_reference="a"))
        async with world.database.transaction() as transaction:
            await transaction.connection.execute(
                "INSERT INTO explained VALUES ($1, 'line', $1, 'test', $2, now())", lines["a"], sale.merchant_id
            )
        await keep(world.database, [found(BreakKind.FEE_MISMATCH, lines["a"], 0)])
        assert await keep(world.database, []) == Kept(counts={}, opened=0, closed=0)


async def test_no_run_changes_what_a_person_has_ended(database_url: str) -> None:
    async with world_on(database_url) as world:
        lines = await world.reports({"kind": "charge", "gross_minor": 700, "line_reference": "a"})
        wrong_fee = [found(BreakKind.FEE_MISMATCH, lines["a"], 0)]
        await keep(world.database, wrong_fee)
        await end_by_hand(world, "dismissed")

        assert await keep(world.database, wrong_fee) == Kept(counts={}, opened=0, closed=0)
        assert await breaks(world, "status", "resolution", "resolved_by") == [("resolved", "dismissed", "me")]


async def test_thousands_are_kept_in_statements_of_bounded_size(database_url: str) -> None:
    async with world_on(database_url) as world:
        rows = [{"kind": "charge", "gross_minor": 1, "line_reference": f"row {n}"} for n in range(2_050)]
        lines = await world.reports(*rows)
        kept = await keep(world.database, [found(BreakKind.TIMING_SKEW, line) for line in lines.values()])
        assert kept == Kept(counts={"timing_skew": 2_050}, opened=2_050, closed=0)
        kept = await keep(world.database, [found(BreakKind.MISSING_INTERNAL_ROW, line) for line in lines.values()])
        assert kept == Kept(counts={"missing_internal_row": 2_050}, opened=2_050, closed=2_050)
