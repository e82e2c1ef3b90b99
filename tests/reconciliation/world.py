"""A small world for tests that read as a ledger: merchants who sell, a PSP that reports, a bank that books.

Sales go through the statements and rules of payments; reports and statements are put where a loaded file leaves them.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Database
from bezant.connectors import simulator
from bezant.inbox.contract import Handlers
from bezant.payments.changes import Ages, Changes, reserve_refund, start
from bezant.payments.facts import Facts
from bezant.payments.rules import conclude
from bezant.payments.states import Attempt, Origin, Payment
from bezant.payments.store import all_attempts, lock_payments, refunds
from bezant.payments.write import write
from bezant.psp.contract import Failure, Operation, Outcome, Verdict
from bezant.psp.notices import Notice
from bezant.reconciliation.evidence import Evidence
from bezant.reconciliation.matching.model import Terms
from bezant.reconciliation.rules import OPERATOR
from bezant.reconciliation.run import Run, RunResult

AGES: Final = Ages(authorization_s=604_800, action_s=86_400)
PSP: Final = "simulator"
NOW: Final = datetime.now(UTC)
AT_ONCE: Final = Terms(skew=timedelta(0), deposit_skew=timedelta(0))
"""Nothing is waited for: what is not explained is a break."""

_DEBITS: Final = ("funds_in_transit", "clearing", "at_psp", "cash", "expense", "fx_position")


class Sale(msgspec.Struct, frozen=True):
    """A payment of which something was captured; `name` is the PSP's of the charge."""

    payment_id: UUID
    merchant_id: UUID
    reference: str
    name: str
    amount_minor: int
    currency: str


class Refunded(msgspec.Struct, frozen=True):
    """A refund of a sale; `name` is the PSP's of it."""

    sale: Sale
    attempt_id: UUID
    reference: str
    name: str
    amount_minor: int


