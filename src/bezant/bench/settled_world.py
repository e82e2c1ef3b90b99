"""A world to reconcile: payments that were captured long ago, and the report and statement of what became of them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from bezant.base.db import Database
from bezant.bench import store

BEGAN_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
GROSS_MINOR: Final = 4_999
FEE_MINOR: Final = 175
PAYOUT_LINES: Final = 5_000
MERCHANTS: Final = 20
_AT_ONCE: Final = 50_000


async def sell(database: Database, payments: int) -> None:
    """Captured payments with their attempts, journals, balances, in bulk: nothing of this is measured."""
    async with database.connection() as connection:
        await store.insert_sellers(connection, MERCHANTS)
    for first in range(0, payments, _AT_ONCE):
        async with database.transaction(bulk=True) as transaction:
            last = min(payments, first + _AT_ONCE)
            await store.fill_payments(transaction.connection, first, last, MERCHANTS, GROSS_MINOR)
    async with database.connection() as connection:
        await store.analyze_sales(connection)


def report(payments: int) -> Iterator[bytes]:
    """The simulator's settlement report of all of them, a payout for each few thousand."""
    yield (
        b"report_id,row,type,line_id,charge_id,operation_id,reference,currency,gross,fee,net,presented_amount,"
        b"presented_currency,fx_rate,payout_id,at,description\n"
    )
    rows: list[str] = []
    number, payouts = 0, -(-payments // PAYOUT_LINES)
    for payout in range(payouts):
        first, last = payout * PAYOUT_LINES, min(payments, (payout + 1) * PAYOUT_LINES)
        for n in range(first, last):
            number += 1
            rows.append(
                f"rep_1,{number},charge,bt_{n},ch_{n},op_{n},{attempt_name(n)},USD,{GROSS_MINOR},{FEE_MINOR},"
                f"{GROSS_MINOR - FEE_MINOR},,,,{payout_name(payout)},{at(n)},\n"
            )
        number += 1
        sent_minor = payout_minor(payments, payout)
        rows.append(
            f"rep_1,{number},payout,bt_{payout_name(payout)},,,,USD,{-sent_minor},0,{-sent_minor},,,,{payout_name(payout)},{at(last)},\n"
        )
        yield "".join(rows).encode()
        rows.clear()
    net_minor = payments * (GROSS_MINOR - FEE_MINOR)
    yield f"rep_1,{number},total,,,,,USD,,,{net_minor},,,,,,\n".encode()


def statement(payments: int) -> bytes:
    """The bank's statement of all payouts, as CSV."""
    booked_on = date(2026, 3, 1)
    rows = [
        f"{booked_on.isoformat()},{payout_minor(payments, payout) / 100:.2f},SIMULATOR PAYOUT {payout_name(payout)}\n"
        for payout in range(-(-payments // PAYOUT_LINES))
    ]
    return ("date,amount,text\n" + "".join(rows)).encode()


def payout_minor(payments: int, payout: int) -> int:
    """What a payout carries."""
    lines = min(payments, (payout + 1) * PAYOUT_LINES) - payout * PAYOUT_LINES
    return lines * (GROSS_MINOR - FEE_MINOR)


def payout_name(payout: int) -> str:
    """The PSP's name of a payout."""
    return f"po_{payout:08d}"


def at(n: int) -> str:
    """When the payment of that number was made."""
    return (BEGAN_AT + timedelta(milliseconds=n)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def attempt_name(n: int) -> str:
    """The reference of a payment's one attempt, as `store.fill_payments` makes it."""
    time_ms = int(BEGAN_AT.timestamp()) * 1000 + n
    return f"att_{time_ms:012x}7000b{n:015x}"


def attempt_id(n: int) -> UUID:
    """The id in that reference."""
    return UUID(hex=attempt_name(n)[4:])
