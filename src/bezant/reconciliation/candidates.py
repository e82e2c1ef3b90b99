"""Finds what lines may be reports of: by the names that they carry, and by what they amount to."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Connection
from bezant.reconciliation import store
from bezant.reconciliation.matching.model import Terms
from bezant.reconciliation.rules import Operation, PspLine


async def named(connection: Connection, lines: Sequence[PspLine]) -> list[Operation]:
    """What is in transit of the payments that these lines name, each of the account that reports it."""
    payments = await payments_named(connection, lines)
    found = await store.operations_of_payments(connection, payments) if payments else []
    return of_accounts(found, lines)


async def payments_named(connection: Connection, lines: Sequence[PspLine]) -> list[UUID]:
    """The payments that these lines name, by any of their names."""
    payments = {line.named_payment_id for line in lines if line.named_payment_id is not None}
    by_name = [line for line in lines if line.named_payment_id is None]
    payments |= {found for line in by_name if (found := ids.parse(ids.PAYMENT, line.reference or "")) is not None}
    names = sorted({name for line in by_name for name in (line.psp_reference, line.operation_reference) if name})
    of_names = await store.payments_of_names(connection, names) if names else {}
    return sorted(payments | set(of_names.values()))


def of_accounts(operations: Sequence[Operation], lines: Sequence[PspLine]) -> list[Operation]:
    """Those of the accounts that these lines are of."""
    accounts = {(line.psp, line.psp_account_id) for line in lines}
    return [operation for operation in operations if (operation.psp, operation.psp_account_id) in accounts]


async def of_amounts(connection: Connection, lines: Sequence[PspLine], terms: Terms) -> list[Operation]:
    """What is in transit of the same amounts within the widest window."""
    wanted = {(line.psp, line.currency, line.gross_minor) for line in lines}
    wanted |= {
        (line.psp, line.presented_currency, line.presented_minor)
        for line in lines
        if line.presented_currency is not None and line.presented_minor is not None
    }
    if not wanted:
        return []
    moments = [line.occurred_at for line in lines]
    since = min(moments) - timedelta(days=terms.late_days_after)
    until = max(moments) + timedelta(days=terms.window_days_before)
    return of_accounts(await store.operations_of_amounts(connection, sorted(wanted), since, until), lines)
