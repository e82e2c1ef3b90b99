"""An authorization that was held for lost turns out approved while another try is under way, or after a cancel."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from bezant.base import ids
from bezant.payments.changes import Ages, Changes, start
from bezant.payments.rules import NOT_PROCESSED, conclude
from bezant.payments.states import Attempt, Origin, Payment, Status
from bezant.psp.contract import Failure, NextAction, Operation, Outcome, Verdict

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LOST = Outcome(verdict=Verdict.DECLINED, failure=NOT_PROCESSED)
DECLINED = Outcome(verdict=Verdict.DECLINED, failure=Failure(code="card_declined", message="No."))


def new_payment() -> Payment:
    """A manual payment of 100 that nobody has heard of."""
    known: dict[str, Any] = {
        "id": ids.new_id(),
        "merchant_id": ids.new_id(),
        "order_id": "ord_1",
        "currency": "USD",
        "status": "pending",
        "capture_strategy": "manual",
        "psp": "simulator",
        "idempotency_key": "key",
        "metadata": "{}",
        "details": "{}",
        "created_at": NOW,
        "updated_at": NOW,
        "amount_minor": 100,
    }
    numbers = ("minor", "points", "tries", "tx", "position")
    blank = {name: 0 if name.endswith(numbers) else None for name in Payment.__struct_fields__}
    return msgspec.convert({**blank, **known}, Payment)


def begin() -> tuple[Changes, Payment]:
    return Changes(NOW, 5, Ages(authorization_s=1000, action_s=10)), new_payment()


def attempt(changes: Changes, payment: Payment, operation: Operation = Operation.AUTHORIZE) -> Attempt:
    return start(changes, payment, operation, 100, Origin.CLIENT, "pm_card_visa", keeps_open=True)


def approved(charge: str) -> Outcome:
    return Outcome(verdict=Verdict.APPROVED, psp_reference=charge, amount_minor=100, currency="USD")


def two_tries() -> tuple[Changes, Payment, Attempt]:
    """The first was lost, a second is under way, then the first turns out approved."""
    changes, payment = begin()
    first = attempt(changes, payment)
    conclude(changes, payment, first, None, LOST)
    second = attempt(changes, payment)
    conclude(changes, payment, first, None, approved("ch_first"))
    return changes, payment, second


def test_a_second_try_that_waits_does_not_take_the_name_of_the_payment():
    changes, payment, second = two_tries()
    waiting = Outcome(verdict=Verdict.PENDING, psp_reference="ch_second", next_action=NextAction(url="https://psp/3ds"))
    conclude(changes, payment, second, None, waiting)

    assert payment.gateway_ref == "ch_first"
    assert payment.next_action is None
    assert payment.deadline_at == NOW + timedelta(seconds=1000)


def test_a_second_try_that_is_declined_leaves_the_authorization_as_it_is():
    changes, payment, second = two_tries()
    conclude(changes, payment, second, None, DECLINED)

    assert payment.status == Status.AUTHORIZED
    assert payment.deadline_at == NOW + timedelta(seconds=1000)
    assert payment.failure is None
    assert changes.events[-1][1] == "payment.attempt_failed"


def test_undoing_a_late_second_try_never_hits_the_first():
    changes, payment, second = two_tries()
    second.execute_until = NOW - timedelta(seconds=1)
    before = set(changes.attempts_new)
    conclude(changes, payment, second, None, approved("ch_second"))

    assert payment.gateway_ref == "ch_first"
    assert set(changes.attempts_new) == before
    assert "second_authorization" in {found.kind for found in changes.breaks}


def test_a_capture_that_a_cancel_was_believed_to_have_released_is_no_excess():
    changes, payment = begin()
    conclude(changes, payment, attempt(changes, payment), None, approved("ch_first"))
    payment.capturing_minor = 100
    capture = attempt(changes, payment, Operation.CAPTURE)
    conclude(changes, payment, capture, None, LOST)
    conclude(changes, payment, attempt(changes, payment, Operation.CANCEL), None, approved("ch_first"))
    assert payment.released_minor == 100
    conclude(changes, payment, capture, None, approved("ch_first"))

    taken = msgspec.structs.asdict(payment)
    assert (taken["captured_minor"], taken["released_minor"], taken["excess_captured_minor"]) == (100, 0, 0)
    assert payment.status == Status.CAPTURED
    assert [found.kind for found in changes.breaks] == ["contradiction"]
