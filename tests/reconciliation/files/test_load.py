"""Lines of a report: each once, all of a file or nothing, and none counts before its file does."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from bezant.base import ids
from bezant.psp.reports import LineKind, ReportLine, Reports
from bezant.reconciliation.files.faults import AMOUNT_MAX
from bezant.reconciliation.files.records import QuarantineFilter
from bezant.reconciliation.files.states import BAD_LINES_MAX
from bezant.reconciliation.late.name import LatePayouts
from bezant.reconciliation.lease import Lease
from tests.reconciliation.files.readers import ACME, EPOCH, acme_line, acme_report, read_acme
from tests.reconciliation.files.world import World, at_once, world_on

_ALL = "SELECT line_reference, kind, currency, gross_minor, fee_minor, net_minor FROM psp_lines ORDER BY id"


async def test_lines_stand_as_they_were_read_and_are_open(world: World):
    refund = acme_line(2, kind="refund", gross=-400, fee=0, payout="")
    file = await world.loaded(acme_report(acme_line(1), refund))
    assert (file.state, file.format, file.lines, file.repeated, file.quarantined) == ("loaded", "acme_csv", 2, 0, 0)
    assert await world.sql(_ALL) == [
        ("txn_1", "charge", "USD", 1_001, 30, 971),
        ("txn_2", "refund", "USD", -400, 0, -400),
    ]
    assert await world.sql("SELECT line_id, file_id FROM open_lines ORDER BY 1") == await world.sql(
        "SELECT id, file_id FROM psp_lines ORDER BY 1"
    )
    assert msgspec.json.decode(file.summary) == {
        "payouts": 1,
        "by_currency": {"USD": {"lines": 2, "gross_minor": 601, "fee_minor": 30, "net_minor": 571}},
    }


async def test_a_line_s_id_is_made_of_its_time_its_account_and_the_psp_s_name_of_it(world: World):
    account_id = await world.account("shop")
    await world.loaded(acme_report(acme_line(7)))
    await world.loaded(acme_report(acme_line(7), acme_line(8)), account="shop")
    at = EPOCH + timedelta(seconds=7)
    own, named = ids.dated(at, "line", "acme", "", "txn_7"), ids.dated(at, "line", "acme", account_id.hex, "txn_7")
    found = await world.sql("SELECT id, psp_account_id FROM psp_lines WHERE line_reference = 'txn_7'")
    assert sorted(found, key=str) == sorted([(own, None), (named, account_id)], key=str)


async def test_a_payout_is_known_by_its_own_line_and_by_the_lines_that_it_carries(world: World):
    payout = acme_line(3, kind="payout", gross=-1_942, fee=0)
    await world.loaded(acme_report(acme_line(1), acme_line(2), payout, acme_line(4, payout="po_2")))
    assert await world.sql(
        "SELECT payout_reference, currency, amount_minor, paid_at FROM psp_payouts ORDER BY payout_reference"
    ) == [("po_1", "USD", 1_942, EPOCH + timedelta(seconds=3)), ("po_2", "USD", None, None)]
    carried = (
        "SELECT line_reference, y.payout_reference FROM psp_lines AS l JOIN psp_payouts AS y ON y.id = l.payout_id"
    )
    assert sorted(await world.sql(carried)) == [
        ("txn_1", "po_1"), ("txn_2", "po_1"), ("txn_3", "po_1"), ("txn_4", "po_2"),
    ]  # fmt: skip


async def test_a_payout_that_was_only_named_gets_its_amount_from_a_later_file(world: World):
    await world.loaded(acme_report(acme_line(1)))
    await world.loaded(acme_report(acme_line(2, kind="payout", gross=-971, fee=0)))
    assert await world.sql("SELECT amount_minor FROM psp_payouts") == [(971,)]


async def test_a_balance_below_zero_that_is_debited_at_the_bank_is_a_payout_below_zero(world: World):
    await world.loaded(acme_report(acme_line(1, kind="payout", gross=8_500, fee=0)))
    assert await world.sql("SELECT amount_minor FROM psp_payouts") == [(-8_500,)]


async def test_a_line_that_is_there_already_is_counted_and_not_loaded_again(world: World):
    await world.loaded(acme_report(acme_line(1), acme_line(2)))
    file = await world.loaded(acme_report(acme_line(2), acme_line(3), acme_line(3)))
    assert (file.lines, file.repeated, file.quarantined) == (1, 2, 0)
    assert await world.one("SELECT count(*) FROM psp_lines") == 3


@pytest.mark.parametrize(
    "changed",
    [{"gross": 5}, {"fee": 31}, {"kind": "adjustment"}, {"currency": "EUR"}, {"ours": "att_9"}, {"payout": "x"}],
)
async def test_a_line_that_says_something_else_than_before_is_put_aside(world: World, changed: dict[str, Any]):
    await world.loaded(acme_report(acme_line(1)), name="first.csv")
    file = await world.loaded(acme_report(acme_line(2), acme_line(1, **changed)))
    assert (file.lines, file.repeated, file.quarantined) == (1, 0, 1)
    assert await world.quarantined() == [(3, "contradicts line 2 of file first.csv")]
    assert await world.one("SELECT gross_minor FROM psp_lines WHERE line_reference = 'txn_1'") == 1_001


async def test_a_line_that_contradicts_another_of_its_own_file_is_put_aside(world: World):
    file = await world.loaded(acme_report(acme_line(1), acme_line(1, gross=7)))
    assert (file.lines, file.quarantined) == (1, 1)
    assert await world.quarantined() == [(3, "contradicts line 2 of this file")]


async def test_a_line_learns_its_payout_from_a_later_file_and_keeps_it(world: World):
    await world.loaded(acme_report(acme_line(1, payout="")))
    file = await world.loaded(acme_report(acme_line(1), acme_line(2)))
    assert (file.lines, file.repeated) == (1, 1)
    carried = (
        "SELECT y.payout_reference FROM psp_lines AS l LEFT JOIN psp_payouts AS y ON y.id = l.payout_id ORDER BY l.id"
    )
    contradicts = await world.loaded(acme_report(acme_line(1, payout="po_2")), name="third.csv")
    assert (contradicts.repeated, contradicts.quarantined) == (0, 1)
    lease = Lease(world.database)
    async with lease.held():
        assert len(await LatePayouts(world.database, lease)()) == 1
    assert await world.sql(carried) == [("po_1",), ("po_1",)]
    again = await world.loaded(acme_report(acme_line(3), acme_line(1, payout="")))
    assert (again.lines, again.repeated) == (1, 1)
    assert await world.sql(carried) == [("po_1",), ("po_1",), ("po_1",)]


async def test_a_refused_file_names_no_payouts(world: World):
    await world.loaded(acme_report(acme_line(1, payout="")))
    assert (await world.loaded(acme_report(acme_line(1), total=0))).state == "refused"
    assert await world.one("SELECT payout_id FROM psp_lines") is None
    assert await world.one("SELECT count(*) FROM late_payouts") == 0
    assert await world.one("SELECT count(*) FROM psp_payouts") == 0


async def test_a_line_at_fault_is_put_aside_with_its_number_while_the_others_load(world: World):
    file = await world.loaded(acme_report(acme_line(1), "nonsense", acme_line(2, gross="ten"), acme_line(3)))
    assert (file.lines, file.quarantined) == (2, 2)
    page = await world.files.records.quarantined(QuarantineFilter(file=file.file_id))
    assert [(each.line, each.content, each.field) for each in page.data] == [
        (3, "nonsense", "amount"),
        (4, "txn_2,charge,USD,ten,30,2,att_2,po_1,Order 2", "amount"),
    ]


async def test_a_line_that_is_put_aside_is_kept_without_card_data(world: World):
    await world.loaded(acme_report("4111 1111 1111 1111,charge"))
    assert await world.sql("SELECT content FROM quarantined_lines") == [("[card data removed],charge",)]


async def test_a_description_is_kept_without_card_data(world: World):
    await world.loaded(acme_report(acme_line(1, text="paid with 4111 1111 1111 1111")))
    assert await world.sql("SELECT description FROM psp_lines") == [("paid with [card data removed]",)]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"gross": AMOUNT_MAX + 1}, "the amount is too large"),
        ({"gross": -(10**19)}, "the amount is too large"),
        ({"text": "empty"}, "it holds characters that are none"),
        ({"at": 10**10}, "it is of no time"),
        ({"reference": ""}, "it has no name"),
    ],
)
async def test_a_line_that_the_database_could_not_hold_is_put_aside(world: World, changed: dict[str, Any], reason: str):
    file = await world.loaded(acme_report(acme_line(1), acme_line(2, **changed)))
    assert (file.state, file.lines, await world.quarantined()) == ("loaded", 1, [(3, reason)])


def odd_reader(line: ReportLine) -> Reports:
    def read(_pieces: Iterable[bytes]) -> Iterator[ReportLine]:
        yield line

    return Reports(formats={"odd": read}, recognise=lambda _head: "odd")


@pytest.mark.parametrize(
    "changed",
    [
        {"net_minor": 5},
        {"occurred_at": EPOCH.replace(tzinfo=None)},
        {"description": "half a character \ud800"},
        {"presented_minor": 10**30, "presented_currency": "EUR"},
    ],
)
async def test_what_a_careless_reader_finds_is_put_aside(database_url: str, changed: dict[str, Any]):
    line = ReportLine(
        number=1, line_reference="a", kind=LineKind.CHARGE, currency="USD", gross_minor=1, fee_minor=0, net_minor=1,
        occurred_at=EPOCH,
    )  # fmt: skip
    reports = {"acme": odd_reader(msgspec.structs.replace(line, **changed))}
    async with world_on(database_url, reports=reports) as world:
        file = await world.loaded(b"x")
        assert (file.state, file.lines, file.quarantined) == ("loaded", 0, 1)


# Files that are refused, and what they leave behind: nothing.

_NOTHING = {"psp_lines": 0, "open_lines": 0, "psp_payouts": 0, "bank_lines": 0, "open_bank_lines": 0}


@pytest.mark.parametrize(
    ("body", "reason", "line", "field"),
    [
        (b"acma,", "this is no report of acme of a known format; known: acme_csv", 1, None),
        (acme_report(acme_line(1))[:-4], "the file is truncated", 2, None),
        (acme_report(acme_line(1), acme_line(2), total=5), "the total is 5, the lines add up to 1943", 1, "total"),
        (acme_report(acme_line(1)).replace(b"Order", b"\xff\xfe"), "the file is not UTF-8", 2, None),
        (acme_report(acme_line(1), "x" * 3_000_000), "a line is longer than 64 KiB", 3, None),
    ],
    ids=["another type", "truncated", "totals", "encoding", "endless line"],
)
async def test_a_file_at_fault_is_refused_whole_and_says_where(
    world: World, body: bytes, reason: str, line: int, field: str | None
):
    file = await world.loaded(body)
    assert file.state == "refused"
    assert file.refusal is not None
    assert (file.refusal.reason, file.refusal.line, file.refusal.field) == (reason, line, field)
    assert (await world.counts()).items() >= _NOTHING.items()


async def test_a_fault_behind_many_batches_takes_all_of_them_back_and_nothing_else(database_url: str):
    async with world_on(database_url, batch_lines=100) as world:
        await world.loaded(acme_report(*(acme_line(n) for n in range(150))))
        before = await world.sql(_ALL)
        body = acme_report(*(acme_line(n) for n in range(100, 1_250)), total=1)
        assert (await world.loaded(body)).state == "refused"
        assert await world.sql(_ALL) == before
        assert await world.one("SELECT count(*) FROM open_lines") == 150


async def test_a_file_that_was_refused_may_come_again(world: World):
    body = acme_report(acme_line(1), total=1)
    first, _ = await world.send(body)
    await world.files.load.next(first.id)
    second, is_new = await world.send(body)
    assert (is_new, second.id != first.id) == (True, True)


async def test_what_is_not_the_format_that_was_named_is_put_aside_line_by_line_until_it_is_too_much(world: World):
    file = await world.loaded(acme_report(*("nonsense" for _ in range(BAD_LINES_MAX + 1))))
    assert file.state == "refused"
    assert file.refusal is not None
    assert file.refusal.reason.startswith("more than 10,000 of its lines are at fault; the last: ")


async def test_a_defect_of_a_reader_refuses_the_file_and_shows_no_card_data(world: World):
    file = await world.loaded(acme_report(acme_line(1), "raise"))
    assert file.state == "refused"
    assert file.refusal is not None
    assert file.refusal.reason.startswith("it cannot be read as acme_csv: ValueError: a card number ")
    assert "4111" not in file.refusal.reason
    assert await world.one("SELECT count(*) FROM psp_lines") == 0


async def test_a_file_of_a_psp_whose_reader_is_gone_is_refused(database_url: str):
    async with world_on(database_url) as world:
        file, _ = await world.send(acme_report(acme_line(1)))
    async with world_on(database_url, reports={"other": ACME}) as world:
        await world.files.load.next()
        kept = await world.files.records.kept(file.id)
        assert (kept.state, kept.refusal) == ("refused", "reports of acme cannot be read; those of other can")


async def test_a_line_of_a_loaded_file_is_not_deleted_and_not_changed(world: World):
    await world.loaded(acme_report(acme_line(1)))
    for statement in (
        "DELETE FROM psp_lines",
        "UPDATE psp_lines SET gross_minor = 5",
        "UPDATE psp_lines SET payout_id = NULL",
        "UPDATE psp_lines SET payout_id = id",
        "TRUNCATE psp_lines",
    ):
        with pytest.raises(Exception, match="never"):
            await world.sql(statement)


# Two at once, and processes that are given up.


async def test_files_of_one_account_are_loaded_one_after_the_other(database_url: str):
    started, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(pieces: Iterable[bytes]) -> Iterator[Any]:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(30)
        yield from read_acme(pieces)

    reports = {"acme": Reports(formats={"acme_csv": slow}, recognise=ACME.recognise)}
    async with world_on(database_url, reports=reports) as world:
        await world.account("shop")
        first, _ = await world.send(acme_report(acme_line(1)))
        second, _ = await world.send(acme_report(acme_line(1), acme_line(2)))
        other, _ = await world.send(acme_report(acme_line(3)), account="shop")
        loading = asyncio.create_task(world.files.load.next())
        await asyncio.wait_for(started.wait(), 20)
        assert await world.files.load.next(second.id) is None
        go_on.set()
        assert await world.files.load.next() == other.id
        assert await loading == first.id
        assert await world.files.load.next() == second.id
        assert await world.files.load.next() is None
        assert await world.one("SELECT count(*) FROM psp_lines") == 3


async def test_many_loaders_at_once_load_each_file_once(world: World):
    for number in range(6):
        await world.send(acme_report(*(acme_line(n) for n in range(number * 50, number * 50 + 100))))
    while any(await at_once(*(world.files.load.next() for _ in range(4)))):
        pass
    assert await world.sql("SELECT DISTINCT state FROM report_files") == [("loaded",)]
    assert await world.one("SELECT count(*) FROM psp_lines") == 350
    assert await world.one("SELECT sum(lines)::bigint FROM report_files") == 350
    assert await world.one("SELECT sum(repeated)::bigint FROM report_files") == 250


async def test_a_loader_whose_lease_was_taken_over_writes_nothing_more(database_url: str):
    started, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def stalls(pieces: Iterable[bytes]) -> Iterator[Any]:
        for number, line in enumerate(read_acme(pieces)):
            if number == 20:
                loop.call_soon_threadsafe(started.set)
                asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(30)
            yield line

    body = acme_report(*(acme_line(n) for n in range(100)))
    reports = {"acme": Reports(formats={"acme_csv": stalls}, recognise=ACME.recognise)}
    async with world_on(database_url, reports=reports, batch_lines=10) as slow, world_on(database_url) as quick:
        file, _ = await slow.send(body)
        stalled = asyncio.create_task(slow.files.load.next())
        await asyncio.wait_for(started.wait(), 20)
        assert await quick.files.load.next() is None
        await quick.sql("UPDATE report_files SET lease_until = now() - interval '1 second'")
        assert await quick.files.load.next() == file.id
        rows = await quick.sql(_ALL)
        assert len(rows) == 100
        go_on.set()
        await stalled
        kept = await quick.files.records.kept(file.id)
        assert (kept.state, kept.lines, kept.repeated) == ("loaded", 100, 0)
        assert await quick.sql(_ALL) == rows


async def test_a_load_that_is_cancelled_ends_and_is_taken_up_again(database_url: str):
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stalls(pieces: Iterable[bytes]) -> Iterator[Any]:
        yield from iter([])
        for _ in pieces:
            loop.call_soon_threadsafe(started.set)
        yield from read_acme(iter([]))

    body = acme_report(*(acme_line(n) for n in range(60_000)))
    reports = {"acme": Reports(formats={"acme_csv": stalls}, recognise=ACME.recognise)}
    async with world_on(database_url, reports=reports) as world:
        file, _ = await world.send(body)
        loading = asyncio.create_task(world.files.load.next())
        await asyncio.wait_for(started.wait(), 20)
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
    async with world_on(database_url) as world:
        await world.sql("UPDATE report_files SET lease_until = now() - interval '1 second'")
        assert await world.files.load.next() == file.id
        assert await world.one("SELECT count(*) FROM psp_lines") == 60_000
