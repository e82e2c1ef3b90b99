"""The simulator's connector: odd answers from a script, and the outcomes that only a misbehaving PSP gives, from the
real one.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from bezant.connectors.simulator import CONNECTOR
from bezant.psp.call import Caller, Endpoint, HttpTransport
from bezant.psp.contract import Ask, Credentials, Operation, Outcome, PspRequest, PspResponse, PspSilence, Verdict
from tests.support.simulator import SimulatorProcess, new_reference, running_simulator
from tests.support.waiting import wait_until_async

CHARGE: dict[str, Any] = {
    "id": "ch_1",
    "reference": "att_1",
    "currency": "USD",
    "authorization": {"id": "op_1", "status": "succeeded", "amount": 1000, "captured": 0},
}
REFUND: dict[str, Any] = {
    "id": "op_2",
    "kind": "refund",
    "charge": "ch_1",
    "status": "succeeded",
    "amount": 100,
    "currency": "USD",
    "reference": "att_1",
}


def ask(operation: Operation = Operation.AUTHORIZE, **fields: object) -> Ask:
    known = Ask(
        operation=operation,
        reference="att_1",
        payment_reference="pay_1",
        amount_minor=100 if operation is Operation.REFUND else 1000,
        currency="USD",
        payment_method="pm_card_visa",
        psp_reference=None if operation is Operation.AUTHORIZE else "ch_1",
    )
    return msgspec.structs.replace(known, **fields)


async def read(call: str, asked: Ask, status: int, body: object) -> Outcome:
    """What the connector makes of one answer."""

    async def send(request: PspRequest) -> PspResponse:
        return PspResponse(status=status, body=body)

    return await getattr(CONNECTOR, call)(asked, send)


async def test_a_status_that_is_not_listed_is_pending() -> None:
    authorization = CHARGE["authorization"] | {"status": "pondering"}
    assert (await read("authorize", ask(), 201, CHARGE | {"authorization": authorization})).verdict is Verdict.PENDING
    refund = await read("refund", ask(Operation.REFUND), 201, REFUND | {"status": "pondering"})
    assert (refund.verdict, refund.failure) == (Verdict.PENDING, None)


@pytest.mark.parametrize(
    ("status", "kind", "verdict"),
    [
        (401, "authentication_error", Verdict.NOT_EXECUTED),
        (409, "idempotency_error", Verdict.UNKNOWN),
        (404, "api_error", Verdict.UNKNOWN),
        (418, "something_new", Verdict.UNKNOWN),
        (402, "card_error", Verdict.DECLINED),
    ],
)
async def test_an_error_is_a_decline_only_where_it_says_so(status: int, kind: str, verdict: Verdict) -> None:
    error = {"error": {"type": kind, "code": "something_new", "message": "No."}}
    outcome = await read("authorize", ask(), status, error)
    assert outcome.verdict is verdict
    assert (outcome.failure and outcome.failure.code) == ("psp_refused" if verdict is Verdict.DECLINED else None)


@pytest.mark.parametrize("body", [None, [], "no", {"error": "x"}, {"data": 1}])
@pytest.mark.parametrize("status", [200, 400])
async def test_an_answer_of_another_shape_is_no_answer(status: int, body: object) -> None:
    with pytest.raises((PspSilence, msgspec.ValidationError)):
        await read("authorize", ask(), status, body)


@pytest.mark.parametrize("change", [{"charge": "ch_2"}, {"kind": "capture"}])
async def test_an_answer_about_something_else_is_no_answer(change: dict[str, object]) -> None:
    with pytest.raises(PspSilence, match="asked about"):
        await read("refund", ask(Operation.REFUND), 201, REFUND | change)


async def test_an_authorization_of_another_charge_is_no_answer() -> None:
    with pytest.raises(PspSilence, match="asked about"):
        await read("fetch", ask(psp_reference="ch_2"), 200, CHARGE)


async def test_look_up_takes_the_operation_that_was_asked_for() -> None:
    both = {"data": [REFUND | {"kind": "capture", "id": "op_3"}, REFUND]}
    assert (await read("fetch", ask(Operation.REFUND), 200, both)).operation_reference == "op_2"
    with pytest.raises(PspSilence, match="carry one reference"):
        await read("fetch", ask(Operation.REFUND), 200, {"data": [REFUND, REFUND]})


async def test_what_the_psp_does_not_know_by_its_own_name_is_not_found() -> None:
    gone = {"error": {"type": "invalid_request", "code": "unknown_operation", "message": "No."}}
    refund = await read("fetch", ask(Operation.REFUND, operation_reference="op_9"), 404, gone)
    assert refund.verdict is Verdict.NOT_FOUND
    assert (await read("fetch", ask(psp_reference="ch_1"), 404, gone)).verdict is Verdict.NOT_FOUND


async def test_a_later_operation_needs_the_charge() -> None:
    with pytest.raises(PspSilence, match="needs the charge"):
        await read("capture", ask(Operation.CAPTURE, psp_reference=None), 201, {})


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with running_simulator() as process:
        yield process


@pytest_asyncio.fixture
async def calls(simulator: SimulatorProcess) -> AsyncIterator[Caller]:
    transport = HttpTransport(connections_max=4)
    yield Caller(
        {"simulator": Endpoint(CONNECTOR, simulator.url, Credentials())}, transport, timeout_s=0.5, concurrency=4
    )
    await transport.close()


async def do(calls: Caller, asked: Ask) -> Outcome:
    return (await calls.perform("simulator", asked, send_before=float("inf"))).outcome


def fresh(payment_method: str = "pm_card_visa", **fields: Any) -> Ask:
    return ask(reference=new_reference(), payment_method=payment_method, **fields)


@pytest.mark.parametrize("method", ["pm_card_3ds", "pm_wallet"])
async def test_an_awaited_customer_is_a_redirect_and_cancel_moves_nothing(calls: Caller, method: str) -> None:
    outcome = await do(calls, fresh(method))
    assert outcome.verdict is Verdict.PENDING
    assert outcome.next_action is not None
    assert outcome.next_action.url.startswith("http://127.0.0.1:")
    canceled = await do(calls, fresh(operation=Operation.CANCEL, psp_reference=outcome.psp_reference))
    assert (canceled.verdict, canceled.amount_minor) == (Verdict.APPROVED, None)


async def test_a_partial_authorization_says_its_amount(calls: Caller) -> None:
    outcome = await do(calls, fresh("pm_card_partial", capture=True))
    assert (outcome.verdict, outcome.amount_minor, outcome.captured_minor) == (Verdict.APPROVED, 500, 500)


async def test_a_pending_authorization_is_found_approved_later(calls: Caller) -> None:
    asked = fresh("pm_card_async")
    assert (await do(calls, asked)).verdict is Verdict.PENDING

    async def approved() -> bool:
        return (await calls.fetch("simulator", asked)).outcome.verdict is Verdict.APPROVED

    await wait_until_async(approved, 5.0, "the approval")


@pytest.mark.parametrize("word", ["timeout_after", "500_after", "reset_after", "timeout_before", "500_before"])
async def test_a_lost_answer_is_unknown_and_the_same_key_resolves_it(calls: Caller, word: str) -> None:
    asked = fresh(f"pm_card_{word}")
    assert (await do(calls, asked)).verdict is Verdict.UNKNOWN
    found = (await calls.fetch("simulator", asked)).outcome.verdict
    assert found is (Verdict.APPROVED if word.endswith("after") else Verdict.NOT_FOUND)
    assert (await do(calls, asked)).verdict is Verdict.APPROVED


async def test_a_rate_limit_executes_nothing(calls: Caller) -> None:
    asked = fresh("pm_card_rate_limited")
    assert (await do(calls, asked)).verdict is Verdict.NOT_EXECUTED
    assert (await do(calls, asked)).verdict is Verdict.APPROVED


async def test_the_words_of_the_metadata_reach_the_psp(calls: Caller) -> None:
    metadata = {"simulate": "capture:fails"}
    authorized = await do(calls, fresh(metadata=metadata))
    asked = fresh(operation=Operation.CAPTURE, psp_reference=authorized.psp_reference, metadata=metadata)
    outcome = await do(calls, asked)
    assert outcome.failure is not None
    assert (outcome.verdict, outcome.failure.code) == (Verdict.DECLINED, "capture_failed")


@pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.REFUND])
async def test_another_currency_is_refused_by_the_psp(calls: Caller, operation: Operation) -> None:
    authorized = await do(calls, fresh(capture=operation is Operation.REFUND))
    asked = fresh(operation=operation, psp_reference=authorized.psp_reference, currency="EUR")
    outcome = await do(calls, asked)
    assert outcome.failure is not None
    assert (outcome.verdict, outcome.failure.code) == (Verdict.DECLINED, "currency_mismatch")
