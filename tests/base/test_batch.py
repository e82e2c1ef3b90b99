"""Group commit: who shares a transaction with whom, and what an error of one means for the others."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from bezant.base.batch import Batcher
from bezant.base.db import Database, DatabaseLost, DataRefused, TransactionRolledBack
from bezant.base.errors import Unavailable
from tests.support.databases import run
from tests.support.waiting import wait_until_async

Item = tuple[str, int]
"""(lane, number)."""

HANG_S = 10


class Held:
    """A `run` that keeps its batches and can be held back."""

    def __init__(self, *, open_: bool = True) -> None:
        self.batches: list[list[Item]] = []
        self.gate = asyncio.Event()
        if open_:
            self.gate.set()

    async def __call__(self, items: Sequence[Item]) -> Sequence[int]:
        self.batches.append(list(items))
        await self.gate.wait()
        return [number for _, number in items]


def lane_of(item: Item) -> str:
    return item[0]


async def test_lone_item_goes_at_once() -> None:
    held = Held(open_=False)
    batcher = Batcher[Item, int](held, lane_of)
    task = asyncio.create_task(batcher.submit(("a", 1)))
    for _ in range(3):  # turns of the loop, no time
        await asyncio.sleep(0)
    assert held.batches == [[("a", 1)]]
    held.gate.set()
    assert await task == 1


async def test_what_arrives_meanwhile_forms_the_next_batch() -> None:
    held = Held(open_=False)
    batcher = Batcher[Item, int](held, lane_of)
    tasks = [asyncio.create_task(batcher.submit(("a", 0)))]
    await wait_until_async(lambda: asyncio.sleep(0, held.batches))
    tasks += [asyncio.create_task(batcher.submit(("a", n))) for n in range(1, 6)]
    await asyncio.sleep(0)
    held.gate.set()
    assert await asyncio.gather(*tasks) == list(range(6))
    assert [len(batch) for batch in held.batches] == [1, 5]


async def test_at_most_so_many_batches_run_at_once() -> None:
    held = Held(open_=False)
    batcher = Batcher[Item, int](held, lane_of, size_max=1, in_flight_max=2)
    tasks = [asyncio.create_task(batcher.submit(("a", n))) for n in range(5)]
    await wait_until_async(lambda: asyncio.sleep(0, len(held.batches) == 2))
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(held.batches) == 2
    held.gate.set()
    assert await asyncio.gather(*tasks) == list(range(5))


async def test_who_comes_back_at_once_is_served() -> None:
    """Whoever is woken by a result may submit before the worker's end is known to the loop."""
    batcher = Batcher[Item, int](Held(), lane_of)

    async def client(lane: str) -> None:
        for number in range(50):
            assert await batcher.submit((lane, number)) == number

    await asyncio.wait_for(asyncio.gather(client("a")), HANG_S)
    await asyncio.wait_for(asyncio.gather(*(client(lane) for lane in "abc")), HANG_S)


async def test_no_lane_fills_a_batch_alone_while_others_wait() -> None:
    held = Held(open_=False)
    batcher = Batcher[Item, int](held, lane_of, size_max=4)
    tasks = [asyncio.create_task(batcher.submit(("a", n))) for n in range(9)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(batcher.submit((lane, 0))) for lane in "bc"]
    await asyncio.sleep(0)
    held.gate.set()
    await asyncio.gather(*tasks)
    assert {"b", "c"} <= {lane for batch in held.batches[:2] for lane, _ in batch}, held.batches


