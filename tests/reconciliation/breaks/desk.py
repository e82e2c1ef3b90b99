"""A person at work on breaks, in tests: each act under the lease, as commands and calls do it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from bezant.audit.record import By
from bezant.base import ids
from bezant.base.db import Transaction
from bezant.reconciliation.breaks.by_hand.match import Made, match
from bezant.reconciliation.breaks.by_hand.unmatch import Undone, unmatch
from bezant.reconciliation.breaks.by_hand.write_off import WrittenOff, write_off
from bezant.reconciliation.breaks.keep import keep
from bezant.reconciliation.breaks.resolve import resolve
from bezant.reconciliation.breaks.rules import Resolution
from bezant.reconciliation.breaks.views import BreakDetail
from bezant.reconciliation.breaks.work import Work
from bezant.reconciliation.collect import Collect
from bezant.reconciliation.lease import Lease
from bezant.reconciliation.matching.model import BreakKind, Found
from tests.reconciliation.world import NOW, Refunded, Sale, World

T = TypeVar("T")

ME: Final = By("test", "as the PSP told me on the telephone")


async def by_hand(world: World, work: Callable[[Transaction], Awaitable[T]]) -> T:
    """Do something under the lease of runs."""
    lease = Lease(world.database)
    async with lease.held(is_run=False), lease.guarded() as transaction:
        return await work(transaction)


async def matched(world: World, operations: Sequence[UUID], lines: Sequence[UUID], *, write_off: bool = False) -> Made:
    """Match by hand."""
    return await by_hand(world, lambda t: match(t, operations, lines, ME, write_off=write_off))


async def unmatched(world: World, item_id: UUID) -> Undone:
    """Take a match back."""
    return await by_hand(world, lambda t: unmatch(t, item_id, ME))


async def written_off(world: World, item_id: UUID) -> WrittenOff:
    """Write something off."""
    return await by_hand(world, lambda t: write_off(t, item_id, ME))


async def rows(world: World, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Rows of a query."""
    async with world.database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(query, *parameters)]


async def operations(world: World, *of: Sale | Refunded) -> list[UUID]:
    """The operations of sales and refunds, in the order of their ids, collected if they were not."""
    await world.can_collect()
    await Collect(world.database)()
    wanted = [each.reference for each in of]
    query = """SELECT j.id FROM ledger_journals AS j WHERE j.correlation_id = ANY ($1::text[])
        AND j.kind IN ('capture', 'refund') ORDER BY array_position($1::text[], j.correlation_id)"""
    return [row[0] for row in await rows(world, query, wanted)]


async def in_transit(world: World) -> list[int]:
    """The amounts that PSPs must still report."""
    return [row[0] for row in await rows(world, "SELECT amount_minor FROM operations_in_transit ORDER BY 1")]


async def audited(world: World) -> list[str]:
    """What people did, in order."""
    return [row[0] for row in await rows(world, "SELECT action FROM audit_log ORDER BY id")]


async def found_break(world: World, kind: BreakKind, *subjects: UUID, at_risk_minor: int = 5_000) -> str:
    """A break as a run would keep it; its id."""
    await keep(world.database, [Found(kind, subjects, "USD", at_risk_minor, NOW - timedelta(days=4), "as found")])
    query = "SELECT id FROM breaks WHERE kind = $1 AND item_id = $2"
    return ids.show(ids.BREAK, (await rows(world, query, kind.value, subjects[0]))[0][0])


async def resolved(world: World, break_id: str, resolution: Resolution) -> BreakDetail:
    """End a break."""
    await by_hand(world, lambda t: resolve(t, break_id, resolution, ME))
    return await Work(world.database).show(break_id)
