"""What a dispute goes through at the simulator, by the bank's hand, the merchant's, and the clock's."""

import hashlib
import io
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.support.simulator import Answered, Client, SimulatorProcess, client, new_reference, running_simulator
from tests.support.waiting import wait_until_async
from tests.support.webhook_receiver import Receiver, receiving

PDF = b"%PDF-1.7 a receipt"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        yield each


@pytest.fixture(scope="module")
def simulator_url(receiver: Receiver) -> Iterator[str]:
    with running_simulator(webhook_url=receiver.url, async_delay_s=0.05) as process:
        yield process.url


@pytest_asyncio.fixture
async def psp(simulator_url: str) -> AsyncIterator[Client]:
    async with client(simulator_url) as each:
        yield each


async def dispute(psp: Client, charge: dict[str, Any] | None = None, **claim: object) -> dict[str, Any]:
    """A new dispute, on a new charge unless one is given."""
    of = charge or (await psp.create(capture=True)).body
    answer = await psp.call("POST", f"/_simulator/charges/{of['id']}/dispute", claim)
    assert answer.status == 201, answer.body
    return answer.body


async def bank(psp: Client, of: dict[str, Any], verb: str) -> Answered:
    return await psp.call("POST", f"/_simulator/disputes/{of['id']}/{verb}")


async def merchant(psp: Client, of: dict[str, Any], verb: str, key: str | None = None, **body: object) -> Answered:
    return await psp.call("POST", f"/v1/disputes/{of['id']}/{verb}", body, key or new_reference())


async def shown(psp: Client, of: dict[str, Any]) -> dict[str, Any]:
    return (await psp.call("GET", f"/v1/disputes/{of['id']}")).body


async def reaches(psp: Client, of: dict[str, Any], status: str) -> dict[str, Any]:
    async def has_it() -> bool:
        return (await shown(psp, of))["status"] == status

    await wait_until_async(has_it, 10.0, f"{status} of {of['id']}")
    return await shown(psp, of)


