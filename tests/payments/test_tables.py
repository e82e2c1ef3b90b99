"""Decisions as tables: status, outcomes in any order, what may be sent again, what is evidence, what is believed."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.base import ids
from bezant.payments.changes import Ages, Changes, reserve_refund, start
from bezant.payments.rules import NOT_PROCESSED, conclude
from bezant.payments.states import Attempt, AttemptStatus, Origin, Payment, Refund, Status, status_of
from bezant.payments.sync import may_send, not_found_is_evidence
from bezant.psp.call import checked
from bezant.psp.contract import Ask, Failure, Operation, Outcome, Resolution, Verdict

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DECLINED = Outcome(verdict=Verdict.DECLINED, failure=Failure(code="card_declined", message="No."))
UNKNOWN = Outcome(verdict=Verdict.UNKNOWN)
PENDING = Outcome(verdict=Verdict.PENDING)


def payment(**amounts: Any) -> Payment:
    numbers = ("minor", "points", "tries", "tx", "position")
    blank: dict[str, Any] = {name: 0 if name.endswith(numbers) else None for name in Payment.__struct_fields__}
    texts = dict.fromkeys(("order_id", "psp", "idempotency_key"), "x") | dict.fromkeys(("metadata", "details"), "{}")
    ours = {"id": ids.new_id(), "merchant_id": ids.new_id(), "created_at": NOW, "updated_at": NOW, "amount_minor": 100}
    state = {"currency": "USD", "status": "pending", "capture_strategy": "manual"}
    return msgspec.convert({**blank, **texts, **ours, **state, **amounts}, Payment)


@pytest.mark.parametrize(
    ("amounts", "status"),
    [
        ({}, Status.PENDING),
        ({"failed_at": NOW}, Status.FAILED),
        ({"canceled_at": NOW}, Status.CANCELED),
        ({"canceled_at": NOW, "failed_at": NOW}, Status.CANCELED),
        ({"authorized_minor": 100}, Status.AUTHORIZED),
        ({"authorized_minor": 100, "capturing_minor": 100}, Status.AUTHORIZED),
        ({"authorized_minor": 100, "released_minor": 99}, Status.AUTHORIZED),
        ({"authorized_minor": 100, "released_minor": 100}, Status.CANCELED),
        ({"authorized_minor": 100, "captured_minor": 1}, Status.CAPTURED),
        ({"authorized_minor": 100, "captured_minor": 1, "released_minor": 99}, Status.CAPTURED),
        ({"authorized_minor": 100, "captured_minor": 100, "failed_at": NOW, "canceled_at": NOW}, Status.CAPTURED),
        ({"authorized_minor": 100, "captured_minor": 100, "refunded_minor": 99}, Status.CAPTURED),
        ({"authorized_minor": 100, "captured_minor": 100, "refunded_minor": 100}, Status.REFUNDED),
        ({"authorized_minor": 100, "captured_minor": 100, "refunded_minor": 101}, Status.REFUNDED),
        ({"authorized_minor": 100, "captured_minor": 100, "refunding_minor": 1}, Status.REFUNDING),
        ({"captured_minor": 100, "refunded_minor": 99, "refunding_minor": 1}, Status.REFUNDING),
        (
            {"captured_minor": 100, "refunding_minor": 1, "disputed_minor": 1, "disputed_open_minor": 1},
            Status.CHARGEBACK_OPEN,
        ),
        ({"captured_minor": 100, "refunded_minor": 100, "disputed_minor": 1}, Status.CHARGEBACK_LOST),
        ({"captured_minor": 100, "settled_minor": 100}, Status.SETTLED),
        ({"captured_minor": 100, "settled_minor": 100, "refunding_minor": 1}, Status.REFUNDING),
        ({"captured_minor": 100, "settled_minor": 60}, Status.CAPTURED),
    ],
)
def test_status_by_precedence(amounts: dict[str, Any], status: Status) -> None:
    assert status_of(payment(**amounts)) is status


# One attempt, one effect


def begun(
    operation: Operation, status: AttemptStatus = AttemptStatus.SENDING
) -> tuple[Payment, Attempt, Refund | None]:
    """A payment with this operation in flight."""
    of = payment()
    changes = at(0)
    refund = None
    if operation is not Operation.AUTHORIZE:
        of.authorized_minor = 100
    if operation is Operation.REFUND:
        of.captured_minor = 100
        refund, attempt = reserve_refund(changes, of, 40, Origin.CLIENT, "pm", None)
    else:
        amount_minor = 60 if operation is Operation.CAPTURE else 100
        attempt = start(changes, of, operation, amount_minor, Origin.CLIENT, "pm")
        of.capturing_minor = amount_minor if operation is Operation.CAPTURE else 0
    changes.touch(of)
    attempt.status = status
    return of, attempt, refund


def at(after_s: float) -> Changes:
    return Changes(NOW + timedelta(seconds=after_s), 5, Ages(authorization_s=1000, action_s=100))


def approved(attempt: Attempt) -> Outcome:
    charge = "ch_1" if attempt.operation == Operation.AUTHORIZE else None
    return Outcome(
        verdict=Verdict.APPROVED, psp_reference=charge, operation_reference="op_1", amount_minor=attempt.amount_minor
    )


def state(of: Payment, attempt: Attempt, refund: Refund | None) -> tuple[Any, ...]:
    money = (of.authorized_minor, of.captured_minor, of.refunded_minor, of.released_minor, of.capturing_minor)
    return (*money, of.refunding_minor, of.status, attempt.status, attempt.moved_minor, refund and refund.status)


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("is_approved", [True, False])
def test_same_outcome_twice_changes_nothing(operation: Operation, is_approved: bool) -> None:
    of, attempt, refund = begun(operation)
    outcome = approved(attempt) if is_approved else DECLINED
    conclude(at(0), of, attempt, refund, outcome)
    before = state(of, attempt, refund)
    again = at(1)
    conclude(again, of, attempt, refund, outcome)
    for inconclusive in (UNKNOWN, PENDING):
        conclude(again, of, attempt, refund, inconclusive)
    assert state(of, attempt, refund) == before
    assert not any((again.payments_changed, again.attempts_changed, again.journals, again.events, again.breaks))


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("is_approved", [True, False])
def test_any_order_of_reply_sync_and_late_evidence_ends_the_same(operation: Operation, is_approved: bool) -> None:
    ends: set[tuple[Any, ...]] = set()
    for order in permutations(("reply", "sync", "late", "silence")):
        of, attempt, refund = begun(operation)
        journals = 0
        for after_s, what in enumerate(order):
            changes = at(after_s)
            known = approved(attempt) if is_approved else DECLINED
            conclude(changes, of, attempt, refund, UNKNOWN if what == "silence" else known)
            journals += len(changes.journals)
        ends.add((*state(of, attempt, refund), journals))
    assert len(ends) == 1


@given(st.sampled_from(list(Operation)), st.lists(st.sampled_from(["approved", "declined", "unknown", "pending"])))
def test_money_that_moved_wins(operation: Operation, said: list[str]) -> None:
    """Whatever else is said before: once it was said to be done it counts, a refund until it comes back."""
    of, attempt, refund = begun(operation)
    breaks = 0
    for after_s, what in enumerate(said):
        changes = at(after_s)
        outcome = {"declined": DECLINED, "unknown": UNKNOWN, "pending": PENDING}.get(what) or approved(attempt)
        conclude(changes, of, attempt, refund, outcome)
        breaks += len(changes.breaks)
    if operation is not Operation.REFUND and "approved" in said:
        assert attempt.status == AttemptStatus.APPROVED
    decided = [what for what in said if what in ("approved", "declined")]
    if operation is not Operation.REFUND:
        assert bool(breaks) == (len(set(decided)) > 1)
    assert of.refunded_minor == (40 if refund is not None and refund.status == "succeeded" else 0)
    assert attempt.is_conclusive == bool(decided)


@pytest.mark.parametrize("operation", list(Operation))
def test_declined_then_approved_counts_and_is_a_break(operation: Operation) -> None:
    of, attempt, refund = begun(operation)
    conclude(at(0), of, attempt, refund, DECLINED)
    changes = at(1)
    conclude(changes, of, attempt, refund, approved(attempt))
    assert attempt.status == AttemptStatus.APPROVED
    assert [b.kind for b in changes.breaks] == ["contradiction"]
    if refund is not None:
        assert (refund.status, of.refunded_minor, of.status) == ("succeeded", 40, "captured")
    kinds = {Operation.CAPTURE: ["capture"], Operation.REFUND: ["refund"]}.get(operation, [])
    assert [journal.kind for journal in changes.journals] == kinds


@pytest.mark.parametrize("operation", [Operation.AUTHORIZE, Operation.CAPTURE, Operation.CANCEL])
def test_approved_then_declined_stands_and_is_a_break(operation: Operation) -> None:
    of, attempt, _ = begun(operation)
    conclude(at(0), of, attempt, None, approved(attempt))
    before = state(of, attempt, None)
    changes = at(1)
    conclude(changes, of, attempt, None, DECLINED)
    assert state(of, attempt, None) == before
    assert [b.kind for b in changes.breaks] == ["contradiction"]
    assert not changes.journals


def test_refund_that_comes_back_is_owed_again() -> None:
    of, attempt, refund = begun(Operation.REFUND)
    conclude(at(0), of, attempt, refund, approved(attempt))
    changes = at(1)
    conclude(changes, of, attempt, refund, DECLINED)
    assert refund is not None
    assert (refund.status, of.refunded_minor, of.status) == ("failed", 0, "captured")
    assert [journal.kind for journal in changes.journals] == ["refund_failed"]


@pytest.mark.parametrize(("captures", "undone_by"), [(False, Operation.CANCEL), (True, Operation.REFUND)])
@pytest.mark.parametrize("status", [AttemptStatus.SENDING, AttemptStatus.UNKNOWN])
def test_late_authorization_is_undone(captures: bool, undone_by: Operation, status: AttemptStatus) -> None:
    of, attempt, _ = begun(Operation.AUTHORIZE, status)
    attempt.captures = captures
    attempt.execute_until = NOW + timedelta(seconds=10)
    changes = at(11)
    outcome = msgspec.structs.replace(approved(attempt), captured_minor=100 if captures else 0)
    conclude(changes, of, attempt, None, outcome)
    (undo,) = changes.attempts_new.values()
    assert (undo.operation, undo.origin, undo.amount_minor, undo.status) == (undone_by, "undo", 100, "unknown")
    assert [b.kind for b in changes.breaks] == ["late_authorization"]


@pytest.mark.parametrize("after_s", [0, 9, 10])
def test_authorization_within_the_window_is_kept(after_s: int) -> None:
    of, attempt, _ = begun(Operation.AUTHORIZE)
    attempt.execute_until = NOW + timedelta(seconds=10)
    changes = at(after_s)
    conclude(changes, of, attempt, None, approved(attempt))
    assert not changes.attempts_new
    assert not changes.breaks
    assert of.status == "authorized"


def test_contradiction_waits_for_a_person_at_once() -> None:
    of, attempt, _ = begun(Operation.CAPTURE)
    changes = at(0)
    conclude(changes, of, attempt, None, Outcome(verdict=Verdict.UNKNOWN, contradiction="asked 60, answered 61"))
    assert attempt.status == AttemptStatus.UNKNOWN
    assert attempt.stuck_at == NOW
    assert [b.kind for b in changes.breaks] == ["contradiction"]


def test_what_never_arrived_says_so() -> None:
    of, attempt, _ = begun(Operation.AUTHORIZE)
    conclude(at(0), of, attempt, None, Outcome(verdict=Verdict.DECLINED, failure=NOT_PROCESSED))
    assert of.status == "failed"
    assert of.failure is not None
    assert "not_processed" in of.failure


# What may be sent again, and what proves that nothing happened


@pytest.mark.parametrize(
    ("execute_until_s", "replay_s", "after_s", "expected"),
    [
        (600, 3600, 0, True),
        (600, 3600, 599, True),
        (600, 3600, 600, False),
        (600, 3600, 601, False),
        (600, 60, 59, True),
        (600, 60, 60, False),
        (600, 0, 0, False),
        (30 * 86400, 23 * 3600, 23 * 3600 - 1, True),
        (30 * 86400, 23 * 3600, 23 * 3600, False),
    ],
)
def test_may_send(execute_until_s: int, replay_s: int, after_s: int, expected: bool) -> None:
    _, attempt, _ = begun(Operation.AUTHORIZE)
    attempt.execute_until = NOW + timedelta(seconds=execute_until_s)
    resolution = Resolution(replay_s=replay_s, lookup=True)
    assert may_send(attempt, resolution, NOW + timedelta(seconds=after_s)) is expected


@pytest.mark.parametrize(
    ("lag_s", "after_s", "expected"), [(2, 1, False), (2, 2, False), (2, 2.001, True), (0, 1, True)]
)
def test_not_found_is_evidence_only_after_the_lag(lag_s: float, after_s: float, expected: bool) -> None:
    resolution = Resolution(replay_s=0, lookup=True, visibility_lag_s=lag_s)
    assert not_found_is_evidence(NOW, resolution, NOW + timedelta(seconds=after_s)) is expected


# What is believed of an answer


def ask(operation: Operation, **changes: Any) -> Ask:
    asked = Ask(
        operation=operation,
        reference="att_1",
        payment_reference="ord_1",
        amount_minor=100,
        currency="USD",
        payment_method="pm",
    )
    return msgspec.structs.replace(asked, **changes)


GOOD = Outcome(
    verdict=Verdict.APPROVED,
    psp_reference="ch_1",
    reference="att_1",
    amount_minor=100,
    currency="USD",
    captured_minor=0,
)


@pytest.mark.parametrize("operation", list(Operation))
def test_answer_that_agrees_is_believed(operation: Operation) -> None:
    assert checked(ask(operation), GOOD) is GOOD
    silent = msgspec.structs.replace(GOOD, reference=None, currency=None)
    assert checked(ask(operation), silent) is silent


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("lie", [{"currency": "EUR"}, {"reference": "att_2"}], ids=str)
def test_other_currency_or_reference_is_not_believed(operation: Operation, lie: dict[str, Any]) -> None:
    _is_contradiction(ask(operation), lie)


@pytest.mark.parametrize(
    ("operation", "asked", "lie"),
    [
        (Operation.AUTHORIZE, {}, {"amount_minor": 101}),
        (Operation.AUTHORIZE, {}, {"amount_minor": 0}),
        (Operation.AUTHORIZE, {}, {"amount_minor": None}),
        (Operation.AUTHORIZE, {}, {"psp_reference": None}),
        (Operation.AUTHORIZE, {}, {"captured_minor": 100}),
        (Operation.AUTHORIZE, {"capture": True}, {"captured_minor": 101}),
        (Operation.AUTHORIZE, {"capture": True}, {"amount_minor": 50, "captured_minor": 51}),
        (Operation.CAPTURE, {}, {"amount_minor": 99}),
        (Operation.CAPTURE, {}, {"amount_minor": 101}),
        (Operation.CAPTURE, {}, {"amount_minor": None}),
        (Operation.REFUND, {}, {"amount_minor": 99}),
        (Operation.REFUND, {}, {"amount_minor": 101}),
        (Operation.REFUND, {}, {"amount_minor": None}),
    ],
)
def test_other_amount_is_not_believed(operation: Operation, asked: dict[str, Any], lie: dict[str, Any]) -> None:
    _is_contradiction(ask(operation, **asked), lie)


def test_partial_authorization_and_capture_at_once_are_believed() -> None:
    for told in ({"amount_minor": 50}, {"captured_minor": 100}, {"amount_minor": 50, "captured_minor": 50}):
        outcome = msgspec.structs.replace(GOOD, **told)
        assert checked(ask(Operation.AUTHORIZE, capture=True), outcome) is outcome


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.APPROVED])
def test_only_success_is_doubted(verdict: Verdict) -> None:
    outcome = msgspec.structs.replace(GOOD, verdict=verdict, currency="EUR", amount_minor=1)
    assert checked(ask(Operation.CAPTURE), outcome) is outcome


def _is_contradiction(asked: Ask, lie: dict[str, Any]) -> None:
    found = checked(asked, msgspec.structs.replace(GOOD, **lie))
    assert found.verdict is Verdict.UNKNOWN
    assert found.contradiction