async def test_lanes_take_turns_when_a_batch_holds_one() -> None:
    held = Held()
    batcher = Batcher[Item, int](held, lane_of, size_max=1)
    await asyncio.gather(*(batcher.submit((lane, n)) for lane in "ab" for n in range(4)))
    lanes = "".join(batch[0][0] for batch in held.batches)
    assert lanes in ("abababab", "babababa")


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.integers(1, 7))
def test_each_item_once_in_the_order_of_its_lane_and_shares_are_equal(lanes: list[str], size_max: int) -> None:
    async def submitted() -> list[list[Item]]:
        held = Held(open_=False)
        batcher = Batcher[Item, int](held, lane_of, size_max=size_max)
        tasks = [asyncio.create_task(batcher.submit((lane, number))) for number, lane in enumerate(lanes)]
        await asyncio.sleep(0)
        held.gate.set()
        assert await asyncio.wait_for(asyncio.gather(*tasks), HANG_S) == list(range(len(lanes)))
        return held.batches

    batches = run(submitted())
    waiting = {lane: [n for n, of in enumerate(lanes) if of == lane] for lane in set(lanes)}
    for batch in batches:
        assert len(batch) <= size_max
        taken = {lane: [n for of, n in batch if of == lane] for lane in waiting}
        for lane, numbers in taken.items():
            assert waiting[lane][: len(numbers)] == numbers
            del waiting[lane][: len(numbers)]
        left_waiting = [lane for lane, numbers in waiting.items() if numbers]
        most = max(len(numbers) for numbers in taken.values())
        assert all(len(taken[lane]) >= most - 1 for lane in left_waiting)
    assert not any(waiting.values())


