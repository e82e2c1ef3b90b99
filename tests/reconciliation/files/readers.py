"""Readers of these tests: a report of the PSP Acme, and a statement of a small bank. One line each, cells by commas.

acme,<total of nets>                                    the first line
<reference>,<kind>,<currency>,<gross>,<fee>,<seconds since 2026-04-01>,<ours>,<payout>,<text>
end                                                     the last line

bank,<account>,<currency>,<opening>[,interim]           a statement begins
<booked on>,<currency>,<amount>,<the bank's name of it>,<text>,<reference>
foot,<closing>                                          it ends; the balances must add up
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from bezant.banks.contract import Format, Part, StatementEntry, StatementFoot, StatementHead
from bezant.base.file_faults import BadLine, FileRefused
from bezant.base.money import EXPONENTS
from bezant.psp.reports import LineKind, ReportLine, Reports

EPOCH = datetime(2026, 4, 1, tzinfo=UTC)


def lines_of(pieces: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """The lines with their numbers; never more than one of them in memory."""
    rest, number = b"", 0
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            number += 1
            yield number, _decoded(line, number)
        if len(rest) > 65_536:
            raise FileRefused("a line is longer than 64 KiB", line=number + 1)
    if rest:
        yield number + 1, _decoded(rest, number + 1)


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise FileRefused("the file is not UTF-8", line=number) from None


def read_acme(pieces: Iterable[bytes]) -> Iterator[ReportLine | BadLine]:
    """Reads a report. A line that says `raise` is a defect of this reader, one that says `empty` holds U+0000."""
    total, found, is_whole, number = None, 0, False, 0
    for number, text in lines_of(pieces):
        cells = text.split(",")
        if number == 1:
            total = int(cells[1]) if cells[1] else None
        elif text == "end":
            is_whole = True
        elif text == "raise":
            raise ValueError("a card number 4111 1111 1111 1111 is no amount")
        else:
            line = _acme_line(number, text, cells)
            found += line.net_minor if isinstance(line, ReportLine) else 0
            yield line
    if not is_whole:
        raise FileRefused("the file is truncated", line=number)
    if total is not None and total != found:
        raise FileRefused(f"the total is {total}, the lines add up to {found}", line=1, field="total")


def _acme_line(number: int, text: str, cells: Sequence[str]) -> ReportLine | BadLine:
    try:
        reference, kind, currency, gross, fee, at, ours, payout, description = cells
        return ReportLine(
            number=number,
            line_reference=reference,
            kind=LineKind(kind),
            currency=currency,
            gross_minor=int(gross),
            fee_minor=int(fee),
            net_minor=int(gross) - int(fee),
            occurred_at=EPOCH + timedelta(seconds=int(at)),
            reference=ours or None,
            payout_reference=payout or None,
            description=description.replace("empty", "\0") or None,
        )
    except ValueError as fault:
        return BadLine(number=number, reason=str(fault), text=text, field="amount")


def read_bank(
    pieces: Iterable[bytes], *, check_totals: bool = True, exponents: Mapping[str, int] = EXPONENTS
) -> Iterator[Part]:
    """Reads a statement."""
    assert exponents
    balance_minor, has_begun, number = 0, False, 0
    for number, text in lines_of(pieces):
        cells = text.split(",")
        if cells[0] == "bank":
            balance_minor, has_begun = int(cells[3]), True
            yield StatementHead(
                account=cells[1],
                currency=cells[2] or None,
                opening_minor=balance_minor,
                is_final="interim" not in cells,
            )
        elif cells[0] == "foot":
            if check_totals and int(cells[1]) != balance_minor:
                raise FileRefused(f"the balance is {cells[1]}, the entries lead to {balance_minor}", line=number)
            has_begun = False
            yield StatementFoot(closing_minor=balance_minor)
        elif cells[0] == "bad":
            yield BadLine(number=number, reason="it is bad", text=text)
        else:
            balance_minor += int(cells[2])
            yield StatementEntry(
                number=number,
                booked_on=date.fromisoformat(cells[0]),
                currency=cells[1],
                amount_minor=int(cells[2]),
                entry_reference=cells[3] or None,
                text=cells[4],
                references=tuple(filter(None, cells[5:])),
            )
    if has_begun:
        raise FileRefused("the statement has no end", line=number)


def begins_with(word: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(word)


ACME = Reports(
    formats={"acme_csv": read_acme}, recognise=lambda head: "acme_csv" if head.startswith(b"acme,") else None
)
REPORTS = {"acme": ACME}
FORMATS = {"small": Format(name="small", read=read_bank, recognise=begins_with(b"bank,"))}


def acme_line(number: int, **changed: object) -> str:
    """The line of this number of a report; the same wherever it is asked for."""
    said = {
        "reference": f"txn_{number}", "kind": "charge", "currency": "USD", "gross": 1_000 + number % 97, "fee": 30,
        "at": number, "ours": f"att_{number}", "payout": "po_1", "text": f"Order {number}",
    } | changed  # fmt: skip
    return ",".join(str(value) for value in said.values())


def acme_report(*lines: str, total: int | str = "") -> bytes:
    """A whole report."""
    return "\n".join([f"acme,{total}", *lines, "end"]).encode()


def entry(booked_on: str, amount_minor: int, name: str = "", text: str = "a payout", reference: str = "") -> str:
    """A line of a statement."""
    return f"{booked_on},EUR,{amount_minor},{name},{text},{reference}"


def statement(*entries: str, account: str = "DE02120300000000202051", opening_minor: int = 0) -> bytes:
    """A whole statement, whose balances add up."""
    closing_minor = opening_minor + sum(int(each.split(",")[2]) for each in entries if not each.startswith("bad"))
    return "\n".join([f"bank,{account},EUR,{opening_minor}", *entries, f"foot,{closing_minor}"]).encode()
