"""Operations that no report names are looked for in the inbox and at the PSP, seldom and bounded."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from bezant.base import ids
from bezant.inbox.contract import Reread
from bezant.psp.contract import Failure, Operation, Outcome, Verdict
from bezant.reconciliation.breaks.heal.heal import AT_ONCE, Heal
from bezant.reconciliation.breaks.keep import keep
from bezant.reconciliation.breaks.work import Work
from bezant.reconciliation.matching.model import BreakKind, Found
from tests.reconciliation.breaks.desk import found_break, in_transit, operations, rows
from tests.reconciliation.world import NOW, World, world_on
from tests.support.verification import assert_verified_async


class Psp:
    """What a PSP says when it is asked, and what it was asked."""

    def __init__(self, *answers: Outcome | Exception) -> None:
        self.asked: list[Reread] = []
        self._answers = list(answers)

    async def __call__(self, psp: str, psp_account_id: UUID | None, reread: Reread) -> Outcome:
        assert (psp, psp_account_id) == ("simulator", None)
        self.asked.append(reread)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def captured(amount_minor: int = 5_000, name: str | None = None) -> Outcome:
    return Outcome(
        verdict=Verdict.APPROVED, psp_reference=name, amount_minor=5_000, captured_minor=amount_minor, currency="USD"
    )


async def healed(world: World, psp: Psp) -> int:
    return await Heal(world.database, world.handlers, psp)()


async def due(world: World) -> None:
    async with world.database.transaction() as transaction:
        await transaction.connection.execute("UPDATE breaks SET next_heal_at = now() WHERE next_heal_at IS NOT NULL")


async def kinds(world: World) -> Sequence[Any]:
    return await rows(world, "SELECT kind, status FROM breaks ORDER BY kind")


async def test_psp_that_has_the_operation_is_asked_ever_more_seldom(database_url: str) -> None:
    async with world_on(database_url) as world:
        sale = await world.sells(await world.merchant(), 5_000)
        break_id = await found_break(world, BreakKind.MISSING_PSP_ROW, *await operations(world, sale))
        psp = Psp(captured(name=sale.name), captured(name=sale.name))
        assert await healed(world, psp) == 1
        assert await healed(world, psp) == 0
        ask = psp.asked[0].ask
        assert (ask.operation, ask.reference, ask.psp_reference) == (Operation.AUTHORIZE, sale.reference, sale.name)
        hours = "SELECT round(extract(epoch FROM next_heal_at - now()) / 3600) FROM breaks"
        assert await rows(world, hours) == [(2,)]

        await due(world)
        assert await healed(world, psp) == 1
        assert await rows(world, hours) == [(4,)]
        comments = (await Work(world.database).show(break_id)).comments
        assert [each.body for each in comments] == ["simulator was asked: approved."]
        assert await in_transit(world) == [5_000]
    await assert_verified_async(database_url)


async def test_psp_that_knows_nothing_of_it_contradicts_the_books(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale, other = await world.sells(shop, 5_000), await world.sells(shop, 5_000)
        operation, second = await operations(world, sale, other)
        await found_break(world, BreakKind.MISSING_PSP_ROW, operation)
        await healed(world, Psp(Outcome(verdict=Verdict.NOT_FOUND)))
        await due(world)
        assert await healed(world, Psp()) == 0
        assert await kinds(world) == [("contradiction", "open"), ("missing_psp_row", "open")]

        missing = Found(BreakKind.MISSING_PSP_ROW, (operation,), "USD", 5_000, NOW, "as found")
        await keep(world.database, [missing])
        assert await kinds(world) == [("contradiction", "open"), ("missing_psp_row", "open")]
        await found_break(world, BreakKind.MISSING_PSP_ROW, second)
        await healed(world, Psp(captured(4_000, other.name)))
        details = await rows(world, "SELECT detail FROM breaks WHERE kind = 'contradiction' ORDER BY detail")
        assert details == [
            ("simulator was asked: it has captured 4000, booked were 5000",),
            ("simulator was asked: it knows of no such operation",),
        ]
    await assert_verified_async(database_url)


async def test_refund_that_failed_at_the_psp_is_healed(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sale = await world.sells(shop, 5_000)
        back = await world.refunds(sale, 1_000)
        (operation,) = await operations(world, back)
        await found_break(world, BreakKind.MISSING_PSP_ROW, operation)
        failure = Failure(code="refund_failed", message="The account is closed.")
        psp = Psp(Outcome(verdict=Verdict.DECLINED, failure=failure))
        assert await healed(world, psp) == 1
        assert (psp.asked[0].ask.operation, psp.asked[0].ask.reference) == (Operation.REFUND, back.reference)
        assert (await world.book(shop))["customer_funds_in_transit"] == 5_000
        await keep(world.database, (await world.run()).found)
        assert await in_transit(world) == [5_000]
        (status,) = await rows(world, "SELECT status, resolution FROM breaks WHERE item_id = $1", operation)
        assert status == ("resolved", "explained")
    await assert_verified_async(database_url)


async def test_events_that_name_it_are_tried_again_before_the_psp_is_asked(database_url: str) -> None:
    async with world_on(database_url) as world:
        sale = await world.sells(await world.merchant(), 5_000)
        await found_break(world, BreakKind.MISSING_PSP_ROW, *await operations(world, sale))
        async with world.database.transaction() as transaction:
            for name in (sale.name, "ch_other"):
                await transaction.connection.execute(
                    "INSERT INTO inbox_events (id, psp, event_id, type, body, status, reason, occurred_at, "
                    "received_at, settled_at) "
                    "VALUES ($1, 'simulator', $2, 'charge', $3, 'aside', 'x', now(), now(), now())",
                    ids.new_id(),
                    f"evt_{name}",
                    f'{{"charge": "{name}"}}'.encode(),
                )
        psp = Psp(captured(name=sale.name))
        await healed(world, psp)
        stand = "SELECT event_id, status FROM inbox_events ORDER BY event_id"
        assert await rows(world, stand) == [(f"evt_{sale.name}", "received"), ("evt_ch_other", "aside")]
        assert psp.asked == []
        await due(world)
        await healed(world, psp)
        assert len(psp.asked) == 1


async def test_psp_that_does_not_answer_is_asked_again_later_and_at_last_no_more(database_url: str) -> None:
    async with world_on(database_url) as world:
        sale = await world.sells(await world.merchant(), 5_000)
        await found_break(world, BreakKind.MISSING_PSP_ROW, *await operations(world, sale))
        for answer in (TimeoutError(), Outcome(verdict=Verdict.UNKNOWN)):
            await healed(world, Psp(answer))
            await due(world)
        assert await rows(world, "SELECT heals, next_heal_at IS NULL FROM breaks") == [(2, False)]
        async with world.database.transaction() as transaction:
            await transaction.connection.execute("UPDATE breaks SET heals = 9")
        await healed(world, Psp(Outcome(verdict=Verdict.UNKNOWN)))
        assert await rows(world, "SELECT heals, next_heal_at IS NULL FROM breaks") == [(10, True)]
        assert await kinds(world) == [("missing_psp_row", "open")]


async def test_a_bounded_number_is_looked_for_at_a_time(database_url: str) -> None:
    async with world_on(database_url) as world:
        shop = await world.merchant()
        sales = [await world.sells(shop, 5_000) for _ in range(AT_ONCE + 2)]
        found = [
            Found(BreakKind.MISSING_PSP_ROW, (each,), "USD", 5_000, NOW, "as found")
            for each in await operations(world, *sales)
        ]
        await keep(world.database, found)
        unknown = [Outcome(verdict=Verdict.UNKNOWN) for _ in sales]
        assert [await healed(world, Psp(*unknown)) for _ in range(3)] == [AT_ONCE, 2, 0]
