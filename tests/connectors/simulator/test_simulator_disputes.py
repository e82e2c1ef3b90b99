"""Disputes at the simulator, through its connector: what is told, answered and looked up says the same."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from bezant.connectors.simulator import CONNECTOR
from bezant.connectors.simulator.calls import accept_dispute, fetch_dispute, submit_evidence
from bezant.connectors.simulator.webhooks import WEBHOOKS
from bezant.psp.call import HttpTransport
from bezant.psp.contract import Credentials, PspRequest, PspResponse, PspSilence, Send, Verdict
from bezant.psp.disputes import DisputeAsk, EvidenceAsk, EvidenceFile
from bezant.psp.notices import DisputeNotice, RawEvent, WebhookRequest
from tests.support.simulator import WEBHOOK_SECRET, Client, client, new_reference, running_simulator
from tests.support.webhook_receiver import Received, Receiver, receiving

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DISPUTE: dict[str, Any] = {
    "id": "dp_1", "charge": "ch_1", "status": "needs_response", "stage": "chargeback", "amount": 1000,
    "currency": "USD", "reason": "fraudulent", "evidence_due": 1795478400.0, "round": 1, "fee": 1500,
}  # fmt: skip


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        yield each


@pytest.fixture(scope="module")
def simulator_url(receiver: Receiver) -> Iterator[str]:
    with running_simulator(webhook_url=receiver.url) as process:
        yield process.url


@pytest_asyncio.fixture
async def psp(simulator_url: str) -> AsyncIterator[Client]:
    async with client(simulator_url) as each:
        yield each


@pytest_asyncio.fixture
async def send(simulator_url: str) -> AsyncIterator[Send]:
    transport = HttpTransport(connections_max=2)

    async def over_http(request: PspRequest) -> PspResponse:
        headers = {**CONNECTOR.authenticate(Credentials()), **request.headers}
        status, body = await transport(simulator_url, request, headers)
        return PspResponse(status=status, body=json.loads(body))

    yield over_http
    await transport.close()


def ask(name: str) -> DisputeAsk:
    return DisputeAsk(reference=new_reference(), dispute_reference=name, psp_reference=None)


def evidence(name: str, *files: EvidenceFile, **texts: str) -> EvidenceAsk:
    return EvidenceAsk(reference=new_reference(), dispute_reference=name, psp_reference=None, texts=texts, files=files)


async def disputed(psp: Client, **claim: object) -> dict[str, Any]:
    charge = (await psp.create(capture=True)).body
    return (await psp.call("POST", f"/_simulator/charges/{charge['id']}/dispute", claim)).body


def said(event: RawEvent) -> DisputeNotice:
    """The one notice of an event."""
    notices = WEBHOOKS.notices(event)
    assert notices is not None
    (notice,) = notices
    assert isinstance(notice, DisputeNotice)
    return notice


def read(request: Received) -> DisputeNotice:
    (event,) = WEBHOOKS.accept(
        WebhookRequest(request.body, request.headers), (WEBHOOK_SECRET,), Credentials(), datetime.now(UTC)
    )
    return said(event)


async def test_a_dispute_is_told_as_it_is_looked_up(psp: Client, receiver: Receiver, send: Send) -> None:
    of = await disputed(psp, amount=600, reason="duplicate")
    found = await fetch_dispute(ask(of["id"]), send)
    assert found.notice == read((await receiver.wait_for("dispute.opened", of["charge"]))[0])
    assert found.verdict is Verdict.APPROVED
    assert found.notice == DisputeNotice(
        dispute_reference=of["id"],
        psp_reference=of["charge"],
        stage="chargeback",
        status="needs_response",
        amount_minor=600,
        currency="USD",
        round=1,
        reason="duplicate",
        evidence_due_at=datetime.fromtimestamp(of["evidence_due"], UTC),
        fee_minor=1500,
    )


async def test_an_inquiry_has_cost_nothing_yet(psp: Client, send: Send) -> None:
    of = await disputed(psp, inquiry=True)
    notice = (await fetch_dispute(ask(of["id"]), send)).notice
    assert notice is not None
    assert (notice.stage, notice.status, notice.round, notice.fee_minor) == ("inquiry", "inquiry", 0, None)


@pytest.mark.parametrize("size", [8, 1_900_000])
async def test_evidence_arrives_whole_and_once(psp: Client, send: Send, size: int) -> None:
    of, content = await disputed(psp), b"%PDF-1.7" + bytes(size - 8)
    file = EvidenceFile(
        reference="evf_1", field="receipt", name="receipt.pdf", content_type="application/pdf", content=content
    )
    asked = evidence(of["id"], file, customer_name="Ada", uncategorized_text="All is well.")
    done, again = await submit_evidence(asked, send), await submit_evidence(asked, send)
    assert done == again
    assert (done.verdict, done.notice and done.notice.status) == (Verdict.APPROVED, "under_review")
    kept = (await psp.call("GET", f"/v1/disputes/{of['id']}")).body["evidence"]
    assert kept["texts"] == {"customer_name": "Ada", "uncategorized_text": "All is well."}
    (seen,) = kept["files"]
    assert (seen["field"], seen["name"], seen["size"]) == ("receipt", "receipt.pdf", size)
    assert seen["sha256"] == hashlib.sha256(content).hexdigest()


async def test_what_is_too_late_is_declined(psp: Client, send: Send) -> None:
    of = await disputed(psp)
    assert (await accept_dispute(ask(of["id"]), send)).verdict is Verdict.APPROVED
    for late in (await accept_dispute(ask(of["id"]), send), await submit_evidence(evidence(of["id"]), send)):
        assert (late.verdict, late.failure and late.failure.code) == (Verdict.DECLINED, "invalid_state")


@pytest.mark.parametrize(
    ("steps", "event_type", "stage", "status"),
    [
        ([], "dispute.accepted", "chargeback", "accepted"),
        (["expire"], "dispute.expired", "chargeback", "expired"),
        (["review"], "dispute.updated", "chargeback", "under_review"),
        (["win"], "dispute.won", "chargeback", "won"),
        (["win", "reopen"], "dispute.updated", "second", "needs_response"),
        (["win", "reopen", "lose"], "dispute.lost", "second", "lost"),
    ],
)
async def test_each_step_is_told(
    psp: Client, receiver: Receiver, send: Send, steps: list[str], event_type: str, stage: str, status: str
) -> None:
    of = await disputed(psp)
    for step in steps:
        await psp.call("POST", f"/_simulator/disputes/{of['id']}/{step}")
    if not steps:
        await accept_dispute(ask(of["id"]), send)
    notice = read((await receiver.wait_for(event_type, of["charge"]))[0])
    assert (notice.stage, notice.status, notice.round) == (stage, status, 1 + ("reopen" in steps))
    assert (await fetch_dispute(ask(of["id"]), send)).notice == notice


async def test_a_dispute_that_is_not_there(send: Send) -> None:
    assert (await fetch_dispute(ask("dp_nothing"), send)).verdict is Verdict.NOT_FOUND
    declined = await accept_dispute(ask("dp_nothing"), send)
    assert (declined.verdict, declined.failure and declined.failure.code) == (Verdict.DECLINED, "unknown_at_psp")


@pytest.mark.parametrize(
    ("status", "kind", "verdict"),
    [
        (401, "authentication_error", Verdict.NOT_EXECUTED),
        (409, "idempotency_error", Verdict.UNKNOWN),
        (404, "api_error", Verdict.UNKNOWN),
        (422, "refused", Verdict.DECLINED),
    ],
)
async def test_an_error_is_a_decline_only_where_it_says_so(status: int, kind: str, verdict: Verdict) -> None:
    async def answers(request: PspRequest) -> PspResponse:
        return PspResponse(status=status, body={"error": {"type": kind, "code": "something_new", "message": "No."}})

    assert (await submit_evidence(evidence("dp_1"), answers)).verdict is verdict
    assert (await accept_dispute(ask("dp_1"), answers)).verdict is verdict


async def test_a_look_up_that_fails_says_nothing() -> None:
    async def answers(request: PspRequest) -> PspResponse:
        return PspResponse(status=401, body={"error": {"type": "authentication_error", "code": "x", "message": "y"}})

    with pytest.raises(PspSilence):
        await fetch_dispute(ask("dp_1"), answers)


def told(**changes: object) -> DisputeNotice:
    body = json.dumps(
        {"id": "evt_1", "type": "dispute.updated", "created_at": NOW.isoformat(), "data": DISPUTE | changes}
    )
    event = RawEvent(event_id="evt_1", type="dispute.updated", occurred_at=NOW, body=body.encode())
    return said(event)


def test_an_event_in_the_words_of_an_earlier_version_is_a_chargeback() -> None:
    kept = {key: value for key, value in DISPUTE.items() if key not in ("stage", "round", "fee")}
    body = json.dumps(
        {"id": "e", "type": "dispute.opened", "created_at": NOW.isoformat(), "data": kept | {"status": "open"}}
    )
    event = RawEvent(event_id="e", type="dispute.opened", occurred_at=NOW, body=body.encode())
    notice = said(event)
    assert (notice.stage, notice.status, notice.round, notice.fee_minor) == ("chargeback", "needs_response", None, None)


@pytest.mark.parametrize(
    "changes", [{"status": "pondered"}, {"stage": "third"}, {"amount": -1}, {"fee": -1}, {"id": ""}]
)
def test_words_that_are_not_known_are_an_error(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 msgspec's errors are ValueErrors too
        told(**changes)
