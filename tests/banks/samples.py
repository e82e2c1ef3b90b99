"""Small files of each format, and what a reader makes of them."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from bezant.banks.bai2 import read_bai2
from bezant.banks.camt import read_camt
from bezant.banks.contract import Part, StatementEntry, StatementFoot, StatementHead
from bezant.banks.csv_file import read_csv
from bezant.banks.csv_mapping import CsvMapping
from bezant.banks.mt940 import read_mt940
from bezant.base.file_faults import BadLine, FileRefused

BANK_MAPPING = CsvMapping(
    account="DE89370400440532013000",
    currency="EUR",
    date_column="Booked",
    date_format="DD.MM.YYYY",
    amount_column="Amount",
    decimal_sign=",",
    delimiter=";",
    entry_reference_column="Bank reference",
    reference_columns=("End-to-end",),
    text_columns=("Text",),
    counterparty_column="Payer",
    balance_column="Balance",
)

CSV = b"""Your account statement;;
Booked;Amount;Text;End-to-end;Bank reference;Payer;Balance
01.04.2026;100,00;"Payout; April";po_1;B1;ACME PSP;100,00
02.04.2026;-2.500,50;Rent;NONREF;B2;Landlord;-2.400,50
03.04.2026;0,50;"He said ""thanks""
twice";po_3;B3;Someone;-2.400,00
"""

MT940 = b""":20:STMT1\r
:25:DE89370400440532013000\r
:28C:12/1\r
:60F:C260401EUR1000,00\r
:61:2604020402CR150,25NTRFpo_1//BANK1\r
:86:166?00GUTSCHRIFT?20EREF+pay_1?21SVWZ+Payout 1?31DE02120300000000202051?32ACME PSP\r
:61:2604030403DR50,00NCHGNONREF//BANK2\r
:86:Fees of March\r
:62F:C260403EUR1100,25\r
-\r
"""

MT942 = b""":20:INTERIM\r
:25:DE89370400440532013000\r
:28C:1/1\r
:34F:EURD0,\r
:13D:2604021815+0200\r
:61:2604020402C10,NTRFpo_1//B1\r
:61:2604020402D2,5NTRFpo_2//B2\r
:61:2604020402EC9,NTRFpo_3//B3\r
:90D:1EUR2,5\r
:90C:1EUR10,\r
-\r
"""

BAI2 = b"""01,SENDER,RECEIVER,260402,0713,1,,,2/
02,RECEIVER,SENDER,1,260401,,USD,2/
03,1234567890,USD,010,100000,,,015,105500,,/
88,100,6000,1,,400,500,1,/
16,195,6000,V,260403,,BANK1,po_1,INCOMING WIRE/
88,ACME PSP, BATCH 17
88,EREF: pay_1
16,698,500,Z,BANK2,,MONTHLY FEE/
49,218500,7/
98,218500,1,9/
99,218500,1,11/
"""


def entry(
    amount: str = "12.34", *, inside: str = "", side: str = "CRDT", status: str = "<Cd>BOOK</Cd>", **more: str
) -> str:
    """An entry of a camt message of version 08 or later."""
    day = more.get("day", "<BookgDt><Dt>2026-04-02</Dt></BookgDt>")
    return (
        f'<Ntry><Amt Ccy="{more.get("currency", "EUR")}">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>'
        f"<Sts>{status}</Sts>{day}{inside}</Ntry>"
    )


def balance(code: str, amount: str, *, currency: str = "EUR", side: str = "CRDT") -> str:
    """A balance of a camt message."""
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="{currency}">{amount}</Amt>'
        f"<CdtDbtInd>{side}</CdtDbtInd><Dt><Dt>2026-04-01</Dt></Dt></Bal>"
    )


def camt(inside: str, kind: str = "camt.053", version: str = "08", before: str = "", head: str | None = None) -> bytes:
    """A camt message with one statement; `inside` is what follows its account."""
    message, statement = {
        "camt.052": ("BkToCstmrAcctRpt", "Rpt"),
        "camt.053": ("BkToCstmrStmt", "Stmt"),
        "camt.054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn"),
    }[kind]
    account = "<Acct><Id><IBAN>DE89 3704 0044 0532 0130 00</IBAN></Id><Ccy>EUR</Ccy></Acct>" if head is None else head
    return (
        f'{before}<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{kind}.001.{version}"><{message}>\n'
        f"<GrpHdr><MsgId>M1</MsgId></GrpHdr>\n<{statement}><Id>S1</Id><ElctrncSeqNb>7</ElctrncSeqNb>\n"
        f"<CreDtTm>2026-04-03T06:00:00+02:00</CreDtTm>\n{account}\n{inside}\n</{statement}></{message}></Document>\n"
    ).encode()


CAMT = camt(
    balance("OPBD", "1000.00")
    + balance("CLBD", "1012.84")
    + "\n"
    + entry(inside="<AcctSvcrRef>B1</AcctSvcrRef>")
    + "\n"
    + entry("0.50", inside="<AcctSvcrRef>B2</AcctSvcrRef>"),
)


class Read(NamedTuple):
    """What a reader has made of a file."""

    parts: list[Part]
    refusal: FileRefused | None

    @property
    def entries(self) -> list[StatementEntry]:
        return [part for part in self.parts if isinstance(part, StatementEntry)]

    @property
    def entry(self) -> StatementEntry:
        (only,) = self.entries
        return only

    @property
    def heads(self) -> list[StatementHead]:
        return [part for part in self.parts if isinstance(part, StatementHead)]

    @property
    def feet(self) -> list[StatementFoot]:
        return [part for part in self.parts if isinstance(part, StatementFoot)]

    @property
    def bad(self) -> list[BadLine]:
        return [part for part in self.parts if isinstance(part, BadLine)]

    @property
    def reason(self) -> str:
        assert self.refusal is not None, "it was read"
        return str(self.refusal)


def read(reader: Callable[[Iterable[bytes]], Iterator[Part]], data: bytes, size: int | None = None) -> Read:
    """Read a file that comes whole, or in pieces of `size` bytes."""
    pieces = [data] if size is None else [data[at : at + size] for at in range(0, len(data), size)]
    parts: list[Part] = []
    try:
        for part in reader(pieces):
            parts.append(part)
    except FileRefused as refusal:
        return Read(parts, refusal)
    return Read(parts, None)


def read_bank_csv(pieces: Iterable[bytes]) -> Iterator[Part]:
    """The CSV of this module's bank."""
    return read_csv(pieces, mapping=BANK_MAPPING)


FILES: dict[str, tuple[Callable[[Iterable[bytes]], Iterator[Part]], bytes]] = {
    "camt": (read_camt, CAMT),
    "mt940": (read_mt940, MT940),
    "mt942": (read_mt940, MT942),
    "bai2": (read_bai2, BAI2),
    "csv": (read_bank_csv, CSV),
}
"""A file of each format with its reader."""
