"""A world with disputes: sales of merchants, a PSP that tells and can be asked, and what is kept of it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Database
from bezant.connectors import simulator
from bezant.disputes.act import Verb
from bezant.disputes.service import Disputes
from bezant.inbox.contract import Effect, Told
from bezant.ledger.accounts import Account, balance_minor
from bezant.payments.changes import Ages, Changes, reserve_refund, start
from bezant.payments.rules import conclude
from bezant.payments.states import Origin
from bezant.payments.store import all_attempts, lock_payments, refunds
from bezant.payments.write import write
from bezant.psp.call import Caller, Endpoint
from bezant.psp.connector import Connector
from bezant.psp.contract import (
    Credentials,
    Failure,
    Operation,
    Outcome,
    PspRequest,
    PspSilence,
    Send,
    Verdict,
)
from bezant.psp.disputes import DisputeAsk, DisputeState, EvidenceAsk
from bezant.psp.notices import DisputeNotice
from tests.payments.test_evidence import new_payment

PSP = "simulator"
AGES = Ages(authorization_s=604_800, action_s=86_400)


class Bank:
    """What the PSP holds of disputes, and what it was asked. It answers from memory: it is the outside world here."""

    def __init__(self) -> None:
        self.holds: dict[str, DisputeNotice] = {}
        self.submitted: list[EvidenceAsk] = []
        self.accepted: list[DisputeAsk] = []
        self.fetched = 0
        self.silent = 0
        """So many calls are done and not answered."""
        self.refuses: Failure | None = None

    async def fetch(self, ask: DisputeAsk, _send: Send) -> DisputeState:
        self.fetched += 1
        notice = self.holds.get(ask.dispute_reference)
        if notice is None:
            return DisputeState(verdict=Verdict.NOT_FOUND)
        return DisputeState(verdict=Verdict.APPROVED, notice=notice)

    async def submit(self, ask: EvidenceAsk, _send: Send) -> DisputeState:
        if self.refuses:
            return DisputeState(verdict=Verdict.DECLINED, failure=self.refuses)
        self.submitted.append(ask)
        return self._stands(ask, "under_review")

    async def accept(self, ask: DisputeAsk, _send: Send) -> DisputeState:
        if self.refuses:
            return DisputeState(verdict=Verdict.DECLINED, failure=self.refuses)
        self.accepted.append(ask)
        return self._stands(ask, "accepted")

    def _stands(self, ask: DisputeAsk, status: Any) -> DisputeState:
        notice = msgspec.structs.replace(self.holds[ask.dispute_reference], status=status)
        self.holds[ask.dispute_reference] = notice
        if self.silent:
            self.silent -= 1
            raise PspSilence("the line went dead")
        return DisputeState(verdict=Verdict.APPROVED, notice=notice)

    def connector(self) -> Connector:
        return msgspec.structs.replace(
            simulator.CONNECTOR, submit_evidence=self.submit, accept_dispute=self.accept, fetch_dispute=self.fetch
        )


class Sale(msgspec.Struct, frozen=True):
    """A payment; `name` is the PSP's of the charge, `reference` our attempt's."""

    payment_id: UUID
    merchant_id: UUID
    reference: str
    name: str
    amount_minor: int
    currency: str


class DisputeWorld:
    """Sales, and what is told of their disputes. With `can_ask` False the PSP cannot be asked."""

    def __init__(self, database: Database, *, can_ask: bool = True) -> None:
        self.database = database
        self.bank = Bank()
        connector = self.bank.connector()
        if not can_ask:
            connector = msgspec.structs.replace(
                connector, submit_evidence=None, accept_dispute=None, fetch_dispute=None
            )
        endpoint = Endpoint(connector, "http://127.0.0.1:9", Credentials())
        caller = Caller({PSP: endpoint}, _nowhere, timeout_s=5, concurrency=8)
        self.disputes = Disputes(database, caller, [connector], psp_timeout_s=5)
        self.jobs = {job.name: job.run for job in self.disputes.jobs()}

    async def merchant(self) -> UUID:
        """A merchant with the standard fee."""
        merchant_id = ids.new_id()
        await self.execute(
            "INSERT INTO merchants (id, name, currency, psp) VALUES ($1, 'A shop', 'USD', $2)", merchant_id, PSP
        )
        return merchant_id

    async def sells(
        self,
        merchant_id: UUID,
        amount_minor: int,
        currency: str = "USD",
        *,
        is_known: bool = True,
        is_captured: bool = True,
    ) -> Sale:
        """A sale whose money was taken at once, or only authorized; unless it `is_known`, nobody has told us so."""
        async with self.database.transaction() as transaction:
            changes = Changes(transaction.now, transaction.xid, AGES)
            payment = new_payment(merchant_id, transaction.now, automatic=True)
            payment.amount_minor, payment.currency = amount_minor, currency
            payment.idempotency_key = payment.id.hex
            changes.payments_new[payment.id] = payment
            changes.emit(payment, "payment.created")
            attempt = start(changes, payment, Operation.AUTHORIZE, amount_minor, Origin.OVERDUE, "pm")
            await write(transaction, changes)
        reference, name = ids.show(ids.ATTEMPT, attempt.id), f"ch_{attempt.id.hex}"
        sale = Sale(payment.id, merchant_id, reference, name, amount_minor, currency)
        if is_known:
            outcome = Outcome(
                verdict=Verdict.APPROVED,
                psp_reference=name,
                amount_minor=amount_minor,
                captured_minor=amount_minor if is_captured else 0,
            )
            await self._conclude(sale, attempt.id, outcome)
        return sale

    async def refunds(self, sale: Sale, amount_minor: int) -> None:
        """A refund that succeeded."""
        async with self.database.transaction() as transaction:
            changes = Changes(transaction.now, transaction.xid, AGES)
            payment = (await lock_payments(transaction, {(sale.payment_id, sale.merchant_id)}))[sale.payment_id]
            _, attempt = reserve_refund(changes, payment, amount_minor, Origin.OVERDUE, "pm", None)
            await write(transaction, changes)
        name = f"re_{attempt.id.hex}"
        outcome = Outcome(verdict=Verdict.APPROVED, operation_reference=name, amount_minor=amount_minor)
        await self._conclude(sale, attempt.id, outcome)

    async def _conclude(self, sale: Sale, attempt_id: UUID, outcome: Outcome) -> None:
        key = (sale.payment_id, sale.merchant_id)
        async with self.database.transaction() as transaction:
            changes = Changes(transaction.now, transaction.xid, AGES)
            payment = (await lock_payments(transaction, {key}))[sale.payment_id]
            family = [(*key, *ids.family_range(sale.payment_id))]
            (attempt,) = [a for a in await all_attempts(transaction.connection, family) if a.id == attempt_id]
            of_payment = await refunds(transaction.connection, [(attempt.refund_id or attempt_id, sale.merchant_id)])
            conclude(changes, payment, attempt, of_payment.get(attempt.refund_id or attempt_id), outcome)
            attempt.told_by = ids.new_id()
            await write(transaction, changes)

    async def book(self, merchant_id: UUID, currency: str = "USD") -> dict[str, int]:
        """The balances of a merchant that are not zero, each on its account's own side."""
        rows = await self.rows(
            "SELECT account_code, debit_minor::bigint AS debit_minor, credit_minor::bigint AS credit_minor "
            "FROM ledger_balances WHERE merchant_id = $1 AND currency = $2",
            merchant_id,
            currency,
        )
        balances = {
            row["account_code"]: balance_minor(Account(row["account_code"]), row["debit_minor"], row["credit_minor"])
            for row in rows
        }
        return {account: minor for account, minor in balances.items() if minor}

    async def hears(
        self,
        *notices: DisputeNotice,
        confirmed: bool = False,
        trusted: bool = True,
        account_id: UUID | None = None,
    ) -> Sequence[Effect]:
        """These notices, in one batch. The PSP holds what the last of them says unless the test has said otherwise."""
        for notice in notices:
            self.bank.holds.setdefault(notice.dispute_reference, notice)
        told = [
            Told(
                event_id=ids.new_id(),
                psp=PSP,
                psp_account_id=account_id,
                notice=n,
                trusted=trusted,
                confirmed=confirmed,
            )
            for n in notices
        ]
        async with self.database.transaction() as transaction:
            return await self.disputes.handler(transaction, told)

    async def begins(self, verb: Verb = "submit") -> None:
        """Commit what is intended, and die before the PSP is called."""
        async with self.database.transaction() as transaction:
            await self.disputes.acts.begin(transaction, None, (await self.dispute())["id"], verb)

    async def looks(self) -> None:
        """Ask the PSP about everything that is due, until nothing is."""
        while await self.disputes.looks.run():
            pass

    async def dispute(self, reference: str = "dp_1") -> dict[str, Any]:
        """The row of a dispute."""
        (row,) = await self.rows("SELECT * FROM disputes WHERE psp_reference = $1", reference)
        return row

    async def rounds(self, reference: str = "dp_1") -> list[tuple[int, str]]:
        """Each round of a dispute and how it ended."""
        rows = await self.rows(
            "SELECT r.round, r.outcome FROM dispute_rounds AS r INNER JOIN disputes AS d ON d.id = r.dispute_id "
            "WHERE d.psp_reference = $1 ORDER BY r.round",
            reference,
        )
        return [(row["round"], row["outcome"]) for row in rows]

    async def journals(self, sale: Sale) -> list[str]:
        """Kind and round of the journals of a sale's disputes, sorted."""
        rows = await self.rows(
            "SELECT kind, correlation_id FROM ledger_journals WHERE payment_id = $1 AND kind LIKE 'dispute%'",
            sale.payment_id,
        )
        return sorted(f"{row['kind']}:{row['correlation_id'].rpartition(':')[2]}" for row in rows)

    async def events(self, sale: Sale) -> list[str]:
        """Types of what was told of a sale's disputes, in order."""
        rows = await self.rows(
            "SELECT type FROM outbox_events WHERE payment_id = $1 AND type LIKE 'dispute%' ORDER BY tx, position",
            sale.payment_id,
        )
        return [row["type"] for row in rows]

    async def breaks(self, sale: Sale) -> list[str]:
        """Kinds of the mismatches of a sale."""
        rows = await self.rows("SELECT kind FROM breaks WHERE payment_id = $1 ORDER BY kind", sale.payment_id)
        return [row["kind"] for row in rows]

    async def payment(self, sale: Sale) -> tuple[str, int, int, int]:
        """Status, disputed, of it open, excess."""
        (row,) = await self.rows("SELECT * FROM payments WHERE id = $1", sale.payment_id)
        return row["status"], row["disputed_minor"], row["disputed_open_minor"], row["excess_refunded_minor"]

    async def policy(self, merchant_id: UUID, *, loss: str = "merchant", fee: str = "platform") -> None:
        """Who bears what of a merchant's disputes."""
        await self.execute(
            "UPDATE merchants SET dispute_loss_policy = $2, dispute_fee_policy = $3 WHERE id = $1",
            merchant_id,
            loss,
            fee,
        )

    async def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of a query."""
        async with self.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(query, *parameters)]

    async def execute(self, query: str, *parameters: object) -> None:
        """One statement."""
        async with self.database.connection() as connection:
            await connection.execute(query, *parameters)


def told(sale: Sale, status: Any = "needs_response", *, stage: Any = "chargeback", **more: Any) -> DisputeNotice:
    """What the PSP says of a dispute of the whole sale."""
    named: dict[str, Any] = {
        "dispute_reference": "dp_1",
        "amount_minor": sale.amount_minor,
        "currency": sale.currency,
        **more,
    }
    return DisputeNotice(psp_reference=sale.name, stage=stage, status=status, **named)


@asynccontextmanager
async def dispute_world(url: str, *, can_ask: bool = True) -> AsyncIterator[DisputeWorld]:
    """A world on a database."""
    database = Database(url, connections_max=4)
    await database.open()
    try:
        yield DisputeWorld(database, can_ask=can_ask)
    finally:
        await database.close()


async def _nowhere(_base_url: str, _request: PspRequest, _headers: Mapping[str, str]) -> tuple[int, bytes]:
    raise AssertionError("the bank of these tests answers from memory")