async def test_too_many_waiting_is_unavailable_and_passes() -> None:
    held = Held(open_=False)
    batcher = Batcher[Item, int](held, lane_of, waiting_max=3)
    tasks = [asyncio.create_task(batcher.submit(("a", 0)))]
    await wait_until_async(lambda: asyncio.sleep(0, held.batches))
    tasks += [asyncio.create_task(batcher.submit(("a", n))) for n in (1, 2, 3)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await batcher.submit(("b", 4))
    assert (refused.value.status, refused.value.code, refused.value.retry_after_s) == (503, "unavailable", 1)
    held.gate.set()
    assert await asyncio.gather(*tasks) == [0, 1, 2, 3]
    assert await batcher.submit(("b", 5)) == 5


async def test_own_error_of_an_item_is_its_own() -> None:
    async def odd_fails(items: Sequence[Item]) -> Sequence[int | BaseException]:
        return [ValueError(str(n)) if n % 2 else n for _, n in items]

    batcher = Batcher[Item, int](odd_fails, lane_of)
    results = await asyncio.gather(*(batcher.submit(("a", n)) for n in range(4)), return_exceptions=True)
    assert [r if isinstance(r, int) else str(r) for r in results] == [0, "1", 2, "3"]


async def test_defect_that_one_item_meets_fails_that_item_alone() -> None:
    async def fails_on_one(items: Sequence[Item]) -> Sequence[int]:
        if any(n == 1 for _, n in items):
            raise RuntimeError("a defect")
        return [n for _, n in items]

    batcher = Batcher[Item, int](fails_on_one, lane_of)
    results = await asyncio.gather(*(batcher.submit(("a", n)) for n in range(3)), return_exceptions=True)
    assert [str(r) for r in results] == ["0", "a defect", "2"]
    assert await batcher.submit(("a", 9)) == 9


async def test_result_that_nobody_waits_for_any_more_is_told() -> None:
    told: list[tuple[Item, int]] = []
    goes_on = asyncio.Event()

    async def waits(items: Sequence[Item]) -> Sequence[int]:
        await goes_on.wait()
        return [n for _, n in items]

    batcher = Batcher[Item, int](waits, lane_of, wait_max_s=0.01, abandoned=lambda item, n: told.append((item, n)))
    with pytest.raises(DatabaseLost):
        await batcher.submit(("a", 7))
    goes_on.set()
    await wait_until_async(lambda: _is(told, [(("a", 7), 7)]))


async def _is(found: object, wanted: object) -> bool:
    return found == wanted


async def test_caller_who_left_disturbs_nobody() -> None:
    held = Held(open_=False)
    batcher = Batcher[Item, int](held, lane_of)
    leaving, staying = (asyncio.create_task(batcher.submit(("a", n))) for n in (1, 2))
    await wait_until_async(lambda: asyncio.sleep(0, held.batches))
    leaving.cancel()
    await asyncio.sleep(0)
    held.gate.set()
    assert await asyncio.wait_for(staying, HANG_S) == 2
    assert held.batches == [[("a", 1), ("a", 2)]]


class Table:
    """A `run` that writes each number into a table with promises of its own, in one transaction per batch."""

    def __init__(self, database: Database, url: str) -> None:
        self.database = database
        self.url = url
        self.batches: list[list[int]] = []
        self.before_commit = ""

    async def __call__(self, items: Sequence[Item]) -> Sequence[int]:
        self.batches.append([n for _, n in items])
        async with self.database.transaction() as transaction:
            for _, number in items:
                await transaction.connection.execute(
                    "INSERT INTO numbers SELECT $1, (100 / $1)::text::smallint ON CONFLICT (number) DO NOTHING", number
                )
            statement, self.before_commit = self.before_commit, ""
            if statement:
                await transaction.connection.execute(statement)
        return [n for _, n in items]

    async def numbers(self) -> list[int]:
        async with self.database.connection() as connection:
            return [row[0] for row in await connection.fetch("SELECT number FROM numbers ORDER BY number")]


@pytest_asyncio.fixture
async def table(empty_database_url: str) -> AsyncIterator[Table]:
    database = Database(empty_database_url, connections_max=2)
    await database.open()
    async with database.connection() as connection:
        await connection.execute(
            "CREATE TABLE numbers (number integer PRIMARY KEY, share smallint, CHECK (number <> 13))"
        )
    yield Table(database, empty_database_url)
    await database.close()


@pytest.mark.parametrize(("bad", "sqlstate"), [(0, "22012"), (13, "23514")], ids=["22", "23"])
async def test_refused_item_fails_alone(table: Table, bad: int, sqlstate: str) -> None:
    batcher = Batcher[Item, int](table, lane_of)
    results = await asyncio.gather(*(batcher.submit(("a", n)) for n in (1, bad, 2)), return_exceptions=True)
    assert (results[0], results[2]) == (1, 2)
    assert isinstance(results[1], DataRefused)
    assert results[1].sqlstate == sqlstate
    assert table.batches == [[1, bad, 2], [1], [bad], [2]], "decided anew, one by one"
    assert await table.numbers() == [1, 2]


async def test_deadlock_repeats_the_batch_as_it_is(table: Table) -> None:
    await table([("a", 100), ("a", 101)])
    table.batches.clear()
    rival = await asyncpg.connect(table.url)
    await rival.execute("SET deadlock_timeout = '60s'")
    await rival.execute("BEGIN; UPDATE numbers SET share = 1 WHERE number = 101")
    table.before_commit = """
        DO $$ BEGIN
            UPDATE numbers SET share = 2 WHERE number = 100;
            UPDATE numbers SET share = 2 WHERE number = 101;
        END $$
    """
    batcher = Batcher[Item, int](table, lane_of)
    tasks = [asyncio.create_task(batcher.submit(("a", n))) for n in (1, 2)]

    async def batch_waits_for_rival() -> bool:
        return bool(await rival.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    await wait_until_async(batch_waits_for_rival)
    await rival.execute("UPDATE numbers SET share = 1 WHERE number = 100")
    await rival.execute("COMMIT")
    await rival.close()
    assert await asyncio.gather(*tasks) == [1, 2]
    assert table.batches == [[1, 2], [1, 2]]
    assert await table.numbers() == [1, 2, 100, 101]


async def test_connection_lost_repeats_the_batch(table: Table) -> None:
    table.before_commit = "SELECT pg_terminate_backend(pg_backend_pid())"
    batcher = Batcher[Item, int](table, lane_of)
    assert await asyncio.gather(*(batcher.submit(("a", n)) for n in (1, 2))) == [1, 2]
    assert table.batches == [[1, 2], [1, 2]]
    assert await table.numbers() == [1, 2]


async def test_database_that_stays_away_is_reported_in_time() -> None:
    async def away(_: Sequence[Item]) -> Sequence[int]:
        raise DatabaseLost("away")

    batcher = Batcher[Item, int](away, lane_of, lost_retry_s=0.2)
    results = await asyncio.wait_for(
        asyncio.gather(*(batcher.submit(("a", n)) for n in range(2)), return_exceptions=True), HANG_S
    )
    assert [type(r) for r in results] == [DatabaseLost] * 2


async def test_rollbacks_end_after_a_bounded_number() -> None:
    calls = 0

    async def always(_: Sequence[Item]) -> Sequence[int]:
        nonlocal calls
        calls += 1
        raise TransactionRolledBack("again")

    batcher = Batcher[Item, int](always, lane_of)
    with pytest.raises(TransactionRolledBack):
        await batcher.submit(("a", 1))
    assert 2 <= calls <= 20
