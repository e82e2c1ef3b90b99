"""What every connector must make of its PSP's webhooks, shown against a server: `psp/notices.py` as behaviour."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from bezant.psp.contract import Operation, Outcome, Verdict
from bezant.psp.notices import Notice, RawEvent, WebhookRefused, WebhookRequest
from tests.contract.peers import Lack, Peer, Told

pytestmark = pytest.mark.needs(Lack.WEBHOOKS)


def told(peer: Peer) -> Told:
    assert peer.told is not None
    return peer.told


def outcomes_in(peer: Peer, requests: list[WebhookRequest], operation: Operation) -> list[Outcome]:
    """What the webhooks say of this kind of operation."""
    said = [notice for request in requests for event in peer.accepted(request) for notice in _notices(peer, event)]
    return [notice.outcome for notice in said if notice.operation is operation]


def _notices(peer: Peer, event: RawEvent) -> Iterator[Notice]:
    for notice in peer.webhooks.notices(event) or ():
        if isinstance(notice, Notice):
            yield notice


async def authorized_and_told(peer: Peer) -> WebhookRequest:
    done = await peer.authorized()
    return (await peer.hears(Operation.AUTHORIZE, Verdict.APPROVED, done.psp_reference))[0]


def is_refused(peer: Peer, request: WebhookRequest, *secrets: str) -> bool:
    try:
        peer.accepted(request, *secrets)
    except WebhookRefused as refused:
        return refused.code == "signature_invalid"
    return False


async def test_webhook_is_believed_with_the_right_secret_alone(peer: Peer) -> None:
    request = await authorized_and_told(peer)
    right = told(peer).secret
    assert peer.accepted(request)
    assert peer.accepted(request, "the secret after this one", right)
    for secrets in ((f"{right}x",), (right[:-1],), ("",), ("", " ")):
        assert is_refused(peer, request, *secrets), secrets
    with pytest.raises(WebhookRefused):
        peer.webhooks.accept(request, (), told(peer).credentials, datetime.now(UTC))


async def test_each_altered_byte_of_the_body_is_noticed(peer: Peer) -> None:
    request = await authorized_and_told(peer)
    for position in range(len(request.body)):
        altered = bytearray(request.body)
        altered[position] ^= 1
        assert is_refused(peer, WebhookRequest(bytes(altered), request.headers)), position
    for body in (request.body[:-1], request.body + b" ", b""):
        assert is_refused(peer, WebhookRequest(body, request.headers))


async def test_webhook_without_its_headers_is_refused(peer: Peer) -> None:
    request = await authorized_and_told(peer)
    assert is_refused(peer, WebhookRequest(request.body, {"content-type": "application/json"}))


async def test_webhook_of_yesterday_is_stale(peer: Peer) -> None:
    request = await authorized_and_told(peer)
    with pytest.raises(WebhookRefused) as refused:
        peer.accepted(request, at=datetime.now(UTC) + timedelta(days=1))
    assert refused.value.code == "signature_stale"


async def test_event_has_the_same_name_and_time_each_time(peer: Peer) -> None:
    request = await authorized_and_told(peer)
    first, again = (peer.accepted(request)[0] for _ in range(2))
    assert (first.event_id, first.occurred_at, first.type) == (again.event_id, again.occurred_at, again.type)
    assert abs(first.occurred_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert first.occurred_at.tzinfo is UTC


@pytest.mark.parametrize("capture", [False, True], ids=["manual", "automatic"])
async def test_authorization_is_told_as_it_was_answered(peer: Peer, capture: bool) -> None:
    ask = peer.new(capture=capture)
    answered = await peer.do(ask)
    heard = await peer.hears(Operation.AUTHORIZE, Verdict.APPROVED, answered.psp_reference)
    for outcome in outcomes_in(peer, heard, Operation.AUTHORIZE):
        assert outcome == answered
        assert outcome.reference == ask.reference


async def test_decline_is_told_as_it_was_answered(peer: Peer) -> None:
    ask = peer.new(payment_method=next(iter(peer.declines)))
    answered = await peer.do(ask)
    heard = await peer.hears(Operation.AUTHORIZE, Verdict.DECLINED, answered.psp_reference)
    for outcome in outcomes_in(peer, heard, Operation.AUTHORIZE):
        assert (outcome.failure, outcome.reference) == (answered.failure, ask.reference)


@pytest.mark.parametrize("amount_minor", [1000, 400], ids=["all", "part"])
async def test_capture_has_one_name_in_the_answer_the_look_up_and_every_webhook(peer: Peer, amount_minor: int) -> None:
    ask = peer.on(await peer.authorized(), Operation.CAPTURE, amount_minor)
    answered = await peer.do(ask)
    assert answered.operation_reference is not None
    assert await peer.found(ask) == answered
    heard = await peer.hears(Operation.CAPTURE, Verdict.APPROVED, answered.psp_reference)
    for outcome in outcomes_in(peer, heard, Operation.CAPTURE):
        assert outcome.reference in (None, ask.reference)
        assert msgspec.structs.replace(outcome, reference=answered.reference) == answered


async def test_cancel_is_told(peer: Peer) -> None:
    ask = peer.on(await peer.authorized(), Operation.CANCEL, 1000)
    answered = await peer.do(ask)
    heard = await peer.hears(Operation.CANCEL, Verdict.APPROVED, answered.psp_reference)
    for outcome in outcomes_in(peer, heard, Operation.CANCEL):
        assert outcome.reference in (None, ask.reference)
        assert outcome.operation_reference == answered.operation_reference


async def test_each_refund_is_told_by_its_own_name(peer: Peer) -> None:
    authorized = await peer.authorized(capture=True)
    asks = [peer.on(authorized, Operation.REFUND, amount_minor) for amount_minor in (300, 300)]
    answered = {ask.reference: await peer.do(ask) for ask in asks}
    heard = await peer.hears(Operation.REFUND, Verdict.APPROVED, authorized.psp_reference)
    for outcome in outcomes_in(peer, heard, Operation.REFUND):
        assert outcome.reference is not None
        assert outcome == answered[outcome.reference]


@pytest.mark.needs(Lack.FOREIGN_REFUNDS)
async def test_refund_that_we_did_not_ask_for_names_no_attempt_of_ours(peer: Peer) -> None:
    authorized = await peer.authorized(capture=True)
    assert authorized.psp_reference is not None
    make = told(peer).refund
    assert make is not None
    await make(authorized.psp_reference, 250)
    heard = await peer.hears(Operation.REFUND, Verdict.APPROVED, authorized.psp_reference)
    for outcome in outcomes_in(peer, heard, Operation.REFUND):
        assert (outcome.reference, outcome.amount_minor) == (None, 250)
        assert outcome.operation_reference is not None