class World:
    """What happened, and what is told of it."""

    def __init__(self, database: Database, terms: Terms = AT_ONCE) -> None:
        self.database = database
        self.handlers: Handlers = {Notice: Facts(AGES, {PSP: simulator.MANIFEST})}
        self.terms = terms
        self._bank_account: UUID | None = None

    async def merchant(self, name: str = "A shop") -> UUID:
        """A merchant with the standard fee."""
        merchant_id = ids.new_id()
        async with self.database.transaction() as transaction:
            await transaction.connection.execute(
                "INSERT INTO merchants (id, name, currency, psp) VALUES ($1, $2, 'USD', $3)", merchant_id, name, PSP
            )
        return merchant_id

    async def sells(self, merchant_id: UUID, amount_minor: int, currency: str = "USD", *, told: bool = True) -> Sale:
        """A sale whose money was taken at once; where nobody was `told`, its outcome is not known here."""
        payment = new_payment(merchant_id, amount_minor, currency)
        async with self.database.transaction() as transaction:
            changes = Changes(transaction.now, transaction.xid, AGES)
            changes.payments_new[payment.id] = payment
            changes.emit(payment, "payment.created")
            attempt = start(changes, payment, Operation.AUTHORIZE, amount_minor, Origin.OVERDUE, "pm")
            await write(transaction, changes)
        reference, name = ids.show(ids.ATTEMPT, attempt.id), f"ch_{attempt.id.hex}"
        sale = Sale(payment.id, merchant_id, reference, name, amount_minor, currency)
        if told:
            outcome = Outcome(
                verdict=Verdict.APPROVED,
                psp_reference=name,
                operation_reference=name,
                amount_minor=amount_minor,
                captured_minor=amount_minor,
                currency=currency,
            )
            await self._conclude(sale, attempt.id, outcome)
        return sale

    async def refunds(self, sale: Sale, amount_minor: int) -> Refunded:
        """A refund that succeeded."""
        async with self.database.transaction() as transaction:
            changes = Changes(transaction.now, transaction.xid, AGES)
            payment = (await lock_payments(transaction, {(sale.payment_id, sale.merchant_id)}))[sale.payment_id]
            _, attempt = reserve_refund(changes, payment, amount_minor, Origin.OVERDUE, "pm", None)
            await write(transaction, changes)
        name = f"re_{attempt.id.hex}"
        outcome = Outcome(verdict=Verdict.APPROVED, operation_reference=name, amount_minor=amount_minor)
        await self._conclude(sale, attempt.id, outcome)
        return Refunded(sale, attempt.id, ids.show(ids.ATTEMPT, attempt.id), name, amount_minor)

    async def comes_back(self, refund: Refunded) -> None:
        """A refund that had succeeded fails after all."""
        failure = Failure(code="refund_failed", message="The account is closed.")
        await self._conclude(refund.sale, refund.attempt_id, Outcome(verdict=Verdict.DECLINED, failure=failure))

    async def reports(
        self, *lines: Mapping[str, Any], payout: str | None = None, currency: str = "USD", paid: bool = True
    ) -> dict[str, UUID]:
        """A report that was loaded; with `payout`, its lines are of it and it carries their net. Ids by line."""
        payout_id = None if payout is None else ids.dated(NOW, "payout", PSP, "", payout)
        file_id, found = ids.new_id(), dict[str, UUID]()
        async with self.database.transaction() as transaction:
            connection = transaction.connection
            await _file(connection, file_id, "psp", PSP)
            if payout_id is not None:
                total = sum(line["gross_minor"] - line.get("fee_minor", 0) for line in lines) if paid else None
                await connection.execute(
                    "INSERT INTO psp_payouts (id, psp, payout_reference, currency, amount_minor, paid_at) "
                    "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET amount_minor = "
                    "coalesce(psp_payouts.amount_minor, 0) + excluded.amount_minor",
                    payout_id,
                    PSP,
                    payout,
                    currency,
                    total,
                    NOW,
                )
            for number, line in enumerate(lines, 1):
                name = line.get("line_reference", f"row_{file_id.hex}_{number}")
                at = line.get("occurred_at", NOW)
                line_id = found[name] = ids.dated(at, "line", PSP, "", name)
                fee_minor = line.get("fee_minor", 0)
                await connection.execute(
                    "INSERT INTO psp_lines (id, file_id, line, psp, line_reference, kind, currency, gross_minor, "
                    "fee_minor, net_minor, presented_minor, presented_currency, reference, psp_reference, "
                    "operation_reference, payout_id, occurred_at) "
                    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
                    line_id,
                    file_id,
                    number,
                    PSP,
                    name,
                    line["kind"],
                    line.get("currency", currency),
                    line["gross_minor"],
                    fee_minor,
                    line["gross_minor"] - fee_minor,
                    line.get("presented_minor"),
                    line.get("presented_currency"),
                    line.get("reference"),
                    line.get("psp_reference"),
                    line.get("operation_reference"),
                    payout_id,
                    at,
                )
                await connection.execute("INSERT INTO open_lines (line_id, file_id) VALUES ($1, $2)", line_id, file_id)
        return found

    async def tells_late(self, payout: str, *lines: UUID) -> None:
        """A further report says which payout carries lines that are there."""
        await self.sql(
            "INSERT INTO late_payouts (line_id, payout_id, file_id) "
            "SELECT l.id, $1, l.file_id FROM psp_lines AS l WHERE l.id = ANY ($2::uuid[])",
            ids.dated(NOW, "payout", PSP, "", payout),
            lines,
        )

    async def books(self, amount_minor: int, text: str, *, kind: str = "transfer", currency: str = "USD") -> UUID:
        """An entry of a bank statement that was loaded."""
        file_id, line_id = ids.new_id(), ids.new_id()
        async with self.database.transaction() as transaction:
            connection = transaction.connection
            if self._bank_account is None:
                self._bank_account = ids.new_id()
                await connection.execute(
                    "INSERT INTO bank_accounts (id, name, identification) VALUES ($1, 'main', 'DE02120300')",
                    self._bank_account,
                )
            await _file(connection, file_id, "bank", None)
            await connection.execute(
                "INSERT INTO bank_lines (id, file_id, line, bank_account_id, currency, amount_minor, kind, "
                "is_reversal, refs, content, booked_on) VALUES ($1, $2, 1, $3, $4, $5, $6, false, $7, $8, $9)",
                line_id,
                file_id,
                self._bank_account,
                currency,
                amount_minor,
                kind,
                [],
                text,
                NOW.date(),
            )
            await connection.execute("INSERT INTO open_bank_lines (line_id, file_id) VALUES ($1, $2)", line_id, file_id)
        return line_id

    async def run(self, *, balances: Sequence[str] = ()) -> RunResult:
        """One run, once no other test holds back what the ledger says."""
        await self.can_collect()
        return await Run(self.database, Evidence(self.database, self.handlers), self.terms, balances=balances)()

    async def can_collect(self) -> None:
        """Wait until every journal lies behind the horizon."""
        async with asyncio.timeout(120):
            while await self.sql(
                "SELECT true FROM ledger_journals "
                "HAVING max(tx) >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
            ):
                await asyncio.sleep(0.05)

    async def sql(self, statement: str, *parameters: object) -> list[Any]:
        """What a statement gives."""
        async with self.database.connection() as connection:
            return await connection.fetch(statement, *parameters)

    async def book(self, merchant_id: UUID = OPERATOR, currency: str = "USD") -> dict[str, int]:
        """The balances of a merchant that are not zero, each on its account's own side."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT account_code, (debit_minor - credit_minor)::bigint FROM ledger_balances "
                "WHERE merchant_id = $1 AND currency = $2",
                merchant_id,
                currency,
            )
        return {name: minor if any(name.endswith(end) for end in _DEBITS) else -minor for name, minor in rows if minor}

    async def status(self, sale: Sale) -> str:
        """Where the sale's payment stands."""
        async with self.database.connection() as connection:
            return await connection.fetchval("SELECT status FROM payments WHERE id = $1", sale.payment_id)

    async def _conclude(self, sale: Sale, attempt_id: UUID, outcome: Outcome) -> None:
        async with self.database.transaction() as transaction:
            changes = Changes(transaction.now, transaction.xid, AGES)
            payment, attempts = await self._family(transaction, sale)
            attempt = next(each for each in attempts if each.id == attempt_id)
            keys = [(each.refund_id, each.merchant_id) for each in attempts if each.refund_id is not None]
            of_payment = await refunds(transaction.connection, keys) if keys else {}
            conclude(changes, payment, attempt, of_payment.get(attempt.refund_id or UUID(int=0)), outcome)
            if attempt.told_by is None and attempt_id in changes.attempts_changed:
                attempt.told_by = ids.new_id()
            await write(transaction, changes)

    async def _family(self, transaction: Any, sale: Sale) -> tuple[Payment, Sequence[Attempt]]:
        key = (sale.payment_id, sale.merchant_id)
        payments = await lock_payments(transaction, {key})
        return payments[sale.payment_id], await all_attempts(
            transaction.connection, [(*key, *ids.family_range(sale.payment_id))]
        )


