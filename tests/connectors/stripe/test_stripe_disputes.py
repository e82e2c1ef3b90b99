"""Answering Stripe's disputes: each request as Stripe documents it, and all of it against the double."""

from typing import Any

import jsonschema_rs
import msgspec
import pytest

from bezant.connectors.stripe import CONNECTOR, outcomes
from bezant.connectors.stripe.mapping import Dispute
from bezant.psp.call import Caller, Endpoint, OnDispute
from bezant.psp.contract import Credentials, PspRequest, PspSilence, Verdict
from bezant.psp.disputes import FILE_FIELDS, TEXT_FIELDS, DisputeAsk, DisputeState, EvidenceAsk, EvidenceFile
from tests.connectors.stripe.stripe_shop import Shop
from tests.connectors.stripe.stripe_support import REFERENCE, Json, Script, error, published
from tests.connectors.stripe.test_stripe_openapi import check
from tests.support.disputes import pdf, png
from tests.support.stripe_wire.client import Wire
from tests.support.stripe_wire.faults import Fault

ASK = DisputeAsk(reference=REFERENCE, dispute_reference="dp_1", psp_reference="pi_1")
FILES = (
    EvidenceFile(reference="dse_1", field="receipt", name="r.pdf", content_type="application/pdf", content=pdf()),
    EvidenceFile(reference="dse_2", field="customer_signature", name="s.png", content_type="image/png", content=png()),
)
EVIDENCE = EvidenceAsk(
    reference=REFERENCE,
    dispute_reference="dp_1",
    psp_reference="pi_1",
    texts={"product_description": "A teapot & more", "customer_name": "Jenny Rosen"},
    files=FILES,
)


def dispute_of(status: str, **changes: Any) -> Json:
    return {"id": "dp_1", "amount": 4999, "currency": "usd", "status": status, "payment_intent": "pi_1", **changes}


def check_upload(request: PspRequest) -> None:
    """Fail unless Stripe's file allows this upload, to the host that it names."""
    operation = published("openapi.payments-subset.json")["paths"]["/v1/files"]["post"]
    schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    upload = request.upload
    assert upload is not None
    jsonschema_rs.validate(schema, {**upload.fields, upload.name: "binary"})
    assert [server["url"] for server in operation["servers"]] == [f"https://{request.host}/"]
    assert (request.method, request.path, request.form, request.json) == ("POST", "/v1/files", None, None)


async def test_evidence_is_uploaded_and_submitted_as_stripe_documents() -> None:
    uploaded = [(200, {"id": f"file_{n}", "object": "file"}) for n in (1, 2)]
    send = Script(*uploaded, (200, dispute_of("under_review")))
    state = await _submit(EVIDENCE, send)
    assert state.verdict is Verdict.APPROVED
    for request, file in zip(send.requests[:2], FILES, strict=True):
        check_upload(request)
        assert request.headers == {"Idempotency-Key": file.reference}
        assert request.upload is not None
        assert (request.upload.content, request.upload.content_type) == (file.content, file.content_type)
    assert check(send.requests[2]) == "/v1/disputes/{dispute}"
    assert send.requests[2].form == {
        "evidence[product_description]": "A teapot & more",
        "evidence[customer_name]": "Jenny Rosen",
        "evidence[receipt]": "file_1",
        "evidence[customer_signature]": "file_2",
        "submit": "true",
    }


async def test_accepting_and_looking_up_are_as_stripe_documents() -> None:
    send = Script((200, dispute_of("lost")))
    assert (await _accept(send)).verdict is Verdict.APPROVED
    assert check(send.requests[0]) == "/v1/disputes/{dispute}/close"
    send = Script((200, dispute_of("needs_response")))
    found = await _fetch(send)
    assert (found.verdict, found.notice and found.notice.status) == (Verdict.APPROVED, "needs_response")
    assert check(send.requests[0]) == "/v1/disputes/{dispute}"


def test_fields_of_evidence_are_those_of_stripe() -> None:
    operation = published("openapi.payments-subset.json")["paths"]["/v1/disputes/{dispute}"]["post"]
    form = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]["properties"]
    fields: Json = form["evidence"]["properties"]
    assert set(fields) == TEXT_FIELDS | FILE_FIELDS
    assert {name for name, field in fields.items() if "maxLength" in field} == TEXT_FIELDS


def test_stripes_own_dispute_can_be_read() -> None:
    fixture = published("fixtures3.json")["resources"]["dispute"]
    told = outcomes.dispute(msgspec.convert(fixture, Dispute))
    assert (told.dispute_reference, told.stage, told.status) == (fixture["id"], "inquiry", "inquiry")
    assert told.evidence_due_at is not None


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (401, error("invalid_request_error"), Verdict.NOT_EXECUTED),
        (403, error("invalid_request_error"), Verdict.NOT_EXECUTED),
        (409, error("invalid_request_error", "lock_timeout"), Verdict.NOT_EXECUTED),
        (409, error("idempotency_error"), Verdict.UNKNOWN),
        (400, error("idempotency_error"), Verdict.UNKNOWN),
        (404, error("invalid_request_error", "resource_missing"), Verdict.UNKNOWN),
    ],
)
async def test_refusal_is_believed_only_where_it_says_that_nothing_was_done(
    status: int, body: Json, verdict: Verdict
) -> None:
    assert (await _accept(Script((status, body)))).verdict is verdict


