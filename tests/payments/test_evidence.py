"""Whatever evidence comes in whatever order, PostgreSQL takes what the rules make of it, and everything still holds.

The ways back that honest calls over HTTP never take (`failed` that turns out captured, a refund that comes back, a late
authorization) are walked here, through the real statements and constraints.
"""

from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bezant.base import ids
from bezant.base.db import Database
from bezant.payments.changes import Ages, Changes, reserve_refund, start
from bezant.payments.rules import NOT_PROCESSED, conclude
from bezant.payments.states import Attempt, Origin, Payment, Refund, status_of
from bezant.payments.write import write
from bezant.psp.contract import Failure, Operation, Outcome, Verdict
from tests.support.databases import run
from tests.support.verification import verified

AGES: Final = Ages(authorization_s=1000, action_s=100)
AMOUNT: Final = 100
WAYS_BACK: Final = {
    ("failed", "authorized"),
    ("failed", "captured"),
    ("failed", "refunding"),
    ("pending", "refunding"),
    ("canceled", "captured"),
    ("refunded", "captured"),
}
"""Legal steps that need evidence against what was believed."""

STARTS = st.tuples(
    st.just("start"), st.sampled_from(["authorize", "capture", "capture", "cancel", "refund"]), st.integers(1, AMOUNT)
)
EVIDENCE = st.tuples(
    st.just("evidence"),
    st.sampled_from(["approved", "approved", "declined", "lost", "pending", "unknown", "approved late"]),
    st.integers(0, 5),
)

CANCEL_THAT_WAS_DONE_AFTER_ALL: Final = [
    ("evidence", "approved", 0),
    ("start", "cancel", 1),
    ("evidence", "declined", 0),
    ("start", "capture", 1),
    ("evidence", "approved", 1),
]
"""Said to be declined, so a capture is under way when it turns out to be done."""


class Life:
    """One payment in memory and in the database, a transaction per step."""

    def __init__(self, database: Database, *, automatic: bool) -> None:
        self.database = database
        self.automatic = automatic
        self.merchant_id = ids.new_id()
        self.attempts: list[Attempt] = []
        self.refunds: dict[Any, Refund] = {}
        self.steps: set[tuple[str, str]] = set()
        self.payment: Payment

    async def begin(self) -> None:
        async with self.database.transaction() as transaction:
            await transaction.connection.execute(
                "INSERT INTO merchants (id, name, currency, psp) VALUES ($1, 'A shop', 'USD', 'simulator')",
                self.merchant_id,
            )
            changes = Changes(transaction.now, transaction.xid, AGES)
            self.payment = new_payment(self.merchant_id, transaction.now, automatic=self.automatic)
            changes.payments_new[self.payment.id] = self.payment
            changes.emit(self.payment, "payment.created")
            await write(transaction, changes)

    async def do(self, step: tuple[str, str, int]) -> None:
        kind, what, number = step
        before = self.payment.status
        async with self.database.transaction() as transaction:
            changes = Changes(transaction.now, transaction.xid, AGES)
            if kind == "start":
                self.start(changes, Operation(what), number)
            elif self.attempts:
                self.hear(changes, self.attempts[-1 - number % len(self.attempts)], what)
            await write(transaction, changes)
            self.attempts += [a for a in changes.attempts_new.values() if a not in self.attempts]
            self.refunds |= changes.refunds_new
            stored = await transaction.connection.fetchrow(
                "SELECT status, captured_minor, refunded_minor FROM payments WHERE id = $1", self.payment.id
            )
        p = self.payment
        assert tuple(stored) == (status_of(p), p.captured_minor, p.refunded_minor)
        if before != p.status:
            self.steps.add((before, p.status))

    def start(self, changes: Changes, operation: Operation, amount_minor: int) -> None:
        """As a command would: within our own bounds, one authorize, capture or cancel at a time."""
        p = self.payment
        is_busy = any(a.is_unresolved and a.operation != Operation.REFUND for a in self.attempts)
        match operation:
            case Operation.AUTHORIZE if p.status == "pending" and not is_busy:
                start(changes, p, operation, AMOUNT, Origin.OVERDUE, "pm", keeps_open=amount_minor % 2 == 0)
            case Operation.CAPTURE if p.capturable_minor and not is_busy:
                asked = min(amount_minor, p.capturable_minor)
                p.capturing_minor += asked
                changes.touch(p)
                start(changes, p, operation, asked, Origin.OVERDUE, "pm", final=amount_minor % 2 == 0)
            case Operation.CANCEL if p.capturable_minor and not is_busy:
                start(changes, p, operation, p.capturable_minor, Origin.OVERDUE, "pm")
            case Operation.REFUND if p.refundable_minor:
                reserve_refund(changes, p, min(amount_minor, p.refundable_minor), Origin.OVERDUE, "pm", None)
            case _:
                pass

    def hear(self, changes: Changes, attempt: Attempt, what: str) -> None:
        if what == "approved late":
            attempt.execute_until = changes.now - timedelta(seconds=1)
        refund = None if attempt.refund_id is None else self.refunds[attempt.refund_id]
        conclude(changes, self.payment, attempt, refund, outcome(attempt, what))