def charge(sale: Sale, fee_minor: int = 0, **more: Any) -> dict[str, Any]:
    """The line of a sale."""
    line = {"gross_minor": sale.amount_minor, "reference": sale.reference, "psp_reference": sale.name}
    return {"kind": "charge", "fee_minor": fee_minor, "operation_reference": sale.name, **line, **more}


def refund(refunded: Refunded, **more: Any) -> dict[str, Any]:
    """The line of a refund."""
    line = {"gross_minor": -refunded.amount_minor, "reference": refunded.reference}
    names = {"psp_reference": refunded.sale.name, "operation_reference": refunded.name}
    return {"kind": "refund", **line, **names, **more}


def new_payment(merchant_id: UUID, amount_minor: int, currency: str) -> Payment:
    """A payment of which nothing has happened yet."""
    numbers = ("minor", "points", "tries", "tx", "position")
    blank: dict[str, Any] = {name: 0 if name.endswith(numbers) else None for name in Payment.__struct_fields__}
    known = {
        "id": ids.new_id(),
        "merchant_id": merchant_id,
        "order_id": "ord_1",
        "amount_minor": amount_minor,
        "currency": currency,
        "status": "pending",
        "capture_strategy": "automatic",
        "payment_method": "pm",
        "psp": PSP,
        "idempotency_key": ids.new_id().hex,
        "metadata": "{}",
        "details": "{}",
        "fee_basis_points": 290,
        "fee_fixed_minor": 30,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return msgspec.convert({**blank, **known}, Payment)


@asynccontextmanager
async def world_on(url: str, terms: Terms = AT_ONCE) -> AsyncIterator[World]:
    """A world on a database."""
    database = Database(url, connections_max=3)
    await database.open()
    try:
        yield World(database, terms)
    finally:
        await database.close()


async def _file(connection: Any, file_id: UUID, source: str, psp: str | None) -> None:
    await connection.execute(
        "INSERT INTO report_files (id, source, psp, name, sha256, size_bytes, state, uploaded_by, created_at, "
        "loaded_at) VALUES ($1, $2, $3, 'report', sha256($4), 1, 'loaded', 'test', now(), now())",
        file_id,
        source,
        psp,
        file_id.bytes,
    )
