"""The simulator's webhooks as the connector takes them: signatures, and notices that say what the answers say."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from bezant.connectors.simulator import CONNECTOR
from bezant.psp.call import Caller, Endpoint, HttpTransport
from bezant.psp.contract import Ask, Credentials, Operation, Outcome, Verdict
from bezant.psp.notices import (
    TOLERANCE_S,
    DisputeNotice,
    Notice,
    RawEvent,
    WebhookRefused,
    WebhookRequest,
)
from tests.support.simulator import WEBHOOK_SECRET, Client, client, new_reference, running_simulator
from tests.support.webhook_receiver import Received, Receiver, receiving

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
SECRET = "one secret"
CHARGE: dict[str, Any] = {
    "object": "charge",
    "id": "ch_1",
    "reference": "att_1",
    "currency": "USD",
    "authorization": {"id": "op_1", "status": "succeeded", "amount": 1000, "captured": 0},
}
OPERATION: dict[str, Any] = {
    "object": "operation",
    "id": "op_2",
    "kind": "refund",
    "charge": "ch_1",
    "status": "succeeded",
    "amount": 100,
    "currency": "USD",
}
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "type": "charge.approved",
    "created_at": "2026-11-23T11:59:59.5Z",
    "data": CHARGE,
}

WEBHOOKS = CONNECTOR.webhooks or pytest.fail("the simulator has webhooks")


def signature(body: bytes, *secrets: str, at: datetime = NOW) -> str:
    t = int(at.timestamp())
    marks = [hmac.new(s.encode(), b"%d." % t + body, hashlib.sha256).hexdigest() for s in secrets]
    return f"t={t}," + ",".join(f"v1={mark}" for mark in marks)


def accept(body: bytes, header: str | None, secrets: Sequence[str] = (SECRET,), now: datetime = NOW) -> list[RawEvent]:
    headers = {} if header is None else {"simulator-signature": header}
    return list(WEBHOOKS.accept(WebhookRequest(body, headers), secrets, Credentials(), now))


def refusal(body: bytes, header: str | None, secrets: Sequence[str] = (SECRET,), now: datetime = NOW) -> str:
    with pytest.raises(WebhookRefused) as refused:
        accept(body, header, secrets, now)
    return refused.value.code


BODY = json.dumps(EVENT).encode()


def test_a_signed_event_is_taken_as_it_is() -> None:
    (event,) = accept(BODY, signature(BODY, SECRET))
    assert event == RawEvent(
        event_id="evt_1", type="charge.approved", occurred_at=NOW - timedelta(milliseconds=500), body=BODY
    )


def test_each_altered_byte_of_the_body_fails() -> None:
    header = signature(BODY, SECRET)
    for at in range(len(BODY)):
        assert refusal(BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :], header) == "signature_invalid"
    assert refusal(BODY + b" ", header) == "signature_invalid"
    assert refusal(BODY[:-1], header) == "signature_invalid"


def test_each_altered_character_of_the_header_fails() -> None:
    header = signature(BODY, SECRET)
    for at in range(len(header)):
        other = "0" if header[at] != "0" else "1"
        assert refusal(BODY, header[:at] + other + header[at + 1 :]) == "signature_invalid"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=1",
        "v1=" + "0" * 64,
        "t=,v1=" + "0" * 64,
        "t=-1,v1=" + "0" * 64,
        "t=٣,v1=" + "0" * 64,
        "t=" + "9" * 400 + ",v1=" + "0" * 64,
        "t=1,v0=" + "0" * 64,
        "t=1,v1=é" + "0" * 63,
        "t=1,v1=" + "0" * 64 + "\n",
        "t=1" + (",v1=" + "0" * 64) * 9,
    ],
)
def test_a_header_of_another_form_fails(header: str | None) -> None:
    assert refusal(BODY, header) == "signature_invalid"


def mark(t: str) -> str:
    return "v1=" + hmac.new(SECRET.encode(), t.encode() + b"." + BODY, hashlib.sha256).hexdigest()


NOW_S = str(int(NOW.timestamp()))
ARABIC_NOW_S = NOW_S.translate({ord("0") + digit: 0x660 + digit for digit in range(10)})


@pytest.mark.parametrize(
    "header",
    [
        f"t={NOW_S},{mark(NOW_S)}\n",
        f"t={NOW_S},{mark(NOW_S)},v2=x",
        f" t={NOW_S},{mark(NOW_S)}",
        f"t={NOW_S},t=1,{mark(NOW_S)}",
        f"t={NOW_S},{mark(NOW_S).upper()}",
        f"t={NOW_S}" + ",v1=" * 8 + "0" * 64 + mark(NOW_S),
        f"t={NOW_S}" + (",v1=" + "0" * 64) * 8 + "," + mark(NOW_S),
        f"t=+{NOW_S},{mark('+' + NOW_S)}",
        f"t={ARABIC_NOW_S},{mark(ARABIC_NOW_S)}",
    ],
)
def test_a_right_signature_in_a_header_of_another_form_fails(header: str) -> None:
    assert accept(BODY, f"t={NOW_S},{mark(NOW_S)}")
    assert refusal(BODY, header) == "signature_invalid"


def test_any_active_secret_and_any_of_its_signatures_will_do() -> None:
    both = signature(BODY, "new", SECRET)
    assert accept(BODY, both, ["new"])
    assert accept(BODY, both, [SECRET])
    assert accept(BODY, signature(BODY, SECRET), ["new", SECRET])
    assert refusal(BODY, both, ["third"]) == "signature_invalid"


def test_without_a_secret_nothing_is_taken() -> None:
    assert refusal(BODY, signature(BODY, SECRET), []) == "signature_invalid"
    assert refusal(BODY, signature(BODY, ""), [SECRET]) == "signature_invalid"


@pytest.mark.parametrize("direction", [-1, 1])
def test_the_time_signed_must_be_near_ours(direction: int) -> None:
    header = signature(BODY, SECRET)
    assert accept(BODY, header, now=NOW + direction * timedelta(seconds=TOLERANCE_S))
    assert refusal(BODY, header, now=NOW + direction * timedelta(seconds=TOLERANCE_S + 1)) == "signature_stale"
    forged = signature(BODY, "another")
    assert refusal(BODY, forged, now=NOW + direction * timedelta(days=1)) == "signature_invalid"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        json.dumps({key: value for key, value in EVENT.items() if key != "id"}).encode(),
        json.dumps(EVENT | {"id": ""}).encode(),
        json.dumps(EVENT | {"id": "e" * 256}).encode(),
        json.dumps(EVENT | {"id": "evt_\x00"}).encode(),
        json.dumps(EVENT | {"type": "charge.\x00"}).encode(),
        b'{"data":' + b"[" * 100_000,
        json.dumps(EVENT | {"created_at": "2026-11-23T11:59:59"}).encode(),
        json.dumps(EVENT | {"created_at": "yesterday"}).encode(),
    ],
)
def test_what_is_signed_but_no_event_is_refused(body: bytes) -> None:
    assert refusal(body, signature(body, SECRET)) == "invalid_request"


def raw(event_type: str, data: object) -> RawEvent:
    body = json.dumps(EVENT | {"type": event_type, "data": data}).encode()
    return RawEvent(event_id="evt_1", type=event_type, occurred_at=NOW, body=body)


def only(event: RawEvent) -> Notice | DisputeNotice:
    """The one notice of an event."""
    found = WEBHOOKS.notices(event)
    assert found is not None
    assert len(found) == 1
    return found[0]


def test_a_type_that_is_not_known_is_none() -> None:
    assert WEBHOOKS.notices(raw("payout.paid", {"id": "po_1"})) is None


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("charge.approved", {}),
        ("charge.approved", None),
        ("charge.approved", CHARGE | {"authorization": CHARGE["authorization"] | {"amount": "1000"}}),
        ("charge.declined", CHARGE | {"authorization": CHARGE["authorization"] | {"status": "failed"}}),
        ("operation.succeeded", OPERATION | {"kind": "levitate"}),
        ("operation.succeeded", OPERATION | {"amount": -1}),
        ("operation.succeeded", OPERATION | {"amount": 10**18}),
        ("operation.succeeded", OPERATION | {"reference": "att_\x00"}),
        ("operation.failed", OPERATION | {"status": "failed"}),
        ("dispute.opened", CHARGE),
    ],
)
def test_a_shape_that_cannot_be_read_is_an_error(event_type: str, data: object) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError)):
        WEBHOOKS.notices(raw(event_type, data))


def test_what_became_of_it_is_in_the_data_and_not_in_the_type() -> None:
    notice = only(raw("operation.succeeded", OPERATION | {"status": "pondering"}))
    assert isinstance(notice, Notice)
    assert notice.outcome.verdict is Verdict.PENDING


def test_a_dashboard_refund_names_no_attempt() -> None:
    notice = only(raw("operation.succeeded", OPERATION))
    assert isinstance(notice, Notice)
    assert notice.operation is Operation.REFUND
    assert notice.outcome == Outcome(
        verdict=Verdict.APPROVED, psp_reference="ch_1", operation_reference="op_2", amount_minor=100, currency="USD"
    )


def test_a_charge_given_up_in_the_dashboard_is_said_by_the_charge_itself() -> None:
    given_up = OPERATION | {"kind": "cancel", "amount": 0}
    assert WEBHOOKS.notices(raw("operation.succeeded", given_up)) == ()
    ours = only(raw("operation.succeeded", given_up | {"reference": "att_2"}))
    assert isinstance(ours, Notice)
    assert (ours.outcome.verdict, ours.outcome.amount_minor) == (Verdict.APPROVED, None)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        yield each


@pytest.fixture(scope="module")
def simulator_url(receiver: Receiver) -> Iterator[str]:
    with running_simulator(webhook_url=receiver.url, async_delay_s=0.2) as process:
        yield process.url


@pytest_asyncio.fixture
async def calls(simulator_url: str) -> AsyncIterator[Caller]:
    transport = HttpTransport(connections_max=4)
    endpoint = Endpoint(CONNECTOR, simulator_url, Credentials())
    yield Caller({"simulator": endpoint}, transport, timeout_s=2.0, concurrency=4)
    await transport.close()


@pytest_asyncio.fixture
async def psp(simulator_url: str) -> AsyncIterator[Client]:
    async with client(simulator_url) as each:
        yield each


def ask(operation: Operation = Operation.AUTHORIZE, **fields: Any) -> Ask:
    known: dict[str, Any] = {
        "reference": new_reference(),
        "payment_reference": "pay_1",
        "amount_minor": 1000,
        "currency": "USD",
        "payment_method": "pm_card_visa",
    }
    return Ask(operation=operation, **{**known, **fields})


def read(request: Received) -> Notice | DisputeNotice:
    """What the connector makes of a request that really came."""
    raw_request = WebhookRequest(request.body, request.headers)
    (event,) = WEBHOOKS.accept(raw_request, (WEBHOOK_SECRET,), Credentials(), datetime.now(UTC))
    return only(event)


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_declined", "pm_card_async", "pm_card_3ds"])
@pytest.mark.parametrize("capture", [False, True])
async def test_an_authorization_is_told_as_it_is_answered(
    calls: Caller, receiver: Receiver, method: str, capture: bool
) -> None:
    asked = ask(payment_method=method, capture=capture)
    answered = (await calls.perform("simulator", asked, send_before=float("inf"))).outcome
    (request, *_) = await receiver.wait_for(about=answered.psp_reference)
    notice = read(request)
    assert isinstance(notice, Notice)
    assert (notice.operation, notice.outcome.verdict) == (Operation.AUTHORIZE, answered.verdict)
    fetched = (await calls.fetch("simulator", asked)).outcome
    if fetched.verdict is answered.verdict:
        assert notice.outcome == fetched
    assert notice.outcome.operation_reference == answered.operation_reference


@pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.CANCEL, Operation.REFUND])
@pytest.mark.parametrize("word", ["approve", "fails", "async", "async_fails"])
async def test_a_later_operation_is_told_as_it_is_answered(
    calls: Caller, receiver: Receiver, operation: Operation, word: str
) -> None:
    created = ask(capture=operation is Operation.REFUND)
    charge = (await calls.perform("simulator", created, send_before=float("inf"))).outcome.psp_reference
    asked = ask(operation, psp_reference=charge, metadata={"simulate": f"{operation}:{word}"})
    answered = (await calls.perform("simulator", asked, send_before=float("inf"))).outcome
    times = 2 if word.startswith("async") else 1
    await receiver.wait_for(f"operation.{'failed' if word.endswith('fails') else 'succeeded'}", charge)
    requests = [each for each in receiver.of(about=charge) if each.json["type"].startswith("operation.")]
    told = [notice for request in requests if isinstance(notice := read(request), Notice)]
    assert len(told) == times
    assert {notice.operation for notice in told} == {operation}
    assert {notice.outcome.reference for notice in told} == {asked.reference}
    assert {notice.outcome.operation_reference for notice in told} == {answered.operation_reference}
    assert told[0].outcome.verdict is answered.verdict
    assert told[-1].outcome == (await calls.fetch("simulator", asked)).outcome


async def test_a_dispute_is_told_from_its_opening_to_its_end(psp: Client, receiver: Receiver) -> None:
    charge = (await psp.create("pm_card_dispute_lost", capture=True)).body
    notices = [
        read((await receiver.wait_for(event_type, charge["id"]))[0])
        for event_type in ("dispute.opened", "dispute.lost")
    ]
    for notice, status in zip(notices, ("needs_response", "lost"), strict=True):
        assert isinstance(notice, DisputeNotice)
        assert (notice.psp_reference, notice.status, notice.amount_minor) == (charge["id"], status, 1000)
        assert (notice.currency, notice.reason) == ("USD", "fraudulent")
        assert notice.evidence_due_at is not None
    assert len({notice.dispute_reference for notice in notices if isinstance(notice, DisputeNotice)}) == 1