def outcome(attempt: Attempt, what: str) -> Outcome:
    """What a PSP says of an attempt."""
    if what in ("pending", "unknown"):
        return Outcome(verdict=Verdict(what))
    if what in ("declined", "lost"):
        failure = NOT_PROCESSED if what == "lost" else Failure(code="card_declined", message="No.")
        return Outcome(verdict=Verdict.DECLINED, failure=failure)
    is_authorization = attempt.operation == Operation.AUTHORIZE
    return Outcome(
        verdict=Verdict.APPROVED,
        psp_reference=f"ch_{attempt.id.hex}" if is_authorization else None,
        operation_reference=f"op_{attempt.id.hex}",
        amount_minor=attempt.amount_minor,
        captured_minor=attempt.amount_minor if attempt.captures else 0,
    )


def new_payment(merchant_id: object, now: object, *, automatic: bool) -> Payment:
    numbers = ("minor", "points", "tries", "tx", "position")
    blank: dict[str, Any] = {name: 0 if name.endswith(numbers) else None for name in Payment.__struct_fields__}
    known = {
        "id": ids.new_id(),
        "merchant_id": merchant_id,
        "order_id": "ord_1",
        "amount_minor": AMOUNT,
        "currency": "USD",
        "status": "pending",
        "capture_strategy": "automatic" if automatic else "manual",
        "payment_method": "pm",
        "psp": "simulator",
        "idempotency_key": "key",
        "metadata": "{}",
        "details": "{}",
        "fee_basis_points": 290,
        "fee_fixed_minor": 30,
        "created_at": now,
        "updated_at": now,
    }
    return msgspec.convert({**blank, **known}, Payment)


async def lived(url: str, automatic: bool, steps: list[tuple[str, str, int]]) -> Life:
    database = Database(url, connections_max=1)
    await database.open()
    try:
        life = Life(database, automatic=automatic)
        await life.begin()
        for step in steps:
            await life.do(step)
        return life
    finally:
        await database.close()


@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(automatic=False, steps=CANCEL_THAT_WAS_DONE_AFTER_ALL)
@given(automatic=st.booleans(), steps=st.lists(STARTS | EVIDENCE, min_size=4, max_size=14))
def test_any_evidence_in_any_order_is_taken(
    module_database_url: str, automatic: bool, steps: list[tuple[str, str, int]]
) -> None:
    begin = ("start", "authorize", 1)
    run(lived(module_database_url, automatic, [begin, *steps]))


WALKS: Final[dict[tuple[str, str], tuple[bool, list[tuple[str, str, int]]]]] = {
    ("failed", "authorized"): (False, [("evidence", "declined", 0), ("evidence", "approved", 0)]),
    ("failed", "captured"): (True, [("evidence", "declined", 0), ("evidence", "approved", 0)]),
    ("failed", "refunding"): (True, [("evidence", "lost", 0), ("evidence", "approved late", 0)]),
    ("pending", "refunding"): (True, [("evidence", "unknown", 0), ("evidence", "approved late", 0)]),
    ("canceled", "captured"): (
        False,
        [
            ("evidence", "approved", 0),
            ("start", "capture", 100),
            ("evidence", "declined", 0),
            ("start", "cancel", 1),
            ("evidence", "approved", 0),
            ("evidence", "approved", 1),
        ],
    ),
    ("refunded", "captured"): (
        True,
        [
            ("evidence", "approved", 0),
            ("start", "refund", 100),
            ("evidence", "approved", 0),
            ("evidence", "declined", 0),
        ],
    ),
}


@pytest.mark.parametrize("step", sorted(WAYS_BACK))
def test_way_back(module_database_url: str, step: tuple[str, str]) -> None:
    """No PSP was asked here, which `verify` rightly notes, and that alone."""
    automatic, steps = WALKS[step]
    life = run(lived(module_database_url, automatic, [("start", "authorize", 1), *steps]))
    assert step in life.steps
    assert {check.name for check in run(verified(module_database_url)).broken} <= {"outcomes_have_evidence"}
