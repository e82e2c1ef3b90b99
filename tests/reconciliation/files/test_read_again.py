"""A person has a file read once more that was refused, or lines of which were put aside."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import pytest

from bezant.base import ids
from bezant.base.errors import Conflict, InvalidRequest, NotFound
from bezant.base.file_faults import BadLine, FileRefused
from bezant.psp.reports import ReportLine, Reports
from bezant.reconciliation.files.read_again import ReadFileAgain
from bezant.reconciliation.files.records import QuarantineFilter, ReportFileView, parsed_id, view
from tests.reconciliation.files.readers import FORMATS, acme_line, acme_report, read_acme
from tests.reconciliation.files.world import World, at_once, world_on

WHY = ReadFileAgain(reason="the reader was mended")


class Reader:
    """A reader that does not know one word yet, and then does."""

    def __init__(self) -> None:
        self.is_mended = False
        self.fault: Callable[[], None] = lambda: None

    def __call__(self, pieces: Iterable[bytes]) -> Iterator[ReportLine | BadLine]:
        self.fault()
        for line in read_acme(pieces):
            if isinstance(line, ReportLine) and line.description == "New" and not self.is_mended:
                yield BadLine(number=line.number, reason="a new word", text="New", field="text")
            else:
                yield line


class Desk:
    """Somebody with files, and a reader that is mended some day."""

    def __init__(self, world: World, reader: Reader) -> None:
        self.world = world
        self.reader = reader

    async def reads_again(self, file_id: str, wanted: ReadFileAgain = WHY) -> ReportFileView:
        file = await self.world.files.read_again(file_id, wanted, "tests")
        await self.world.files.load.next(file.id)
        return view(await self.world.files.records.kept(file.id))

    async def in_quarantine(self, file: str | None = None) -> list[int]:
        page = await self.world.files.records.quarantined(QuarantineFilter(file=file))
        return [line.line for line in page.data]


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    reader = Reader()
    reports = {"acme": Reports(formats={"acme_csv": reader, "other": read_acme}, recognise=lambda _: "acme_csv")}
    async with world_on(database_url, reports=reports, formats=FORMATS) as world:
        yield Desk(world, reader)


async def test_lines_in_quarantine_are_loaded_once_their_reader_was_mended(desk: Desk):
    world = desk.world
    first = await world.loaded(acme_report(acme_line(1), acme_line(2, text="New"), acme_line(3, text="New")))
    assert (first.lines, await desk.in_quarantine()) == (1, [3, 4])
    desk.reader.is_mended = True
    again = await desk.reads_again(first.file_id)
    assert (again.state, again.lines, again.repeated, again.quarantined) == ("loaded", 2, 1, 0)
    assert (again.content_of, again.sha256, again.name) == (first.file_id, first.sha256, first.name)
    assert await world.one("SELECT count(*) FROM open_lines") == 3
    assert (await desk.in_quarantine(), await desk.in_quarantine(first.file_id)) == ([], [3, 4])
    kept = [piece async for piece in world.files.records.content(parsed_id(again.file_id))]
    assert b"".join(kept) == acme_report(acme_line(1), acme_line(2, text="New"), acme_line(3, text="New"))
    with pytest.raises(Conflict, match="nothing of it was refused"):
        await desk.reads_again(again.file_id)


async def test_what_was_loaded_stays_where_it_is_if_all_is_refused_the_second_time(desk: Desk):
    first = await desk.world.loaded(acme_report(acme_line(1), acme_line(2, text="New")))

    def refuse() -> None:
        raise FileRefused("the reader was mended badly")

    desk.reader.fault = refuse
    again = await desk.reads_again(first.file_id)
    assert again.state == "refused"
    assert (await desk.world.one("SELECT count(*) FROM open_lines"), await desk.in_quarantine()) == (1, [3])
    assert (await desk.world.files.records.file(first.file_id)).state == "loaded"


async def test_a_refused_file_is_read_as_another_format_and_then_it_is_there(desk: Desk):
    def refuse() -> None:
        raise FileRefused("not a word of it")

    desk.reader.fault = refuse
    body = acme_report(acme_line(1))
    first = await desk.world.loaded(body)
    assert (await desk.reads_again(first.file_id)).state == "refused"
    with pytest.raises(InvalidRequest, match="known: acme_csv, other"):
        await desk.reads_again(first.file_id, ReadFileAgain(reason="as it is", format="pdf"))
    again = await desk.reads_again(first.file_id, ReadFileAgain(reason="as it is", format="other"))
    assert (again.state, again.format, again.content_of) == ("loaded", "other", first.file_id)
    same, is_new = await desk.world.send(body)
    assert (ids.show(ids.REPORT_FILE, same.id), is_new) == (again.file_id, False)


async def test_it_is_read_by_one_at_a_time_and_that_is_audited(desk: Desk):
    first = await desk.world.loaded(acme_report(acme_line(1), acme_line(2, text="New")))
    results = await at_once(*(desk.world.files.read_again(first.file_id, WHY, "tests") for _ in range(3)))
    assert sorted(type(each).__name__ for each in results) == ["Conflict", "Conflict", "ReportFile"]
    with pytest.raises(NotFound):
        await desk.reads_again("fil_" + "0" * 32)
    record = "SELECT actor, action, subject, reason, detail ->> 'was' FROM audit_log"
    assert await desk.world.sql(record) == [
        ("tests", "read_file_again", first.file_id, "the reader was mended", "loaded")
    ]
