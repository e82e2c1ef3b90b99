"""Reports and statements that were not written here: loaded as their readers read them, or refused without a trace."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bezant.banks.contract import StatementEntry, StatementHead
from bezant.banks.formats import FORMATS
from bezant.base.file_faults import BadLine, FileRefused
from bezant.psp.reports import ReportLine
from bezant.reconciliation.files.bank_lines import normalised
from bezant.reconciliation.files.csv_mappings import bank_formats
from bezant.supported import REPORTS
from tests.reconciliation.files.world import World, pieces_of, world_on

DATA = Path(os.environ.get("BEZANT_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
_REPORTS = {"STL": "paypal", "settlement_detail": "adyen", "stripe_payout": "stripe"}


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with world_on(database_url, reports=REPORTS, formats=bank_formats(None)) as world:
        yield world


def bank_files() -> list[Path]:
    folders = ("iso20022/camt", "mt940", "bai2")
    found = (path for folder in folders for path in sorted((DATA / folder).rglob("*")))
    return [path for path in found if path.is_file() and path.name not in ("LICENSE", "EXPECT.csv")]


def path_bytes(path: Path) -> bytes:
    return path.read_bytes()


def read_whole(path: Path) -> tuple[list[Any], str | None]:
    """What the reader finds, and why it refuses the file."""
    body, parts = path.read_bytes(), list[Any]()
    known = next((each for each in FORMATS if each.recognise(body[:4096])), None)
    if known is None:
        return [], "of a known format"
    try:
        for part in known.read([body]):
            parts.append(part)
    except FileRefused as refused:
        return parts, refused.reason
    return parts, None


async def that_count(world: World, parts: list[Any]) -> list[Any]:
    """What stands in statements of the kind that brings entries of their account."""
    rows = await world.sql("SELECT identification, counts = 'final' FROM bank_accounts")
    counted, is_counted = list[Any](), False
    for part in parts:
        if isinstance(part, StatementHead):
            is_counted = dict(rows)[normalised(part.account)] == part.is_final
        if is_counted:
            counted.append(part)
    return counted


async def test_statements_are_loaded_as_they_are_read_or_refused_and_leave_nothing(world: World):
    paths = bank_files()
    if not paths:
        pytest.skip(f"files of banks are not there: {DATA} (set BEZANT_TEST_DATA)")
    assert len(paths) > 50
    loaded = 0
    for number, path in enumerate(paths):
        parts, refusal = read_whole(path)
        for at, head in enumerate(part for part in parts if isinstance(part, StatementHead)):
            account = normalised(head.account)
            known = await world.sql("SELECT 1 FROM bank_accounts WHERE identification = $1", account)
            if not known and refusal is None:
                counts = "final" if head.is_final else "interim"
                await world.bank_account(f"bank-{number}-{at}", account, None, counts)
        new = await world.files.senders.new_file(source="bank", name=path.name, by="tests")
        file, is_new = await world.files.receive(new, pieces_of(path_bytes(path)))
        if not is_new:
            continue
        await world.files.load.next(file.id)
        kept = await world.files.records.kept(file.id)
        here = await world.sql("SELECT amount_minor FROM bank_lines WHERE file_id = $1 ORDER BY line", file.id)
        if refusal is not None:
            assert kept.state == "refused", path
            assert refusal in (kept.refusal or ""), path
            assert here == [], path
            continue
        parts = await that_count(world, parts)
        entries = [part for part in parts if isinstance(part, StatementEntry)]
        assert (kept.state, kept.lines + kept.repeated) == ("loaded", len(entries)), (path, kept.refusal)
        assert kept.quarantined == sum(isinstance(part, BadLine) for part in parts), path
        if not kept.repeated:
            assert sum(row[0] for row in here) == sum(each.amount_minor for each in entries), path
        loaded += 1
    assert loaded > 15


@pytest.mark.parametrize("path", sorted((DATA / "reports").glob("*.[cC][sS][vV]")), ids=lambda path: path.name[:12])
async def test_reports_are_loaded_as_they_are_read(world: World, path: Path):
    body = path_bytes(path)
    psp = next(psp for begin, psp in _REPORTS.items() if path.name.startswith(begin))
    reports = REPORTS[psp]
    lines = list(reports.formats[reports.recognise(body[:4096]) or ""]([body]))
    new = await world.files.senders.new_file(source="psp", name=path.name, by="tests", psp=psp)
    file, _ = await world.files.receive(new, pieces_of(body))
    await world.files.load.next(file.id)
    kept = await world.files.records.kept(file.id)
    read = [line for line in lines if isinstance(line, ReportLine)]
    assert (kept.state, kept.lines, kept.quarantined) == ("loaded", len(read), len(lines) - len(read)), kept.refusal
    assert await world.one("SELECT sum(net_minor)::bigint FROM psp_lines") == sum(line.net_minor for line in read)