async def test_refusal_of_a_second_copy_is_no_refusal() -> None:
    refusal = (400, error("invalid_request_error"))
    assert (await _accept(Script(refusal, (200, dispute_of("lost"))))).verdict is Verdict.APPROVED
    declined = await _accept(Script(refusal, (200, dispute_of("won"))))
    assert (declined.verdict, declined.notice and declined.notice.status) == (Verdict.DECLINED, "won")
    without_files = msgspec.structs.replace(EVIDENCE, files=())
    assert (await _submit(without_files, Script(refusal, (200, dispute_of("won"))))).verdict is Verdict.APPROVED
    waiting = await _submit(without_files, Script(refusal, (200, dispute_of("needs_response"))))
    assert waiting.verdict is Verdict.DECLINED


async def test_acknowledgement_is_no_outcome_and_another_dispute_no_answer() -> None:
    assert (await _accept(Script((200, dispute_of("needs_response"))))).verdict is Verdict.PENDING
    with pytest.raises(PspSilence):
        await _fetch(Script((200, dispute_of("lost", id="dp_2"))))


async def test_evidence_is_reviewed_and_a_lost_answer_submits_nothing_twice(shop: Shop, dashboard: Wire) -> None:
    sold = await shop.authorized(capture=True)
    dispute = await dashboard.steer(f"payment_intents/{sold.psp_reference}/dispute", reason="fraudulent")
    ask = msgspec.structs.replace(EVIDENCE, dispute_reference=dispute["id"], reference="dsa_wire_1")
    await dashboard.fault(Fault.LOST, on=f"POST /v1/disputes/{dispute['id']}")
    first = await _call(shop, ask, "submit")
    assert first.verdict is Verdict.UNKNOWN
    again = await _call(shop, ask, "submit")
    assert (again.verdict, again.notice and again.notice.status) == (Verdict.APPROVED, "under_review")
    seen = await dashboard.call("GET", f"disputes/{dispute['id']}")
    assert seen["evidence"]["product_description"] == "A teapot & more"
    assert seen["evidence"]["receipt"].startswith("file_")
    assert seen["evidence_details"]["submission_count"] == 1
    found = await _call(shop, ask, "fetch")
    assert found.notice is not None
    assert found.notice.psp_reference == sold.psp_reference


async def test_accepted_dispute_is_lost(shop: Shop, dashboard: Wire) -> None:
    sold = await shop.authorized(capture=True)
    dispute = await dashboard.steer(f"payment_intents/{sold.psp_reference}/dispute", reason="fraudulent")
    ask = msgspec.structs.replace(ASK, dispute_reference=dispute["id"], reference="dsa_wire_2")
    accepted = await _call(shop, ask, "accept")
    assert (accepted.verdict, accepted.notice and accepted.notice.status) == (Verdict.APPROVED, "lost")


async def test_files_go_to_the_host_of_files_unless_the_operator_names_another() -> None:
    asked: list[str] = []

    async def transport(base_url: str, request: PspRequest, _headers: object) -> tuple[int, bytes]:
        asked.append(base_url + request.path)
        return 200, msgspec.json.encode({**dispute_of("under_review"), "id": "dp_1"})

    for base_url, host in (("https://api.stripe.com", "https://files.stripe.com"), ("http://here", "http://here")):
        endpoint = Endpoint(CONNECTOR, base_url, Credentials(fields={"secret_key": "sk_1"}))
        caller = Caller({"stripe": endpoint}, transport, timeout_s=5, concurrency=1)
        asked.clear()
        called = await caller.on_dispute("stripe", msgspec.structs.replace(EVIDENCE, files=FILES[:1]), "submit", None)
        assert called.state.verdict is Verdict.APPROVED
        assert asked == [f"{host}/v1/files", f"{base_url}/v1/disputes/dp_1"]
        assert "bytes" in called.requests[0].request, "of a document only its size is kept"


async def _submit(ask: EvidenceAsk, send: Script) -> DisputeState:
    assert CONNECTOR.submit_evidence is not None
    return await CONNECTOR.submit_evidence(ask, send)


async def _accept(send: Script) -> DisputeState:
    assert CONNECTOR.accept_dispute is not None
    return await CONNECTOR.accept_dispute(ASK, send)


async def _fetch(send: Script) -> DisputeState:
    assert CONNECTOR.fetch_dispute is not None
    return await CONNECTOR.fetch_dispute(ASK, send)


async def _call(shop: Shop, ask: DisputeAsk, action: OnDispute) -> DisputeState:
    return (await shop.caller.on_dispute("stripe", ask, action, None)).state
