"""A file of a million entries is read in the memory of a few."""

import tracemalloc
from collections.abc import Callable, Iterable, Iterator

import pytest

from bezant.banks.bai2 import read_bai2
from bezant.banks.camt import read_camt
from bezant.banks.contract import Part
from bezant.banks.mt940 import read_mt940
from tests.banks.samples import balance, camt, entry, read_bank_csv

FEW, MANY = 200, 2_000
MARGIN_BYTES = 96 * 1024


def camt_file(count: int) -> Iterator[bytes]:
    minor = divmod(count * 1234, 100)
    start, end = camt(balance("OPBD", "0") + balance("CLBD", f"{minor[0]}.{minor[1]:02}") + "@").split(b"@")
    yield start
    for number in range(count):
        yield entry(inside=f"<AcctSvcrRef>B{number}</AcctSvcrRef>").encode()
    yield end


def batch_file(count: int) -> Iterator[bytes]:
    """One entry of ten times as many transactions."""
    start, end = camt(entry(inside="<NtryDtls>@</NtryDtls>")).split(b"@")
    yield start
    for number in range(10 * count):
        yield f"<TxDtls><Refs><EndToEndId>po_{number}</EndToEndId></Refs></TxDtls>".encode()
    yield end


def mt940_file(count: int) -> Iterator[bytes]:
    yield b":20:S1\n:25:A\n:60F:C260401EUR0,\n"
    for number in range(count):
        yield f":61:260402C1,NTRFpo_{number}//B{number}\n:86:166?00GUT?20EREF+po_{number}?32ACME\n".encode()
    yield f":62F:C260402EUR{count},\n-\n".encode()


def bai2_file(count: int) -> Iterator[bytes]:
    yield b"01,S,R,260402,0713,1,,,2/\n02,R,S,1,260401,,USD,2/\n03,1,USD/\n"
    for number in range(count):
        yield f"16,142,100,Z,B{number},po_{number},/\n88,TEXT\n".encode()
    total = count * 100
    yield f"49,{total},{2 * count + 2}/\n98,{total},1,{2 * count + 4}/\n99,{total},1,{2 * count + 6}/\n".encode()


def csv_file(count: int) -> Iterator[bytes]:
    yield b"Booked;Amount;Text;End-to-end;Bank reference;Payer;Balance\n"
    for number in range(count):
        yield f"01.04.2026;1,00;Payout;po_{number};B{number};ACME;{number + 1},00\n".encode()


@pytest.mark.parametrize(
    ("reader", "file"),
    [(read_camt, camt_file), (read_mt940, mt940_file), (read_bai2, bai2_file), (read_bank_csv, csv_file)],
    ids=["camt", "mt940", "bai2", "csv"],
)
def test_memory_does_not_grow_with_the_entries(
    reader: Callable[[Iterable[bytes]], Iterator[Part]], file: Callable[[int], Iterator[bytes]]
):
    peak(reader, file, FEW)  # what is made at its first use stays for ever, and counts for neither
    assert peak(reader, file, MANY) < peak(reader, file, FEW) + MARGIN_BYTES


def test_memory_does_not_grow_with_the_transactions_of_an_entry():
    peak(read_camt, batch_file, FEW, parts=3)
    assert peak(read_camt, batch_file, MANY, parts=3) < peak(read_camt, batch_file, FEW, parts=3) + MARGIN_BYTES


def peak(
    reader: Callable[[Iterable[bytes]], Iterator[Part]],
    file: Callable[[int], Iterator[bytes]],
    count: int,
    parts: int | None = None,
) -> int:
    read = 0
    tracemalloc.start()
    try:
        for _ in reader(file(count)):
            read += 1
        peaked = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read == (count + 2 if parts is None else parts)
    return peaked
