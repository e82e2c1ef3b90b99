"""Reads reports of PSPs in tests, and holds every reader to what all of them promise."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC

from bezant.base.file_faults import BadLine, FileRefused
from bezant.base.money import EXPONENTS
from bezant.psp.reports import LineKind, Reader, ReportLine

Read = ReportLine | BadLine


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    """`data` as it may come from somewhere, `size` bytes at a time."""
    return (data[start : start + size] for start in range(0, len(data), size))


def read(reader: Reader, data: bytes | str) -> list[Read]:
    """All that a reader makes of a file."""
    return list(reader([data.encode() if isinstance(data, str) else data]))


def lines(reader: Reader, data: bytes | str) -> list[ReportLine]:
    """The lines of a file in which nothing is at fault."""
    found = read(reader, data)
    assert [each for each in found if isinstance(each, BadLine)] == []
    return [each for each in found if isinstance(each, ReportLine)]


def line(reader: Reader, data: bytes | str, number: int) -> ReportLine:
    """What stands on one line of a file."""
    (found,) = [each for each in read(reader, data) if each.number == number]
    assert isinstance(found, ReportLine), found
    return found


def bad(reader: Reader, data: bytes | str) -> list[tuple[int, str | None, str]]:
    """The lines at fault: number, field and reason."""
    return [(each.number, each.field, each.reason) for each in read(reader, data) if isinstance(each, BadLine)]


def refusal(reader: Reader, data: bytes | str) -> FileRefused:
    """Why a file is refused."""
    try:
        found = read(reader, data)
    except FileRefused as refused:
        return refused
    raise AssertionError(f"not refused: {found}")


def check(found: Iterable[Read], data: bytes) -> None:
    """What holds of whatever a reader gives out."""
    last, lines_max = 0, data.count(b"\n") + 1
    for each in found:
        assert last < each.number <= lines_max
        last = each.number
        if isinstance(each, BadLine):
            assert each.reason
            assert len(each.text) <= 500
            continue
        assert each.net_minor == each.gross_minor - each.fee_minor
        assert each.kind is not LineKind.FEE or each.gross_minor == 0
        assert each.currency in EXPONENTS
        assert each.occurred_at.tzinfo is UTC
        assert each.line_reference
        assert (each.presented_minor is None) == (each.presented_currency is None)
        assert each.presented_currency != each.currency
        texts = (each.reference, each.psp_reference, each.operation_reference, each.payout_reference, each.description)
        assert "" not in texts


def mutated(data: bytes, seed: int) -> bytes:
    """`data` with a few things wrong with it: bytes, cells and lines changed, lost, doubled or swapped."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 4)):
        if not data:
            break
        at = chance.randrange(len(data))
        match chance.randrange(8):
            case 0:
                data = data[:at]
            case 1:
                data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
            case 2:
                data = data[:at] + data[at + chance.randint(1, 30) :]
            case 3:
                data = data[:at] + chance.choice([b'"', b",", b"\n", b"\r", b"\0", b";", b"-", b"9" * 40]) + data[at:]
            case 4:
                cut = data.splitlines(keepends=True)
                cut.insert(chance.randrange(len(cut) + 1), chance.choice(cut))
                data = b"".join(cut)
            case 5:
                cut = data.splitlines(keepends=True)
                del cut[chance.randrange(len(cut))]
                data = b"".join(cut)
            case 6:
                cells = data.split(b",")
                one, other = chance.randrange(len(cells)), chance.randrange(len(cells))
                cells[one], cells[other] = cells[other], cells[one]
                data = b",".join(cells)
            case _:
                data = data.replace(bytes([data[at]]), bytes([chance.randrange(256)]), chance.randint(1, 3))
    return data


def survives(reader: Reader, data: bytes, seed: int) -> list[Read] | None:
    """What a reader makes of a mutated file, whatever the pieces; None where it is refused. Anything else raises."""
    wrong = mutated(data, seed)
    outcomes: list[list[Read] | None] = []
    for size in (1 + seed % 97, 100_000):
        try:
            outcomes.append(list(reader(in_pieces(wrong, size))))
        except FileRefused:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]
    check(outcomes[1] or [], wrong)
    return outcomes[1]
