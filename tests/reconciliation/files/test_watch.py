"""A folder into which others put files: taken when they are whole, moved when they are loaded or refused."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bezant.reconciliation.files.watch import pieces_of
from tests.reconciliation.files.readers import acme_line, acme_report, statement
from tests.reconciliation.files.world import World, world_on


class Folder:
    """A watched folder, and what a process does with it."""

    def __init__(self, path: Path, world: World) -> None:
        self.path = path
        self.world = world

    def put(self, where: str, body: bytes) -> Path:
        path = self.path / where
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return path

    def found(self) -> list[str]:
        return sorted(str(path.relative_to(self.path)) for path in self.path.rglob("*") if path.is_file())

    async def look(self) -> int:
        assert self.world.files.watch is not None
        return await self.world.files.watch.look()

    async def settle(self) -> None:
        """Look until nothing is left to be done, and load what was taken."""
        idle = 0
        while idle < 2:
            idle = 0 if await self.look() else idle + 1
            while await self.world.files.load.next() is not None:
                idle = 0


@pytest.fixture
async def folder(database_url: str, tmp_path: Path) -> AsyncIterator[Folder]:
    path = tmp_path / "reports"
    path.mkdir()
    async with world_on(database_url, folder=path) as world:
        yield Folder(path, world)


async def test_reports_and_statements_are_taken_by_their_place_and_moved_once_they_are_loaded(folder: Folder):
    await folder.world.bank_account()
    await folder.world.account("shop")
    folder.put("psp/acme/a.csv", acme_report(acme_line(1)))
    folder.put("psp/acme/shop/b.csv", acme_report(acme_line(2)))
    folder.put("bank/c.txt", statement())
    await folder.settle()
    assert folder.found() == ["done/bank/c.txt", "done/psp/acme/a.csv", "done/psp/acme/shop/b.csv"]
    files = """SELECT f.name, f.source, a.name, f.uploaded_by
    FROM report_files AS f LEFT JOIN psp_accounts AS a ON a.id = f.psp_account_id"""
    assert sorted(await folder.world.sql(files)) == [
        ("a.csv", "psp", None, "folder"),
        ("b.csv", "psp", "shop", "folder"),
        ("c.txt", "bank", None, "folder"),
    ]


async def test_a_file_that_still_grows_is_left_alone(folder: Folder):
    path = folder.put("psp/acme/a.csv", b"acme,\n")
    assert await folder.look() == 0
    with path.open("ab") as file:
        file.write(acme_line(1).encode())
    assert await folder.look() == 0
    with path.open("ab") as file:
        file.write(b"\nend")
    assert await folder.look() == 0
    assert await folder.look() == 1
    await folder.settle()
    assert folder.found() == ["done/psp/acme/a.csv"]


@pytest.mark.parametrize("name", [".hidden.csv", "a.csv.part", "a.csv.filepart", "a.tmp"])
async def test_what_is_named_as_a_part_is_left_alone(folder: Folder, name: str):
    folder.put(f"psp/acme/{name}", acme_report(acme_line(1)))
    await folder.settle()
    assert folder.found() == [f"psp/acme/{name}"]


@pytest.mark.parametrize(
    ("where", "body", "reason"),
    [
        ("psp/acme/a.csv", acme_report(total=1), "the total is 1, the lines add up to 0, line 1, field total"),
        ("psp/acme/a.zip", b"PK\x03\x04 and so on", "The file is a zip archive: unpack it"),
        ("psp/acme/a.csv", b"", "The file is empty."),
        ("psp/nobody/a.csv", acme_report(), "There is no such PSP whose reports can be read; known: acme."),
        ("psp/acme/nobody/a.csv", acme_report(), "There is no account of this name at acme."),
        ("bank/a.txt", b"what", "this is no bank statement of a known format; known: small, line 1"),
    ],
)  # fmt: skip
async def test_what_is_refused_is_moved_with_a_text_that_says_why(folder: Folder, where: str, body: bytes, reason: str):
    folder.put(where, body)
    await folder.settle()
    assert folder.found() == [f"refused/{where}", f"refused/{where}.reason.txt"]
    assert (folder.path / f"refused/{where}.reason.txt").read_text().startswith(reason)


async def test_a_file_that_is_there_already_is_moved_and_not_loaded_again(folder: Folder):
    folder.put("psp/acme/a.csv", acme_report(acme_line(1)))
    await folder.settle()
    folder.put("psp/acme/a.csv", acme_report(acme_line(1)))
    await folder.settle()
    assert await folder.world.one("SELECT count(*) FROM report_files") == 1
    assert len(folder.found()) == 2, "the second one has a name of its own"
    assert all(name.startswith("done/psp/acme/") and name.endswith("a.csv") for name in folder.found())


async def test_another_process_that_looks_after_this_one_died_ends_the_same(folder: Folder, database_url: str):
    folder.put("psp/acme/a.csv", acme_report(acme_line(1)))
    await folder.look()
    await folder.look()
    assert folder.found() == ["psp/acme/a.csv"], "received, but not yet loaded"
    async with world_on(database_url, folder=folder.path) as other:
        await Folder(folder.path, other).settle()
    assert folder.found() == ["done/psp/acme/a.csv"]
    assert await folder.world.one("SELECT count(*) FROM report_files") == 1
    await folder.settle()


async def test_links_are_not_followed(folder: Folder, tmp_path: Path):
    secret = tmp_path / "secret.csv"
    secret.write_bytes(acme_report(acme_line(1)))
    folder.put("psp/acme/.keep", b"")
    (folder.path / "psp/acme/link.csv").symlink_to(secret)
    (tmp_path / "elsewhere/acme").mkdir(parents=True)
    (tmp_path / "elsewhere/acme/b.csv").write_bytes(acme_report(acme_line(2)))
    (folder.path / "bank").symlink_to(tmp_path / "elsewhere/acme")
    (folder.path / "psp/other").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder.path / "psp/acme/pipe.csv")
    await folder.settle()
    assert await folder.world.one("SELECT count(*) FROM report_files") == 0
    assert secret.exists()


async def test_a_file_that_became_a_link_since_it_was_seen_is_not_read(tmp_path: Path):
    (tmp_path / "secret.csv").write_bytes(b"secret")
    (tmp_path / "a.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(OSError, match="symbolic"):
        await anext(pieces_of(tmp_path / "a.csv"))
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(OSError, match="no regular file"):
        await anext(pieces_of(tmp_path / "pipe.csv"))


async def test_a_file_that_cannot_be_read_or_moved_stands_in_nobody_s_way(folder: Folder):
    folder.put("psp/acme/a.csv", acme_report(acme_line(1)))
    folder.put("done/psp", b"a file where a folder should be")
    folder.put("psp/acme/b.csv", b"what")
    folder.put("bank/c.txt", b"what")
    for _ in range(4):
        await folder.look()
        while await folder.world.files.load.next() is not None:
            pass
    assert [name for name in folder.found() if not name.endswith(".reason.txt")] == [
        "done/psp",
        "psp/acme/a.csv",
        "refused/bank/c.txt",
        "refused/psp/acme/b.csv",
    ]
    assert await folder.world.sql("SELECT name FROM report_files WHERE state = 'loaded'") == [("a.csv",)]
    (folder.path / "done/psp").unlink()
    await folder.settle()
    assert "done/psp/acme/a.csv" in folder.found()


async def test_a_folder_that_is_not_there_is_looked_at_again(folder: Folder):
    folder.path.rmdir()
    assert await folder.look() == 0
    folder.put("psp/acme/a.csv", acme_report(acme_line(1)))
    await folder.settle()
    assert folder.found() == ["done/psp/acme/a.csv"]
