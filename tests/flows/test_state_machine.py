"""Random lives of payments over HTTP agree with a model in plain integers, at the PSP, in the ledger and in the events.

One test runs the machine, then walks what chance may miss, and asserts that every legal step of a payment's status
and every documented refusal was met.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.flows.machine import Shopping, Visited
from tests.flows.machine_model import LEGAL
from tests.support.platform import Answer, Merchant, Platform, amount, running_platform

EXAMPLES: Final = 35
STEPS: Final = 25

FAULTS: Final = ("timeout_after", "timeout_before", "500_after", "500_before", "reset_after", "reset_before",
                 "rate_limited")  # fmt: skip
ELSEWHERE: Final = {
    "internal_error": "a defect, which no request may cause",
    "unavailable": "takes a database that is away",
    "outcome_unknown": "takes a database that goes away during a call",
    "multi_capture_unsupported": "takes a PSP without it",
    "psp_account_closed": "takes an account of the merchant's own that was closed",
    "psp_reference_missing": "takes an attempt that no evidence resolves",
    "psp_reference_taken": "takes an attempt that no evidence resolves",
}
"""Documented codes that these walks cannot meet, and why."""


@pytest.fixture(scope="module")
def platform(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Its PSP calls time out soon."""
    env = {"BEZANT_PSP_TIMEOUT_S": "1", "BEZANT_SYNC_INTERVAL_S": "0.1"}
    with running_platform(module_database_url, tmp_path_factory.mktemp("home"), async_delay_s=0.2, env=env) as running:
        yield running


def test_random_lives_agree_with_the_model_and_everything_is_visited(platform: Platform) -> None:
    visited = Visited()

    class Machine(Shopping):
        pass

    Machine.platform, Machine.visited = platform, visited
    quiet = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # each life takes a second: shrinking one would take minutes
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(Machine, settings=quiet)

    def walked(walk: Callable[[Shopping], None]) -> None:
        machine = Machine()
        walk(machine)
        machine.teardown()

    with ThreadPoolExecutor(len(WALKS)) as threads:  # they mostly wait for what is resolved later
        list(threads.map(walked, WALKS))
    refuse_bad_requests(platform, visited)
    refuse_while_in_flight(platform.merchant(), visited)
    refuse_by_merchant_and_key(platform, visited)
    assert visited.steps == {(old, new) for old, news in LEGAL.items() for new in news}
    assert visited.refusals == documented_refusals(platform) - {
        refusal for refusal in documented_refusals(platform) if refusal[1] in ELSEWHERE
    }


# What chance may miss


def captures_in_parts(m: Shopping) -> None:
    m.create(automatic=False)
    m.capture(part="half", final=False)
    m.capture(part="one", final=False)
    m.refund(part="half")
    m.capture(part="too much")
    m.capture(part="other currency")
    m.capture(part="rest")
    m.capture()
    m.refund(part="one")
    m.refund(part="too much")
    m.refund(part="other currency")
    m.refund()
    m.refund()
    m.refund(part="one")
    m.cancel()


def more_is_captured_after_all_was_refunded(m: Shopping) -> None:
    m.create(automatic=False)
    m.capture(part="half", final=False)
    m.refund()
    m.capture(part="rest")


def the_rest_is_released(m: Shopping) -> None:
    for final in (True, False):
        m.create(automatic=False)
        m.capture(part="half", final=final)
        m.cancel()
        m.cancel()
        m.capture()


def changes_of_mind(m: Shopping) -> None:
    m.create(automatic=False)
    m.cancel()
    m.refund()
    m.create(confirm=False, method=None)
    m.confirm(method=None)
    m.cancel()
    m.confirm()
    m.capture()


def customer_decides(m: Shopping) -> None:
    for automatic in (True, False):
        for approve in (True, False):
            m.create(automatic=automatic, method="3ds")
            m.confirm()
            m.capture()
            m.refund()
            m.decide_at_the_page(approve=approve)
            m.confirm()
            m.settle(m.sales[-1])
            m.repeat()
            m.confirm()
        m.create(automatic=automatic, method="3ds")
        m.cancel()
        m.create(automatic=automatic, method="3ds", words={"cancel": "fails"})
        m.cancel()
        m.decide_at_the_page()


def confirm_that_found_the_outcome_is_repeated(m: Shopping) -> None:
    """Its reply is the first that came from execution: what happens later does not change it."""
    m.create(method="3ds")
    m.decide_at_the_page()
    deadline = time.monotonic() + 20
    while m.requests[-1].answer.status != 200:
        m.confirm()
        assert time.monotonic() < deadline
        if m.requests[-1].answer.status == 409:  # it was found out before anybody asked
            m.create(method="3ds")
            m.decide_at_the_page()
    confirmed = m.requests[-1]
    m.refund(part="half")
    again = confirmed.send()
    assert (again.status, again.body, again.replayed) == (200, confirmed.answer.body, True)


def browser_tries_five_times(m: Shopping) -> None:
    m.create(confirm=False, method=None)
    for method in ("declined", "3ds", "declined", "declined", "declined", "visa"):
        m.confirm(browser=True, method=method)
        if method == "3ds":
            m.decide_at_the_page(approve=False)
            m.settle(m.sales[-1])
    m.create(confirm=False)
    m.confirm(browser=True, method="declined")
    m.confirm(browser=True, method="visa")