async def told(psp: Client, receiver: Receiver, of: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Type, stage and status of each event about the dispute, in order, once none waits."""

    async def all_told() -> bool:
        found = (await psp.call("GET", f"/_simulator/events?charge={of['charge']}")).body["data"]
        return all(each["told"] for each in found)

    await wait_until_async(all_told, 10.0, "the events")
    received = [request.json for request in receiver.of(about=of["charge"])]
    about = [event for event in received if event["data"]["object"] == "dispute" and event["data"]["id"] == of["id"]]
    assert len({event["id"] for event in about}) == len(about)
    return [(event["type"], event["data"]["stage"], event["data"]["status"]) for event in about]


async def amounts(psp: Client, charge: dict[str, Any]) -> tuple[int, int]:
    """What disputes hold of a charge, and what they have taken for good."""
    fact = (await psp.facts(charge["reference"]))[0]
    return fact["amount_disputed"], fact["amount_lost"]


async def test_an_inquiry_becomes_a_chargeback_that_is_answered_won_and_taken_up_again(
    psp: Client, receiver: Receiver
) -> None:
    charge = (await psp.create(capture=True)).body
    of = await dispute(psp, charge, inquiry=True, reason="product_not_received")
    held = [await amounts(psp, charge)]
    for verb in ("escalate", "review", "win", "reopen", "lose"):
        assert (await bank(psp, of, verb)).status == 200
        held.append(await amounts(psp, charge))
    assert held == [(0, 0), (1_000, 0), (1_000, 0), (0, 0), (1_000, 0), (0, 1_000)]
    assert await told(psp, receiver, of) == [
        ("dispute.opened", "inquiry", "inquiry"),
        ("dispute.updated", "chargeback", "needs_response"),
        ("dispute.updated", "chargeback", "under_review"),
        ("dispute.won", "chargeback", "won"),
        ("dispute.updated", "second", "needs_response"),
        ("dispute.lost", "second", "lost"),
    ]
    after = await shown(psp, of)
    assert (after["round"], after["fee"], after["reason"]) == (2, 1_500, "product_not_received")


async def test_evidence_is_gathered_and_handed_in_once(psp: Client, receiver: Receiver) -> None:
    of = await dispute(psp)
    first = await merchant(psp, of, "evidence", texts={"customer_name": "Ada", "product_description": "A book"})
    assert (first.status, first.body["status"]) == (200, "needs_response")
    file = {"field": "receipt", "name": "receipt.pdf", "content_type": "application/pdf"}
    handed_in = await merchant(
        psp,
        of,
        "evidence",
        texts={"customer_name": "Ada L."},
        files=[file | {"content": b64encode(PDF).decode()}],
        submit=True,
    )
    assert handed_in.body["status"] == "under_review"
    evidence = handed_in.body["evidence"]
    assert evidence["texts"] == {"customer_name": "Ada L.", "product_description": "A book"}
    assert evidence["files"] == [file | {"size": len(PDF), "sha256": hashlib.sha256(PDF).hexdigest()}]
    assert evidence["submitted"] >= of["created"]
    again = await merchant(psp, of, "evidence", texts={"customer_name": "Eve"}, submit=True)
    assert (again.status, again.error["code"]) == (422, "not_possible")
    assert await shown(psp, of) == handed_in.body
    assert [status for _, _, status in await told(psp, receiver, of)] == ["needs_response", "under_review"]


async def test_the_same_key_hands_in_once_and_gets_the_same_answer(psp: Client) -> None:
    of = await dispute(psp)
    key = new_reference()
    first = await merchant(psp, of, "evidence", key, texts={"a": "b"}, submit=True)
    again = await merchant(psp, of, "evidence", key, texts={"a": "b"}, submit=True)
    assert (again.replayed, again.body) == (True, first.body)
    other = await merchant(psp, of, "evidence", key, texts={"a": "c"}, submit=True)
    assert (other.status, other.error["code"]) == (400, "key_reused")


@pytest.mark.parametrize(("fate", "kept"), [("won", (0, 0)), ("lost", (0, 1_000))])
async def test_a_dispute_may_wait_for_evidence_before_it_is_decided(
    psp: Client, receiver: Receiver, fate: str, kept: tuple[int, int]
) -> None:
    charge = (await psp.create(capture=True)).body
    of = await dispute(psp, charge, fate=fate, after_evidence=True)
    assert (await merchant(psp, of, "evidence", texts={"a": "b"}, submit=True)).body["status"] == "under_review"
    await reaches(psp, of, fate)
    assert await amounts(psp, charge) == kept
    assert [status for _, _, status in await told(psp, receiver, of)] == ["needs_response", "under_review", fate]


@pytest.mark.parametrize(("fate", "statuses"), [
    ("won", ["inquiry", "closed"]), ("lost", ["inquiry", "needs_response", "lost"]),
])  # fmt: skip
async def test_an_inquiry_may_decide_itself(psp: Client, receiver: Receiver, fate: str, statuses: list[str]) -> None:
    of = await dispute(psp, inquiry=True, fate=fate)
    await reaches(psp, of, statuses[-1])
    assert [status for _, _, status in await told(psp, receiver, of)] == statuses


async def test_an_accepted_dispute_is_lost_and_over(psp: Client, receiver: Receiver) -> None:
    charge = (await psp.create(capture=True)).body
    of = await dispute(psp, charge, amount=600)
    accepted = await merchant(psp, of, "accept")
    assert (accepted.status, accepted.body["status"]) == (200, "accepted")
    assert await amounts(psp, charge) == (0, 600)
    assert (await merchant(psp, of, "accept")).error["code"] == "not_possible"
    assert (await merchant(psp, of, "evidence", submit=True)).error["code"] == "not_possible"
    assert (await bank(psp, of, "win")).status == 409
    assert (await told(psp, receiver, of))[-1] == ("dispute.accepted", "chargeback", "accepted")


async def test_an_inquiry_cannot_be_accepted_because_nothing_was_taken(psp: Client) -> None:
    charge = (await psp.create(capture=True)).body
    of = await dispute(psp, charge, inquiry=True)
    assert (await merchant(psp, of, "accept")).error["code"] == "not_possible"
    assert (await psp.modify(charge["id"], "refunds")).status == 201


@pytest.mark.parametrize(("inquiry", "status", "lost"), [(False, "expired", 1_000), (True, "closed", 0)])
async def test_nobody_answers_in_time(psp: Client, receiver: Receiver, inquiry: bool, status: str, lost: int) -> None:
    charge = (await psp.create(capture=True)).body
    of = await dispute(psp, charge, inquiry=inquiry, evidence_s=0.05)
    await reaches(psp, of, status)
    assert await amounts(psp, charge) == (0, lost)
    assert (await merchant(psp, of, "evidence", texts={"a": "b"}, submit=True)).status == 422
    assert (await told(psp, receiver, of))[-1][0] == f"dispute.{status}"


async def test_what_is_under_review_does_not_expire(psp: Client) -> None:
    of = await dispute(psp, evidence_s=1_000)
    await merchant(psp, of, "evidence", submit=True)
    assert (await bank(psp, of, "expire")).status == 409
    assert (await shown(psp, of))["status"] == "under_review"


async def test_a_second_stage_asks_for_evidence_anew(psp: Client) -> None:
    of = await dispute(psp)
    await merchant(psp, of, "evidence", texts={"a": "b"}, submit=True)
    await bank(psp, of, "win")
    await bank(psp, of, "reopen")
    again = await shown(psp, of)
    assert again["evidence"] == {"texts": {}, "files": [], "submitted": None}
    assert again["evidence_due"] > of["evidence_due"]
    assert (await merchant(psp, of, "evidence", texts={"c": "d"}, submit=True)).body["status"] == "under_review"
    await bank(psp, of, "win")
    assert (await bank(psp, of, "reopen")).status == 409


async def test_a_payment_may_be_disputed_twice_beyond_its_amount_and_in_another_currency(psp: Client) -> None:
    charge = (await psp.create(capture=True)).body
    await dispute(psp, charge, amount=400)
    await dispute(psp, charge, amount=600)
    path = f"/_simulator/charges/{charge['id']}/dispute"
    assert (await psp.call("POST", path, {"amount": 1})).error["code"] == "not_disputable"
    beyond = await dispute(psp, charge, amount=5_000, beyond=True)
    foreign = await dispute(psp, charge, amount=900, currency="EUR")
    assert (beyond["amount"], foreign["currency"], foreign["amount"]) == (5_000, "EUR", 900)
    assert (await psp.call("POST", path, {"currency": "EUR"})).status == 422
    uncaptured = (await psp.create()).body
    path = f"/_simulator/charges/{uncaptured['id']}/dispute"
    assert (await psp.call("POST", path, {"amount": 1, "beyond": True})).status == 422


async def test_a_dispute_in_another_currency_keeps_what_is_left_from_being_refunded(psp: Client) -> None:
    charge = (await psp.create(capture=True)).body
    await psp.modify(charge["id"], "refunds", amount=300)
    await dispute(psp, charge, amount=5, currency="NOK")
    assert await amounts(psp, charge) == (700, 0)
    assert (await psp.modify(charge["id"], "refunds", amount=1)).error["code"] == "not_refundable"
    balances = (await psp.call("GET", "/_simulator/balances")).body["data"]
    (crowns,) = [each for each in balances if each["currency"] == "NOK"]
    assert (crowns["captured"], crowns["disputed"], crowns["balance"]) == (0, 5, -5)


@pytest.mark.parametrize("verb", ["evidence", "accept"])
async def test_an_answer_may_be_lost_after_it_was_taken(psp: Client, verb: str) -> None:
    charge = (await psp.create(capture=True, metadata={"simulate": f"{verb}:500_after"})).body
    of = await dispute(psp, charge)
    key = new_reference()
    body: dict[str, object] = {"submit": True} if verb == "evidence" else {}
    assert (await merchant(psp, of, verb, key, **body)).status == 500
    status = "under_review" if verb == "evidence" else "accepted"
    assert (await shown(psp, of))["status"] == status
    assert (await merchant(psp, of, verb, key, **body)).body["status"] == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"files": [{"name": "x", "content_type": "application/pdf", "content": "not base64!"}]}, 400),
        ({"files": [{"name": "x", "content_type": "application/pdf", "content": ""}]}, 400),
        ({"files": [{"name": "x", "content_type": "application/x-sh", "content": "aGk="}]}, 400),
        ({"texts": {"a": "b" * 20_001}}, 400),
        ({"texts": ["a"]}, 400),
        ({"texts": {"a": "b"}, "more": 1}, 400),
    ],
)
async def test_evidence_of_the_wrong_shape_is_refused(psp: Client, body: dict[str, Any], status: int) -> None:
    of = await dispute(psp)
    assert (await merchant(psp, of, "evidence", **body)).status == status
    assert await shown(psp, of) == of


async def test_evidence_may_be_large_but_not_without_end(psp: Client) -> None:
    of = await dispute(psp)

    async def sent(size: int) -> int:
        file = {"name": "photo.png", "content_type": "image/png", "content": b64encode(bytes(size)).decode()}
        body = io.BytesIO(json.dumps({"files": [file]}).encode())
        url, headers = f"{psp.url}/v1/disputes/{of['id']}/evidence", {"Authorization": "Bearer sim_test"}
        async with aiohttp.request("POST", url, data=body, headers=headers) as answer:
            return answer.status

    assert await sent(4_000_000) == 200
    assert await sent(6_300_000) == 413
    assert [file["size"] for file in (await shown(psp, of))["evidence"]["files"]] == [4_000_000]


async def test_disputes_need_a_key_and_a_name_that_is_known(psp: Client) -> None:
    for verb, body in (("evidence", {"submit": True}), ("accept", {})):
        assert (await psp.call("POST", f"/v1/disputes/dp_nothing/{verb}", body)).error["code"] == "unknown_dispute"
    assert (await psp.call("GET", "/v1/disputes/dp_nothing")).error["code"] == "unknown_dispute"
    assert (await psp.call("POST", "/v1/disputes/dp_nothing/levitate", {})).status == 404
    assert (await psp.call("POST", "/_simulator/disputes/dp_nothing/win")).status == 404


async def test_a_dispute_and_its_clock_survive_sigkill(own_simulator: SimulatorProcess) -> None:
    async with client(own_simulator.url) as psp:
        answered = await dispute(psp)
        await merchant(psp, answered, "evidence", texts={"a": "b"}, submit=True)
        waiting = await dispute(psp, evidence_s=0.2)
        before = await shown(psp, answered)
        own_simulator.kill()
        own_simulator.start()
    async with client(own_simulator.url) as psp:
        assert await shown(psp, answered) == before
        assert (await reaches(psp, waiting, "expired"))["evidence_due"] == waiting["evidence_due"]
