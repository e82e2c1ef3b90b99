"""Disputes as a merchant lives them: the simulator opens them and tells by webhook, the API answers them."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from bezant.app import Services
from bezant.audit.record import By
from bezant.base import ids
from bezant.disputes.render import DisputeView
from bezant.psp.call import HttpTransport
from tests.support.disputes import file, goes_on, heard, jpeg, open_dispute, pdf, png
from tests.support.platform import Merchant, Platform, at_once, running_platform
from tests.support.verification import assert_verified
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def platform(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(
        module_database_url, tmp_path_factory.mktemp("home"), webhooks=True, env={"BEZANT_PSP_TIMEOUT_S": "1"}
    ) as platform:
        yield platform


@pytest.fixture(autouse=True)
def _verified(platform: Platform) -> Iterator[None]:
    yield
    assert_verified(platform.database_url)


@pytest.fixture
def shop(platform: Platform) -> Merchant:
    return platform.merchant()


@pytest.mark.parametrize("fate", ["won", "lost"])
def test_dispute_of_a_magic_card_is_heard_from_its_opening_to_its_end(shop: Merchant, fate: str) -> None:
    payment = shop.create(f"pm_card_dispute_{fate}").json
    dispute = heard(shop, payment, fate)
    assert dispute["amount"] == {"value": 10_000, "currency": "USD"}
    assert dispute["payment_id"] == payment["payment_id"]
    assert [each["outcome"] for each in dispute["rounds"]] == [fate]
    assert shop.payment(payment["payment_id"])["status"] == {"won": "captured", "lost": "chargeback_lost"}[fate]
    assert [t for t in shop.event_types(payment["payment_id"]) if t.startswith("dispute")] == [
        "dispute.opened",
        f"dispute.{fate}",
    ]


def test_evidence_is_brought_replaced_submitted_once_and_won(platform: Platform, shop: Merchant) -> None:
    payment = shop.create().json
    at_psp = open_dispute(platform, payment)
    dispute = heard(shop, payment, "needs_response")
    path = f"/disputes/{dispute['dispute_id']}"
    words = {"product_description": "A teapot", "uncategorized_text": "It was delivered."}
    brought = shop.call("POST", f"{path}/evidence", {"texts": words, "files": [file("receipt", pdf())]})
    assert brought.status == 200, brought
    changes = {
        "texts": {"uncategorized_text": None, "product_description": "A blue teapot"},
        "files": [file("customer_signature", png(), "sig.exe"), file("receipt", jpeg(), "../../etc/r.pdf")],
    }
    brought = shop.call("POST", f"{path}/evidence", changes)
    assert brought["evidence"]["texts"] == {"product_description": "A blue teapot"}
    assert [(f["field"], f["name"], f["content_type"]) for f in brought["evidence"]["files"]] == [
        ("customer_signature", "sig.png", "image/png"),
        ("receipt", "r.jpg", "image/jpeg"),
    ]

    submitted = shop.call("POST", f"{path}/submit", {}, "once")
    assert (submitted.status, submitted["status"]) == (200, "under_review"), submitted
    assert submitted["evidence"]["submitted"] is True
    again = shop.call("POST", f"{path}/submit", {}, "once")
    assert (again.body, again.replayed) == (submitted.body, True)
    assert shop.call("POST", f"{path}/submit", {}).code == "invalid_state"
    assert shop.call("POST", f"{path}/accept", {}).code == "invalid_state"
    late = shop.call("POST", f"{path}/evidence", {"texts": {"uncategorized_text": "One more thing"}})
    assert (late.status, late.code) == (409, "invalid_state")
    goes_on(platform, at_psp, "win")
    assert heard(shop, payment, "won")["rounds"][0]["outcome"] == "won"
    assert shop.accounts()["merchant_payable"] == 9_680


def test_dispute_is_accepted_once_however_often_it_is_asked(platform: Platform, shop: Merchant) -> None:
    payment = shop.create().json
    open_dispute(platform, payment)
    path = f"/disputes/{heard(shop, payment, 'needs_response')['dispute_id']}"
    answers = at_once([lambda: shop.call("POST", f"{path}/accept", {}) for _ in range(6)])
    assert sorted(a.code or "" for a in answers)[0] == "", answers
    assert {a.code for a in answers} <= {None, "attempt_in_progress", "invalid_state"}
    assert heard(shop, payment, "accepted")["status"] == "accepted"
    actions = platform.sql("SELECT count(*) FROM dispute_actions AS a WHERE a.payment_id = $1", _id(payment))
    assert actions == [(1,)]


@pytest.mark.parametrize(("verb", "word"), [("accept", "timeout_after"), ("evidence", "500_before")])
def test_answer_that_was_lost_is_found_out(platform: Platform, shop: Merchant, verb: str, word: str) -> None:
    payment = shop.create(metadata={"simulate": f"{verb}:{word}"}).json
    open_dispute(platform, payment)
    path = f"/disputes/{heard(shop, payment, 'needs_response')['dispute_id']}"
    shop.call("POST", f"{path}/evidence", {"texts": {"customer_name": "Jenny Rosen"}})
    call = "accept" if verb == "accept" else "submit"
    first = shop.call("POST", f"{path}/{call}", {}, "key")
    assert first.status in (200, 202), first
    ended = heard(shop, payment, "accepted" if verb == "accept" else "under_review")
    done = wait_until(
        lambda: [d for d in [shop.get(path).json] if d["action"]["status"] == "approved"], 30, "the action to be known"
    )[0]
    assert done["action"]["action"] == call
    assert ended["dispute_id"] == done["dispute_id"]
    again = shop.call("POST", f"{path}/{call}", {}, "key")
    assert (again.status, again.replayed) == (200, True)


def test_dispute_that_expires_at_the_psp_is_lost(platform: Platform, shop: Merchant) -> None:
    payment = shop.create().json
    at_psp = open_dispute(platform, payment)
    dispute = heard(shop, payment, "needs_response")
    goes_on(platform, at_psp, "expire")
    assert heard(shop, payment, "expired")["rounds"][0]["outcome"] == "lost"
    refused = shop.call("POST", f"/disputes/{dispute['dispute_id']}/accept", {})
    assert refused.code == "invalid_state"


def test_inquiry_cannot_be_accepted_and_second_stage_is_answered_anew(platform: Platform, shop: Merchant) -> None:
    payment = shop.create().json
    at_psp = open_dispute(platform, payment, inquiry=True)
    path = f"/disputes/{heard(shop, payment, 'inquiry')['dispute_id']}"
    assert shop.call("POST", f"{path}/accept", {}).code == "invalid_state"
    assert shop.payment(payment["payment_id"])["status"] == "captured"
    goes_on(platform, at_psp, "escalate")
    heard(shop, payment, "needs_response")
    shop.call("POST", f"{path}/evidence", {"texts": {"customer_name": "Jenny Rosen"}})
    assert shop.call("POST", f"{path}/submit", {}).status == 200
    goes_on(platform, at_psp, "win")
    heard(shop, payment, "won")
    goes_on(platform, at_psp, "reopen")
    second = heard(shop, payment, "needs_response")
    assert (second["stage"], second["round"], second["evidence"]["texts"]) == ("second", 2, {})
    assert shop.call("POST", f"{path}/submit", {}).code == "evidence_missing"
    shop.call("POST", f"{path}/evidence", {"texts": {"customer_name": "Still Jenny Rosen"}})
    assert shop.call("POST", f"{path}/submit", {}).status == 200
    goes_on(platform, at_psp, "lose")
    assert [r["outcome"] for r in heard(shop, payment, "lost")["rounds"]] == ["won", "lost"]


def test_evidence_after_the_deadline_is_refused(platform: Platform, shop: Merchant) -> None:
    payment = shop.create().json
    open_dispute(platform, payment)
    path = f"/disputes/{heard(shop, payment, 'needs_response')['dispute_id']}"
    shop.call("POST", f"{path}/evidence", {"texts": {"customer_name": "Jenny Rosen"}})
    platform.sql(
        "UPDATE disputes SET evidence_due_at = now() - interval '1 s' WHERE payment_id = $1 RETURNING id", _id(payment)
    )
    for call, body in (("evidence", {"texts": {"customer_name": "Jo"}}), ("submit", {})):
        refused = shop.call("POST", f"{path}/{call}", body)
        assert (refused.status, refused.code) == (422, "evidence_overdue")


def test_nobody_sees_or_answers_anothers_dispute(platform: Platform, shop: Merchant) -> None:
    payment = shop.create().json
    open_dispute(platform, payment)
    path = f"/disputes/{heard(shop, payment, 'needs_response')['dispute_id']}"
    stranger = platform.merchant()
    assert stranger.get("/disputes").json["data"] == []
    assert stranger.get(path).status == 404
    for call, body in (("evidence", {"texts": {"customer_name": "x"}}), ("submit", {}), ("accept", {})):
        assert stranger.call("POST", f"{path}/{call}", body).code == "not_found"
    assert stranger.get("/disputes/dsp_nothing").status == 404


def test_closed_merchants_dispute_goes_on_by_the_api_and_by_a_person(platform: Platform, shop: Merchant) -> None:
    payments = [shop.create().json for _ in range(2)]
    merchant_id = UUID(shop.merchant_id.partition("_")[2])
    platform.sql("UPDATE merchants SET status = 'closed' WHERE id = $1 RETURNING id", merchant_id)
    for payment in payments:
        open_dispute(platform, payment)
    paths = [f"/disputes/{heard(shop, payment, 'needs_response')['dispute_id']}" for payment in payments]
    assert shop.call("POST", f"{paths[0]}/evidence", {"texts": {"customer_name": "Jenny"}}).status == 200
    assert shop.call("POST", f"{paths[0]}/submit", {})["status"] == "under_review"
    dispute_id = ids.parse(ids.DISPUTE, paths[1].rpartition("/")[2])
    assert dispute_id is not None

    async def accept(services: Services) -> DisputeView:
        try:
            return await services.disputes.act(dispute_id, "accept", By("os:jo", "the merchant is gone"))
        finally:
            assert isinstance(services.transport, HttpTransport)
            await services.transport.close()

    shown = platform.with_services(accept)
    assert shown.status == "accepted"
    written = platform.sql("SELECT actor, reason FROM audit_log WHERE action = 'accept_dispute'")
    assert written == [("os:jo", "the merchant is gone")]


def test_list_is_filtered_and_paged(platform: Platform, shop: Merchant) -> None:
    payments = [shop.create().json for _ in range(3)]
    for payment in payments:
        open_dispute(platform, payment)
    for payment in payments:
        heard(shop, payment, "needs_response")
    first = shop.get("/disputes", limit=2).json
    second = shop.get("/disputes", limit=2, cursor=first["next_cursor"]).json
    assert (len(first["data"]), len(second["data"]), second["has_more"]) == (2, 1, False)
    listed = [each["payment_id"] for each in (*first["data"], *second["data"])]
    assert listed == [payment["payment_id"] for payment in reversed(payments)]
    assert shop.get("/disputes", status="won").json["data"] == []
    assert shop.get("/disputes", stage="second").json["data"] == []


REFUSED = {
    "windows": b"MZ\x90\x00" + bytes(100),
    "linux": b"\x7fELF" + bytes(100),
    "script": b"#!/bin/sh\nrm -rf /\n",
    "page": b"<html><script>alert(1)</script></html>",
    "zip": b"PK\x03\x04" + bytes(100),
    "empty": b"",
    "pdf with a script": pdf(b"<< /OpenAction << /S /JavaScript /JS (app.alert(1)) >> >>"),
    "pdf with a hidden script": pdf(b"<< /S /J#61vaScript /J#53 (app.alert(1)) >>"),
    "pdf that launches": pdf(b"<< /S /Launch /F (cmd.exe) >>"),
    "pdf with a file": pdf(b"<< /Names << /EmbeddedFiles 3 0 R >> >>"),
    "pdf and a program": pdf() + b"MZ\x90\x00",
    "pdf cut off": pdf()[:-8],
    "png and a zip": png(b"PK\x03\x04"),
    "png cut off": png()[:-6],
    "jpeg and a program": jpeg(b"MZ\x90\x00\xff\xd9"),
    "jpeg cut off": jpeg()[:-2],
}


def test_evidence_that_is_no_document_is_refused_and_nothing_is_kept(platform: Platform, shop: Merchant) -> None:
    payment = shop.create().json
    open_dispute(platform, payment)
    path = f"/disputes/{heard(shop, payment, 'needs_response')['dispute_id']}"
    for what, content in REFUSED.items():
        body = {"texts": {"customer_name": "Jenny"}, "files": [file("receipt", content)]}
        refused = shop.call("POST", f"{path}/evidence", body)
        assert (refused.status, refused.code) == (422, "evidence_type_refused"), (what, refused)
        assert refused["param"] == "/files/0/content"
    assert shop.get(path).json["evidence"] == {"texts": {}, "files": [], "submitted": False}


def test_evidence_beyond_the_limits_is_refused(platform: Platform, shop: Merchant) -> None:
    payment = shop.create().json
    open_dispute(platform, payment)
    path = f"/disputes/{heard(shop, payment, 'needs_response')['dispute_id']}"
    large = pdf(b"<< >> stream\n" + bytes(1_990_000) + b"\nendstream")
    for field in ("receipt", "refund_policy"):
        assert shop.call("POST", f"{path}/evidence", {"files": [file(field, large)]}).status == 200
    third = shop.call("POST", f"{path}/evidence", {"files": [file("cancellation_policy", large)]})
    assert (third.status, third.code) == (422, "evidence_too_large")
    above = pdf(b"<< >> stream\n" + bytes(2_000_000) + b"\nendstream")
    too_large = shop.call("POST", f"{path}/evidence", {"files": [file("receipt", above)]})
    assert (too_large.status, too_large.code) == (422, "evidence_too_large")
    assert shop.call("POST", f"{path}/evidence", json.dumps({"texts": {}}).encode() + b" " * 3_000_000).status == 413
    words = dict.fromkeys(("access_activity_log", "billing_address", "customer_name"), "x" * 20_000)
    assert shop.call("POST", f"{path}/evidence", {"texts": words}).status == 200
    for wrong in ({"texts": {"no_such_field": "x"}}, {"files": [file("customer_name", pdf())]}, {"remove": ["x"]}):
        assert shop.call("POST", f"{path}/evidence", wrong).code == "invalid_request"
    pan = shop.call("POST", f"{path}/evidence", {"texts": {"uncategorized_text": "card 4242 4242 4242 4242"}})
    assert pan.code == "card_data_refused"


def _id(payment: Any) -> UUID:
    found = ids.parse(ids.PAYMENT, payment["payment_id"])
    assert found is not None
    return found
