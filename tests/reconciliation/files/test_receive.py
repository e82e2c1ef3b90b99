"""A file comes as a stream, is kept as it came and once, and what is no report is refused before it is kept."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from bezant.base.errors import Conflict, ContentTooLarge, InvalidRequest, UnsupportedMediaType
from bezant.reconciliation.files.receive import PART_BYTES
from bezant.reconciliation.files.records import FileFilter
from bezant.reconciliation.files.states import checked_name
from tests.reconciliation.files.readers import acme_line, acme_report, statement
from tests.reconciliation.files.world import World, at_once, pieces_of, sha256, world_on


async def test_a_file_is_kept_as_it_came_in_parts_of_a_mebibyte(world: World):
    body = random.Random(1).randbytes(2 * PART_BYTES + 12_345)
    file, is_new = await world.send(body)
    assert (is_new, file.state, file.size_bytes) == (True, "received", len(body))
    assert file.sha256 is not None
    assert file.sha256.hex() == sha256(body)
    assert b"".join([piece async for piece in world.files.records.content(file.id)]) == body
    assert await world.sql("SELECT part FROM report_file_parts ORDER BY 1") == [(0,), (1,), (2,)]


async def test_the_same_file_again_is_the_one_that_is_there(world: World):
    first, _ = await world.send(acme_report(acme_line(1)))
    again, is_new = await world.send(acme_report(acme_line(1)), name="another name.csv")
    assert (again.id, is_new) == (first.id, False)
    assert await world.one("SELECT count(*) FROM report_files") == 1
    assert await world.one("SELECT count(*) FROM report_file_parts") == 1


async def test_the_same_file_from_two_at_once_is_kept_once(world: World):
    body = acme_report(*(acme_line(n) for n in range(20_000)))
    both = await at_once(*(world.send(body) for _ in range(4)))
    assert len({file.id for file, _ in both}) == 1
    assert sorted(is_new for _, is_new in both) == [False, False, False, True]
    assert await world.one("SELECT count(*) FROM report_files") == 1


async def test_the_same_file_as_another_account_s_is_refused_and_says_whose_it_is(world: World):
    await world.account("shop")
    await world.send(acme_report(acme_line(1)))
    with pytest.raises(Conflict, match=r"there already, as fil_[0-9a-f]{32} of acme"):
        await world.send(acme_report(acme_line(1)), account="shop")
    assert await world.one("SELECT count(*) FROM report_files") == 1


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"PK\x03\x04" + b"\0" * 100, "a ZIP archive"),
        (b"\x1f\x8b\x08\x00" + b"\0" * 100, "a gzip archive: unpack it"),
        (b"BZh91AY&SY", "a bzip2 archive: unpack it"),
        (b"\xfd7zXZ\x00", "an xz archive"),
        (b"%PDF-1.7", "a PDF document, and no report"),
        (b"a.csv".ljust(257, b"\0") + b"ustar", "a tar archive: unpack it"),
        (b"\x7fELF" + b"\0" * 100, "a program, and no report"),
    ],
)
async def test_what_is_packed_or_no_text_is_refused_and_leaves_nothing(world: World, body: bytes, what: str):
    with pytest.raises(UnsupportedMediaType, match=what):
        await world.send(body)
    assert await world.one("SELECT count(*) FROM report_files") == 0


async def test_a_zip_whose_first_bytes_come_one_by_one_is_refused(world: World):
    new = await world.files.senders.new_file(source="psp", name="a.csv", by="tests", psp="acme")
    with pytest.raises(UnsupportedMediaType):
        await world.files.receive(new, pieces_of(b"PK\x03\x04" + b"x" * 50, size=1))


async def test_an_empty_file_is_refused(world: World):
    with pytest.raises(InvalidRequest, match="empty"):
        await world.send(b"")


async def test_a_file_over_the_limit_is_refused_as_soon_as_it_is_over(database_url: str):
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += PART_BYTES
            yield b"x" * PART_BYTES

    async with world_on(database_url, size_max=3 * PART_BYTES) as world:
        new = await world.files.senders.new_file(source="psp", name="a.csv", by="tests", psp="acme")
        with pytest.raises(ContentTooLarge):
            await world.files.receive(new, endless())
        assert read == 4 * PART_BYTES
        assert await world.one("SELECT count(*) FROM report_file_parts") == 0


async def test_a_sender_who_hangs_up_leaves_nothing_behind(world: World):
    async def breaks_off() -> AsyncIterator[bytes]:
        yield b"acme,\n" * 300_000
        raise ConnectionResetError

    new = await world.files.senders.new_file(source="psp", name="a.csv", by="tests", psp="acme")
    with pytest.raises(ConnectionResetError):
        await world.files.receive(new, breaks_off())
    assert await world.one("SELECT count(*) FROM report_files") == 0
    assert await world.one("SELECT count(*) FROM report_file_parts") == 0


async def test_what_nobody_sends_any_more_is_forgotten_once_its_lease_is_over(world: World):
    stuck = asyncio.Event()

    async def stops() -> AsyncIterator[bytes]:
        yield b"acme,\n" * 300_000
        stuck.set()
        await asyncio.Event().wait()

    new = await world.files.senders.new_file(source="psp", name="a.csv", by="tests", psp="acme")
    receiving = asyncio.create_task(world.files.receive(new, stops()))
    await asyncio.wait_for(stuck.wait(), 20)
    assert await world.files.receive.forget_abandoned() == 0
    receiving.cancel()
    assert (await world.files.records.files(FileFilter())).data == []
    await world.sql("UPDATE report_files SET lease_until = now() - interval '1 second'")
    assert await world.files.receive.forget_abandoned() == 1
    assert await world.one("SELECT count(*) FROM report_file_parts") == 0


async def test_a_file_that_is_here_is_not_changed_and_not_deleted(world: World):
    await world.send(acme_report(acme_line(1)))
    for statement_ in (
        "UPDATE report_file_parts SET body = ''",
        "DELETE FROM report_file_parts",
        "TRUNCATE report_file_parts",
    ):
        with pytest.raises(Exception, match="is kept"):
            await world.sql(statement_)


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({"psp": "nobody"}, "/psp"),
        ({"psp": None}, "/psp"),
        ({"format_": "xls"}, "/format"),
        ({"psp_account": "nobody"}, "/psp_account"),
        ({"source": "bank"}, "/psp"),
        ({"source": "bank", "psp": None, "format_": "mt940"}, "/format"),
        ({"name": "/"}, "/name"),
        ({"name": "a\0.csv"}, "/name"),
    ],
)
async def test_what_is_said_of_a_file_must_be_something_that_there_is(world: World, said: dict[str, str], param: str):
    with pytest.raises(InvalidRequest) as refused:
        await world.files.senders.new_file(**({"source": "psp", "name": "a", "by": "b", "psp": "acme"} | said))  # type: ignore[arg-type]
    assert refused.value.param == param


@pytest.mark.parametrize(("name", "kept"), [("../../etc/passwd", "passwd"), ("C:\\in\\a b.csv", "a b.csv")])
def test_of_a_path_only_the_name_is_kept(name: str, kept: str):
    assert checked_name(name) == kept


async def test_a_statement_is_received_like_a_report(world: World):
    file, is_new = await world.send(statement(), source="bank")
    assert (file.source, file.psp, is_new) == ("bank", None, True)
