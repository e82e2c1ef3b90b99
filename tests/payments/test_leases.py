"""What an outcome is worth by the lease it was learned under, and when an attempt is looked at again. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from bezant.base import ids
from bezant.payments.changes import Ages, Changes, reserve_refund, start
from bezant.payments.rules import NOT_PROCESSED, STUCK_AFTER_S, HeldLease, conclude
from bezant.payments.states import Attempt, AttemptStatus, Origin, Payment
from bezant.psp.contract import Operation, Outcome, Verdict

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
UNKNOWN = Outcome(verdict=Verdict.UNKNOWN)
NEVER_CAME = Outcome(verdict=Verdict.DECLINED, failure=NOT_PROCESSED)
APPROVED = Outcome(verdict=Verdict.APPROVED, psp_reference="ch_1", amount_minor=100, currency="USD", captured_minor=100)
REFUNDED = Outcome(verdict=Verdict.APPROVED, psp_reference="ch_1", amount_minor=100, currency="USD")


def at(after_s: float) -> Changes:
    """A transaction so many seconds after noon."""
    return Changes(NOW + timedelta(seconds=after_s), 5, Ages(authorization_s=10_000, action_s=1_000))


def payment() -> Payment:
    """An automatic payment of 100 that nobody has heard of."""
    numbers = ("minor", "points", "tries", "tx", "position")
    blank: dict[str, Any] = {name: 0 if name.endswith(numbers) else None for name in Payment.__struct_fields__}
    texts = dict.fromkeys(("order_id", "psp", "idempotency_key"), "x") | dict.fromkeys(("metadata", "details"), "{}")
    ours = {"id": ids.new_id(), "merchant_id": ids.new_id(), "created_at": NOW, "updated_at": NOW, "amount_minor": 100}
    state = {"currency": "USD", "status": "pending", "capture_strategy": "automatic"}
    return msgspec.convert({**blank, **texts, **ours, **state}, Payment)


def authorization(of: Payment, lease_s: float = 6, window_s: float = 600) -> Attempt:
    """An attempt that some process is calling for."""
    attempt = start(at(0), of, Operation.AUTHORIZE, 100, Origin.CLIENT, "pm_card_visa")
    attempt.status = AttemptStatus.SENDING
    attempt.lease_until = NOW + timedelta(seconds=lease_s)
    attempt.execute_until = NOW + timedelta(seconds=window_s)
    return attempt


def lease_of(attempt: Attempt) -> HeldLease:
    return HeldLease(attempt.lease_until)


@pytest.mark.parametrize("outcome", [UNKNOWN, NEVER_CAME, Outcome(verdict=Verdict.PENDING, psp_reference="ch_1")])
def test_whoever_lost_the_lease_leaves_the_successors_alone(outcome: Outcome) -> None:
    charge = payment()
    attempt = authorization(charge)
    before = lease_of(attempt)
    attempt.lease_until = taken_up = NOW + timedelta(seconds=20)
    changes = at(10)
    conclude(changes, charge, attempt, None, outcome, before)
    assert (attempt.lease_until, attempt.status, attempt.checks) == (taken_up, AttemptStatus.SENDING, 0)
    assert not changes.attempts_changed
    assert not changes.payments_changed


def test_whoever_lost_the_lease_cannot_take_back_a_refund_that_the_successor_made() -> None:
    charge = payment()
    conclude(at(0), charge, authorization(charge), None, APPROVED)
    refund, attempt = reserve_refund(at(1), charge, 100, Origin.CLIENT, "pm_card_visa", None)
    before = lease_of(attempt)
    attempt.lease_until = NOW + timedelta(seconds=20)
    conclude(at(12), charge, attempt, refund, REFUNDED, lease_of(attempt))
    late = at(13)
    conclude(late, charge, attempt, refund, NEVER_CAME, before)
    assert (refund.status, charge.refunded_minor) == ("succeeded", 100)
    assert not late.journals
    assert not late.breaks


def test_approval_counts_whoever_brings_it() -> None:
    charge = payment()
    attempt = authorization(charge)
    before = lease_of(attempt)
    attempt.lease_until = NOW + timedelta(seconds=20)
    conclude(at(10), charge, attempt, None, APPROVED, before)
    assert (attempt.status, charge.captured_minor) == (AttemptStatus.APPROVED, 100)


def test_what_was_only_asked_leaves_the_time_of_the_last_sending() -> None:
    charge = payment()
    attempt = authorization(charge)
    sent_until = attempt.lease_until
    attempt.lease_until = NOW + timedelta(seconds=20)
    conclude(at(15), charge, attempt, None, UNKNOWN, HeldLease(attempt.lease_until, sent_until))
    assert attempt.lease_until == sent_until
    attempt.lease_until = NOW + timedelta(seconds=30)
    conclude(at(25), charge, attempt, None, UNKNOWN, HeldLease(attempt.lease_until))
    assert attempt.lease_until == NOW + timedelta(seconds=25)


def test_looking_often_does_not_put_the_next_look_off() -> None:
    charge = payment()
    attempt = authorization(charge)
    for second in range(60):
        conclude(at(second), charge, attempt, None, UNKNOWN, lease_of(attempt))
    assert attempt.checks == 60
    assert attempt.next_check_at is not None
    assert attempt.next_check_at - NOW <= timedelta(seconds=59 + 60)
    assert attempt.stuck_at is None


def test_looks_grow_rare_with_age_and_after_an_hour_a_person_is_told() -> None:
    charge = payment()
    attempt = authorization(charge)
    after_s, gaps = 0.0, list[float]()
    while attempt.stuck_at is None:
        conclude(at(after_s), charge, attempt, None, UNKNOWN, lease_of(attempt))
        assert attempt.next_check_at is not None
        gaps.append((attempt.next_check_at - NOW).total_seconds() - after_s)
        after_s += gaps[-1]
    assert gaps == sorted(gaps)
    assert gaps[0] == 1
    assert len(gaps) < 30
    assert STUCK_AFTER_S <= (attempt.stuck_at - NOW).total_seconds() <= 2 * STUCK_AFTER_S


@pytest.mark.parametrize("window_s", [600, 1])
def test_charged_after_all_is_given_back_once_the_window_has_passed(window_s: float) -> None:
    charge = payment()
    attempt = authorization(charge, window_s=window_s)
    conclude(at(10), charge, attempt, None, NEVER_CAME, lease_of(attempt))
    assert charge.status == "failed"
    found = at(20)
    conclude(found, charge, attempt, None, APPROVED, lease_of(attempt))
    kinds = {raised.kind for raised in found.breaks}
    if window_s > 20:
        assert (charge.status, kinds) == ("captured", {"contradiction"})
    else:
        assert (charge.status, kinds) == ("refunding", {"contradiction", "late_authorization"})
        assert [a.origin for a in found.attempts_new.values()] == [Origin.UNDO]