def faults_of_authorizations(m: Shopping) -> None:
    for fault in FAULTS:
        m.create(method=fault)
        m.repeat()
        m.create(automatic=False, method=fault)
        m.capture(impatient=True)
        m.cancel(impatient=True)
        m.confirm()


def faults_of_captures_and_refunds(m: Shopping) -> None:
    for fault in (*FAULTS, "async", "async_fails", "fails"):
        m.create(automatic=False, words={"capture": fault, "refund": fault})
        m.capture(part="half", final=False)
        m.capture(impatient=True)
        m.repeat()
        m.refund(part="one")
        m.repeat()
        m.refund(part="half")
        m.settle(m.sales[-1])


def faults_of_cancels(m: Shopping) -> None:
    for fault in (*FAULTS, "async", "async_fails", "fails"):
        for method in ("visa", "3ds"):
            m.create(automatic=False, method=method, words={"cancel": fault})
            m.cancel()
            m.repeat()
            m.cancel(impatient=True)


def automatic_captures_that_fail(m: Shopping) -> None:
    for word in ("fails", "async", "async_fails"):
        m.create(words={"capture": word})
        m.cancel()


WALKS: Final[tuple[Callable[[Shopping], None], ...]] = (
    captures_in_parts,
    more_is_captured_after_all_was_refunded,
    the_rest_is_released,
    changes_of_mind,
    customer_decides,
    confirm_that_found_the_outcome_is_repeated,
    browser_tries_five_times,
    faults_of_authorizations,
    faults_of_captures_and_refunds,
    faults_of_cancels,
    automatic_captures_that_fail,
)


# Refusals


def refused(visited: Visited, answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer
    assert answer.headers["content-type"] == "application/problem+json"
    visited.refusals.add((status, code))


def refuse_bad_requests(platform: Platform, visited: Visited) -> None:
    shop = platform.merchant()
    body: dict[str, Any] = {"order_id": "o", "amount": amount(100), "payment_method": "pm_card_visa"}

    def create(status: int, code: str, **changes: Any) -> None:
        refused(visited, shop.call("POST", "/payments", body | changes), status, code)

    create(400, "invalid_request", amount=amount(0))
    create(422, "unsupported_currency", amount=amount(100, "XXX"))
    create(422, "unknown_psp", psp="nobody")
    create(422, "card_data_refused", description="4111 1111 1111 1111")
    refused(visited, shop.call("POST", "/payments", body, ""), 400, "idempotency_key_missing")
    refused(visited, shop.call("POST", "/payments", body, "k" * 129), 400, "idempotency_key_invalid")
    refused(visited, shop.call("POST", "/payments", b"x" * 70_000), 413, "content_too_large")
    xml = {"Content-Type": "text/xml"}
    refused(visited, shop.call("POST", "/payments", b"<a/>", headers=xml), 415, "unsupported_media_type")
    assert shop.get("/payments")["data"] == []


def refuse_while_in_flight(shop: Merchant, visited: Visited) -> None:
    body = {"order_id": "slow", "amount": amount(100), "payment_method": "pm_card_slow_2s"}
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(shop.call, "POST", "/payments", body, "slow")
        while not first.done() and not shop.get("/payments", order_id="slow")["data"]:
            pass
        refused(visited, shop.call("POST", "/payments", body, "slow"), 409, "idempotency_key_in_use")
    assert first.result().status in (200, 202)


def refuse_by_merchant_and_key(platform: Platform, visited: Visited) -> None:
    shop = platform.merchant()
    refused(visited, shop.get("/payments", bearer="sk_nobody"), 401, "unauthorized")
    refused(visited, shop.get("/payments", bearer=shop.publishable_key), 403, "forbidden")
    slow = platform.with_services(lambda s: s.merchants.create_key(shop.merchant_id, "secret", (), 1)).key
    answers = [shop.get("/payments", bearer=slow) for _ in range(5)]
    refused(visited, answers[-1], 429, "rate_limited")
    kept = shop.create(capture_strategy="manual").json
    sold = shop.create().json
    platform.with_services(lambda s: s.merchants.set_status(shop.merchant_id, "suspended"))
    refused(visited, shop.create(), 403, "merchant_inactive")
    assert shop.do(kept["payment_id"], "capture").status == 200
    assert shop.do(sold["payment_id"], "refunds", value=1).status == 200
    platform.with_services(lambda s: s.merchants.set_status(shop.merchant_id, "closed"))
    refused(visited, shop.do(sold["payment_id"], "refunds", value=1), 403, "merchant_inactive")
    assert shop.payment(sold["payment_id"])["status"] == "captured"


def documented_refusals(platform: Platform) -> set[tuple[int, str]]:
    """Every (status, code) that the OpenAPI document names for payments and refunds."""
    document = platform.merchant().get("/openapi.json").json
    return {
        (int(status), code)
        for path, operations in document["paths"].items()
        if path.startswith(("/api/v1/payments", "/api/v1/refunds"))
        for operation in operations.values()
        for status, response in operation["responses"].items()
        if int(status) >= 400
        for code in response["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
    }
