"""A process that receives and loads one large or hostile file, and says how much memory it took: `measured.py what n`.

What it receives is made while it is received, so that the memory is that of receiving and loading.
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import AsyncIterator, Callable, Iterator

from bezant.base.log import configure
from bezant.connectors.simulator import CONNECTOR
from bezant.reconciliation.files.csv_mappings import bank_formats
from bezant.reconciliation.files.records import view
from bezant.reconciliation.files.states import Source
from tests.reconciliation.files.readers import REPORTS, acme_line
from tests.reconciliation.files.world import IBAN, MIB, world_on

_CAMT = (
    '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId>'
    "<CreDtTm>2026-04-01T00:00:00Z</CreDtTm></GrpHdr><Stmt><Id>S</Id>"
    f"<Acct><Id><IBAN>{IBAN}</IBAN></Id><Ccy>EUR</Ccy></Acct>"
)


def report(lines: int) -> Iterator[str]:
    """A report of so many lines."""
    yield "acme,\n"
    for number in range(lines):
        yield acme_line(number) + "\n"
    yield "end"


def laughs(_: int) -> Iterator[str]:
    """An entity that is made of entities that are made of entities."""
    yield '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a0 "' + "ha" * 100 + '">'
    for level in range(1, 12):
        yield f'<!ENTITY a{level} "' + f"&a{level - 1};" * 10 + '">'
    yield "]>" + _CAMT + "<AddtlStmtInf>&a11;</AddtlStmtInf></Stmt></BkToCstmrStmt></Document>"


def outside(_: int) -> Iterator[str]:
    """An entity that stands in a file of the machine."""
    yield '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + _CAMT
    yield "<AddtlStmtInf>&x;</AddtlStmtInf></Stmt></BkToCstmrStmt></Document>"


def endless_text(mebibytes: int) -> Iterator[str]:
    """A text that does not end."""
    yield _CAMT + "<AddtlStmtInf>"
    yield from ("x" * MIB for _ in range(mebibytes))


def endless_cell(mebibytes: int) -> Iterator[str]:
    """A cell of a report that does not end."""
    yield "report_id,row,type,line_id,charge_id,operation_id,reference,currency,gross,fee,net,presented_amount,"
    yield 'presented_currency,fx_rate,payout_id,at,description\r\nrep_1,1,charge,"'
    yield from ("x" * MIB for _ in range(mebibytes))


def endless_record(mebibytes: int) -> Iterator[str]:
    """A field of an MT940 that does not end."""
    yield ":20:A\r\n:25:1234\r\n:28C:1\r\n:60F:C260401EUR0,00\r\n:61:260401C1,00NTRFNONREF\r\n:86:"
    yield from ("x" * 60 + "\r\n" for _ in range(mebibytes * MIB // 62))


FILES: dict[str, tuple[Source, str | None, Callable[[int], Iterator[str]]]] = {
    "report": ("psp", "acme", report),
    "laughs": ("bank", None, laughs),
    "outside": ("bank", None, outside),
    "endless text": ("bank", None, endless_text),
    "endless cell": ("psp", "simulator", endless_cell),
    "endless record": ("bank", None, endless_record),
}


async def pieces(texts: Iterator[str]) -> AsyncIterator[bytes]:
    """Bytes of texts."""
    for text in texts:
        yield text.encode()


def peak_mib() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def main(what: str, size: int) -> None:
    source, psp, texts = FILES[what]
    assert CONNECTOR.reports is not None
    reports = {**REPORTS, "simulator": CONNECTOR.reports}
    async with world_on(
        os.environ["FILES_DATABASE_URL"], reports=reports, formats=bank_formats(None), size_max=1 << 31
    ) as world:
        await world.bank_account()
        new = await world.files.senders.new_file(source=source, name="a", by="tests", psp=psp)
        before_mib = peak_mib()
        file, _ = await world.files.receive(new, pieces(texts(size)))
        await world.files.load.next(file.id)
        found = view(await world.files.records.kept(file.id))
        reason = found.refusal and found.refusal.reason
        print(
            json.dumps({"state": found.state, "lines": found.lines, "reason": reason, "mib": peak_mib() - before_mib})
        )


if __name__ == "__main__":
    configure("json")
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
