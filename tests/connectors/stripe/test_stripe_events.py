"""What each event says: published events, and those that nobody publishes in their documented shapes."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from bezant.connectors.stripe import CONNECTOR
from bezant.connectors.stripe.calls import API_VERSION
from bezant.connectors.stripe.events import MEANINGLESS, READERS
from bezant.psp.contract import Operation, Outcome, Verdict
from bezant.psp.notices import DisputeNotice, Notice, Notices, RawEvent
from tests.connectors.stripe.stripe_support import (
    INTENT,
    REFERENCE,
    Json,
    Script,
    ask,
    intent,
    published,
    published_events,
    resource,
)

OURS = {"bezant_reference": REFERENCE}
CAPTURE = "att_0193e5a0b1c27d3e8f4a5b6c7d8e9fca"
CANCEL = "att_0193e5a0b1c27d3e8f4a5b6c7d8e9fcc"
FAILED: Json = {"id": "ch_1", "amount": 4999, "status": "failed"}
MANUAL: Json = {"capture_method": "manual", "latest_charge": "ch_1"}


def read(kind: str, thing: Json, *, key: str | None = None, version: str | None = API_VERSION) -> Notices | None:
    request = {"id": "req_1", "idempotency_key": key}
    return read_event({"type": kind, "api_version": version, "request": request, "data": {"object": thing}})


def read_event(event: Json) -> Notices | None:
    assert CONNECTOR.webhooks is not None
    raw = RawEvent(event_id="evt_1", type=event["type"], occurred_at=datetime.now(UTC), body=json.dumps(event).encode())
    return CONNECTOR.webhooks.notices(raw)


def one(kind: str, thing: Json, **more: Any) -> tuple[Operation, Outcome]:
    told = read(kind, thing, **more)
    assert told is not None
    (notice,) = told
    assert isinstance(notice, Notice)
    return notice.operation, notice.outcome


def charge_of(**changes: Any) -> Json:
    known: Json = {"id": "ch_1", "amount": 4999, "payment_intent": INTENT, "currency": "usd", "metadata": OURS}
    return resource("charge", **{**known, **changes})


def refund_of(**changes: Any) -> Json:
    known: Json = {"id": "re_1", "amount": 1000, "payment_intent": INTENT, "metadata": {}}
    return resource("refund", **{**known, **changes})


def test_every_published_event_can_be_read() -> None:
    known = set(published("sdk-enums.json")["event_types"])
    for name, body in published_events().items():
        event: Json = json.loads(body)
        told = read_event(event)
        is_ours = event["type"] in MEANINGLESS or event["type"] in READERS
        assert (told is not None) is is_ours, name
        assert not is_ours or event["type"] in known
        if event["type"].startswith("payment_intent."):
            assert told == ()  # made elsewhere: without our reference it says nothing to us
            event["data"]["object"]["metadata"] = OURS
            told = read_event(event)
            assert told, name
            assert all(isinstance(notice, Notice) and notice.outcome.reference == REFERENCE for notice in told)


def test_every_event_about_payments_is_known() -> None:
    listed = published("sdk-enums.json")["event_types"]
    ours = {kind for kind in listed if kind.startswith(("payment_intent.", "charge.", "refund."))}
    assert ours == {*READERS, *MEANINGLESS}


@pytest.mark.parametrize("kind", ["payout.paid", "balance.available", "customer.created", "charge.of_next_year", ""])
def test_other_events_are_unknown(kind: str) -> None:
    assert read(kind, {"anything": 1}) is None


def test_hold() -> None:
    held = intent("requires_capture", amount_capturable=4999, **MANUAL)
    operation, outcome = one("payment_intent.amount_capturable_updated", held)
    assert (operation, outcome.verdict, outcome.reference) == (Operation.AUTHORIZE, Verdict.APPROVED, REFERENCE)
    assert (outcome.amount_minor, outcome.captured_minor, outcome.operation_reference) == (4999, 0, None)


def test_hold_of_which_a_part_was_taken_is_still_the_whole_hold() -> None:
    taken = intent("requires_capture", amount_capturable=3999, amount_received=1000, **MANUAL)
    _, outcome = one("payment_intent.amount_capturable_updated", taken)
    assert (outcome.verdict, outcome.amount_minor, outcome.captured_minor) == (Verdict.APPROVED, 4999, 0)


def test_sale_at_once_is_an_authorization_that_was_captured() -> None:
    for method in ("automatic", "automatic_async", None):
        sold = intent("succeeded", capture_method=method, latest_charge="ch_1", amount_received=4999)
        operation, outcome = one("payment_intent.succeeded", sold, key=REFERENCE)
        assert (operation, outcome.verdict, outcome.reference) == (Operation.AUTHORIZE, Verdict.APPROVED, REFERENCE)
        assert (outcome.amount_minor, outcome.captured_minor) == (4999, 4999)
        assert outcome.operation_reference == "ch_1"


async def test_capture_is_the_same_in_both_events_the_answer_and_the_look_up() -> None:
    taken = intent("succeeded", amount_received=3000, **MANUAL)
    charge = charge_of(captured=True, amount_captured=3000)
    heard = [one("payment_intent.succeeded", taken, key=CAPTURE), one("charge.captured", charge, key=CAPTURE)]
    wish = ask(Operation.CAPTURE, amount_minor=3000, reference=CAPTURE)
    answered = await CONNECTOR.capture(wish, Script((200, taken)))
    looked = await CONNECTOR.fetch(wish, Script((200, taken)))
    assert answered == looked
    for operation, outcome in heard:
        assert (operation, outcome.reference) == (Operation.CAPTURE, CAPTURE)
        assert msgspec.structs.replace(outcome, reference=None) == answered


@pytest.mark.parametrize("key", [None, "b7b0532f-40b9-4008-8b6c-62b902c370cd", REFERENCE, "att_", CAPTURE.upper()])
def test_capture_of_somebody_else_names_no_attempt(key: str | None) -> None:
    for kind, thing in (
        ("payment_intent.succeeded", intent("succeeded", amount_received=4999, **MANUAL)),
        ("charge.captured", charge_of(captured=True, amount_captured=4999)),
    ):
        operation, outcome = one(kind, thing, key=key)
        assert (operation, outcome.verdict, outcome.reference) == (Operation.CAPTURE, Verdict.APPROVED, None)


def test_event_of_a_time_before_keys_were_told() -> None:
    sold = intent("succeeded", amount_received=4999, **MANUAL)
    for request in ({}, {"request": None}, {"request": "req_1"}, {"request": {"id": None}}):
        told = read_event({"type": "payment_intent.succeeded", "data": {"object": sold}, **request})
        assert told
        assert len(told) == 1


def test_charge_is_found_where_older_versions_of_the_api_show_it() -> None:
    old = intent("succeeded", amount_received=4999, capture_method="manual", charges={"data": [charge_of()]})
    old.pop("latest_charge", None)
    assert one("payment_intent.succeeded", old, version="2020-08-27")[1].operation_reference == "ch_1"


@pytest.mark.parametrize(
    ("status", "error", "verdict", "code"),
    [
        ("requires_payment_method", {"type": "card_error", "code": "expired_card"}, Verdict.DECLINED, "expired_card"),
        (
            "requires_payment_method",
            {"type": "invalid_request_error", "code": "payment_intent_authentication_failure"},
            Verdict.DECLINED,
            "authentication_failed",
        ),
        ("requires_payment_method", None, Verdict.PENDING, None),
        ("a_status_of_next_year", None, Verdict.PENDING, None),
    ],
)
def test_failed_payment(status: str, error: Json | None, verdict: Verdict, code: str | None) -> None:
    operation, outcome = one("payment_intent.payment_failed", intent(status, last_payment_error=error))
    assert (operation, outcome.verdict, outcome.reference) == (Operation.AUTHORIZE, verdict, REFERENCE)
    assert (outcome.failure and outcome.failure.code) == code


def test_customer_is_awaited() -> None:
    redirect = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://hooks.stripe.com/3d"}}
    operation, outcome = one("payment_intent.requires_action", intent("requires_action", next_action=redirect))
    assert (operation, outcome.verdict) == (Operation.AUTHORIZE, Verdict.PENDING)
    assert outcome.next_action is not None
    assert outcome.next_action.url == "https://hooks.stripe.com/3d"
    _, slow = one("payment_intent.processing", intent("processing"))
    assert (slow.verdict, slow.next_action) == (Verdict.PENDING, None)


def test_try_that_fails_before_the_customer_authenticates_decides_nothing() -> None:
    assert read("charge.failed", charge_of(status="failed", failure_code="authentication_required")) == ()


@pytest.mark.parametrize("reason", ["automatic", "expired", "abandoned", None])
def test_hold_that_was_released_by_stripe_or_in_the_dashboard(reason: str | None) -> None:
    operation, outcome = one("payment_intent.canceled", intent("canceled", cancellation_reason=reason, **MANUAL))
    assert (operation, outcome.verdict, outcome.reference) == (Operation.CANCEL, Verdict.APPROVED, None)
    assert outcome.psp_reference == INTENT


def test_hold_that_expired_is_told_by_its_charge_too() -> None:
    operation, outcome = one("charge.expired", charge_of(captured=False, amount_captured=0))
    assert (operation, outcome.verdict, outcome.psp_reference) == (Operation.CANCEL, Verdict.APPROVED, INTENT)
    assert read("charge.expired", charge_of(captured=True, amount_captured=10)) == ()


@pytest.mark.parametrize(
    "undecided",
    [
        {"capture_method": "manual", "latest_charge": None},
        {"capture_method": "automatic", "latest_charge": "ch_1"},
        {**MANUAL, "last_payment_error": {"type": "card_error", "code": "card_declined"}},
        {"capture_method": "manual", "latest_charge": None, "charges": {"data": [FAILED]}},
    ],
)
def test_payment_that_was_canceled_before_it_was_decided(undecided: Json) -> None:
    operation, outcome = one("payment_intent.canceled", intent("canceled", **undecided))
    assert (operation, outcome.verdict, outcome.reference) == (Operation.AUTHORIZE, Verdict.DECLINED, REFERENCE)
    assert outcome.failure is not None
    assert outcome.failure.code == "canceled"
    ours, outcome = one("payment_intent.canceled", intent("canceled", **undecided), key=CANCEL)
    assert (ours, outcome.verdict, outcome.reference) == (Operation.CANCEL, Verdict.APPROVED, CANCEL)


@pytest.mark.parametrize("kind", ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"])
@pytest.mark.parametrize(
    ("status", "verdict"),
    [("succeeded", Verdict.APPROVED), ("pending", Verdict.PENDING), ("failed", Verdict.DECLINED)],
)
async def test_refund_is_the_same_in_each_event_and_the_look_up(kind: str, status: str, verdict: Verdict) -> None:
    for metadata in ({}, {"bezant_reference": CAPTURE}):
        thing = refund_of(status=status, metadata=metadata)
        operation, outcome = one(kind, thing)
        assert (operation, outcome.verdict) == (Operation.REFUND, verdict)
        assert (outcome.operation_reference, outcome.psp_reference) == ("re_1", INTENT)
        wish = ask(Operation.REFUND, amount_minor=1000, operation_reference="re_1")
        assert outcome == await CONNECTOR.fetch(wish, Script((200, thing)))


def test_what_older_versions_of_the_api_call_a_refund_may_be_a_release() -> None:
    for version in ("2020-08-27", "2024-10-28.acacia", None, ""):
        with pytest.raises(ValueError, match="2025-03-31"):
            read("refund.created", refund_of(), version=version)
        ours = refund_of(metadata={"bezant_reference": CAPTURE})
        assert one("refund.created", ours, version=version)[1].reference == CAPTURE
    for version in ("2025-03-31.basil", API_VERSION):
        assert one("refund.created", refund_of(), version=version)[1].verdict is Verdict.APPROVED


def test_refunds_that_a_charge_shows() -> None:
    shown = {"data": [refund_of(payment_intent=None), refund_of(id="re_2", amount=2, payment_intent=None)]}
    charge = charge_of(captured=True, amount_captured=4999, amount_refunded=1002, refunds=shown)
    told = read("charge.refunded", charge)
    assert told is not None
    seen = [notice.outcome for notice in told if isinstance(notice, Notice)]
    assert [(o.operation_reference, o.amount_minor, o.psp_reference) for o in seen] == [
        ("re_1", 1000, INTENT),
        ("re_2", 2, INTENT),
    ]
    totals_alone = charge_of(captured=True, amount_refunded=1002)
    totals_alone.pop("refunds", None)
    released = charge_of(captured=False, amount_refunded=4999, refunds=shown)
    for thing in (totals_alone, released, charge_of(captured=True, payment_intent=None, refunds=shown)):
        assert read("charge.refunded", thing) == ()


def test_what_is_not_of_a_payment_intent_of_ours_says_nothing() -> None:
    for kind in ("refund.created", "charge.refund.updated"):
        assert read(kind, refund_of(payment_intent=None)) == ()
    theirs: list[Json] = [{"payment_intent": None}, {"metadata": {}}, {"metadata": None}, {"metadata": {"cart": "1"}}]
    for strange in theirs:
        taken = charge_of(captured=True, amount_captured=4999, refunds={"data": [refund_of()]}, **strange)
        held = charge_of(captured=False, amount_captured=0, **strange)
        for kind, thing in (("charge.captured", taken), ("charge.refunded", taken), ("charge.expired", held)):
            assert read(kind, thing) == (), (kind, strange)


@pytest.mark.parametrize(
    ("status", "stage", "ours"),
    [
        ("warning_needs_response", "inquiry", "inquiry"),
        ("warning_under_review", "inquiry", "under_review"),
        ("warning_closed", "inquiry", "closed"),
        ("needs_response", "chargeback", "needs_response"),
        ("under_review", "chargeback", "under_review"),
        ("appeal_needs_response", "chargeback", "needs_response"),
        ("appeal_under_review", "chargeback", "under_review"),
        ("won", "chargeback", "won"),
        ("lost", "chargeback", "lost"),
        ("prevented", "inquiry", "closed"),
    ],
)
@pytest.mark.parametrize("kind", ["created", "updated", "closed", "funds_withdrawn", "funds_reinstated"])
def test_dispute(kind: str, status: str, stage: str, ours: str) -> None:
    thing: Json = {"id": "dp_1", "amount": 4999, "currency": "usd", "status": status, "payment_intent": INTENT}
    details = {"reason": "fraudulent", "evidence_details": {"due_by": 1_700_000_000}}
    told = read(f"charge.dispute.{kind}", {**thing, **details})
    assert told == (
        DisputeNotice(
            dispute_reference="dp_1",
            psp_reference=INTENT,
            stage=cast(Any, stage),
            status=cast(Any, ours),
            amount_minor=4999,
            currency="USD",
            reason="fraudulent",
            evidence_due_at=datetime.fromtimestamp(1_700_000_000, UTC),
        ),
    )
    bare = read(f"charge.dispute.{kind}", thing)
    assert bare
    assert isinstance(bare[0], DisputeNotice)
    assert bare[0].evidence_due_at is None


def test_a_dispute_tells_its_fee_once_money_was_withdrawn() -> None:
    thing: Json = {"id": "dp_1", "amount": 4999, "currency": "eur", "status": "lost", "charge": "ch_1"}
    moved = [{"amount": 5400, "fee": 0, "currency": "usd"}, {"amount": -5400, "fee": 1500, "currency": "usd"}]
    (told,) = list(read("charge.dispute.closed", {**thing, "balance_transactions": moved}) or ())
    assert isinstance(told, DisputeNotice)
    assert (told.psp_reference, told.fee_minor, told.fee_currency) == ("ch_1", 1500, "USD")
    (told,) = list(read("charge.dispute.closed", {**thing, "balance_transactions": moved[:1]}) or ())
    assert isinstance(told, DisputeNotice)
    assert (told.fee_minor, told.fee_currency) == (None, None)


def _shapes() -> Sequence[tuple[str, object]]:
    return [
        ("payment_intent.succeeded", {}),
        ("payment_intent.succeeded", None),
        ("payment_intent.succeeded", intent("succeeded", amount_received=0, **MANUAL)),
        ("payment_intent.succeeded", intent("requires_capture", amount_received=0, **MANUAL)),
        ("payment_intent.succeeded", intent("succeeded", currency="xxy", amount_received=1, **MANUAL)),
        ("payment_intent.succeeded", intent("succeeded", currency="isk", amount_received=4999, amount=4999)),
        ("payment_intent.canceled", intent("requires_capture", **MANUAL)),
        ("payment_intent.payment_failed", {**intent("succeeded"), "amount": "49.99"}),
        ("charge.captured", charge_of(captured=False, amount_captured=0)),
        ("charge.captured", charge_of(captured=True, amount_captured=None)),
        ("refund.created", {"id": "re_1"}),
        ("charge.dispute.created", {"id": "dp_1", "amount": 1, "currency": "usd", "status": "of_next_year"}),
        ("charge.dispute.created", {"amount": 1, "currency": "usd", "status": "lost"}),
    ]


@pytest.mark.parametrize("number", range(13))
def test_shape_that_does_not_say_what_happened_is_an_error_and_never_a_guess(number: int) -> None:
    kind, thing = _shapes()[number]
    with pytest.raises((ValueError, msgspec.ValidationError)):
        read_event({"type": kind, "api_version": API_VERSION, "data": {"object": thing}})


def test_event_without_an_object_is_an_error() -> None:
    shapes: list[Json] = [{}, {"data": {}}, {"data": None}, {"data": {"object": []}}]
    for event in shapes:
        with pytest.raises((ValueError, msgspec.ValidationError)):
            read_event({"type": "payment_intent.succeeded", **event})
