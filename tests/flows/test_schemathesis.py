"""The API against its own OpenAPI document: whatever is sent, what comes back is documented.

For each operation Schemathesis makes requests that fit the document and requests that do not, with a secret key, a
publishable key, a key of the operator's and none. No 5xx, no undocumented status or content type, no body outside its
schema; what the document forbids is refused.
"""

import json
from collections.abc import Callable
from typing import Any, Final, cast
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks as general_checks
from schemathesis.specs.openapi import checks as openapi_checks

from tests.support.disputes import open_dispute, tell
from tests.support.platform import API, Platform, request

GENERAL: Any = general_checks
OPENAPI: Any = openapi_checks
CHECKS: Final[tuple[Any, ...]] = (
    GENERAL.not_a_server_error,
    OPENAPI.status_code_conformance,
    OPENAPI.content_type_conformance,
    OPENAPI.response_headers_conformance,
    OPENAPI.response_schema_conformance,
)
EXAMPLES: Final = {"secret": 20, "publishable": 3, "operator": 20, "none": 3}
"""Requests per operation and mode."""

NOTHING_THERE: Final = {
    "POST /api/v1/attempts/{attempt_id}/resolve",
    "GET /api/v1/inbox_events/{inbox_event_id}",
    "POST /api/v1/inbox_events/{inbox_event_id}/retry",
    "POST /api/v1/disputes/{dispute_id}/submit",
}
"""Calls about what no test here leaves behind: stuck attempts, webhooks of PSPs, evidence that is ready."""

OPERATORS: Final = f"{API}/reconciliation/"
"""Calls below this are the operator's alone."""

ENDPOINT_URL: Final = "http://127.0.0.1:9/hook"

Case = Any
"""Schemathesis types its cases loosely."""

POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


@pytest.fixture(scope="module")
def schema(platform: Platform) -> Any:
    answer = request(f"{platform.apis[0].url}{API}/openapi.json", "GET")
    assert answer.status == 200
    return schemathesis.openapi.from_dict(answer.json)


class Caller:
    """Sends cases with one key and holds each answer against the document."""

    def __init__(self, platform: Platform, key: str) -> None:
        shop = platform.merchant()
        self.url = platform.apis[0].url
        self.is_operator = key == "operator"
        bearers = {"secret": shop.secret_key, "publishable": shop.publishable_key, "none": None}
        bearer = platform.operator_key() if self.is_operator else bearers[key]
        self.headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        self.shop = shop
        self.calls = 0
        self.statuses: dict[str, set[int]] = {}

    def known(self) -> dict[str, str]:
        """Ids of things that are there: in turn a payment to refund, to capture and to confirm."""
        if self.is_operator:
            return self.known_to_operator()
        turn = self.calls // 2 % 3
        strategy = "automatic" if turn == 0 else "manual"
        payment = self.shop.create(capture_strategy=strategy, confirm=turn < 2).json
        refund = {"refund_id": "ref_nothing"}
        if turn == 0:
            refund = self.shop.do(payment["payment_id"], "refunds", value=1).json
        event = self.shop.events()[0]
        return {
            "payment_id": payment["payment_id"],
            "refund_id": refund["refund_id"],
            "event_id": event["event_id"],
            "after": event["event_id"],
            "client_secret": payment["client_secret"],
            **self.known_webhooks(),
            "dispute_id": self.known_dispute(),
        }

    def known_to_operator(self) -> dict[str, str]:
        """A file that is there, or is refused, which is as good, and an account at a bank."""
        sent = f"{self.url}{API}/reconciliation/files?source=psp&psp=simulator&name=a.csv"
        file = request(sent, "POST", f"a file {self.calls}".encode(), self.headers).json
        account = {"name": f"bank-{self.calls}", "identification": f"DE{self.calls}", "reason": "for the tests"}
        request(
            f"{self.url}{API}/reconciliation/bank_accounts",
            "POST",
            json.dumps(account).encode(),
            self.headers | {"Content-Type": "application/json"},
        )
        return {"file_id": file["file_id"], "file": file["file_id"], "name": account["name"], "source": "bank"}

    def known_dispute(self) -> str:
        """One that waits for an answer: opened where there is none."""
        open_now = self.shop.get("/disputes", status="needs_response").json["data"]
        if not open_now:
            tell(self.shop.platform, open_dispute(self.shop.platform, self.shop.create().json))
            open_now = self.shop.get("/disputes", status="needs_response").json["data"]
        return open_now[0]["dispute_id"]

    def known_webhooks(self) -> dict[str, str]:
        """One endpoint at a port where nobody listens, and a delivery to it."""
        for endpoint in self.shop.get("/webhook_endpoints").json["data"]:
            self.shop.call("DELETE", f"/webhook_endpoints/{endpoint['webhook_endpoint_id']}")
        wanted = {"url": ENDPOINT_URL, "event_types": ["dispute.won"]}
        endpoint_id = self.shop.call("POST", "/webhook_endpoints", wanted)["webhook_endpoint_id"]
        delivery = self.shop.call("POST", f"/webhook_endpoints/{endpoint_id}/test", {})
        return {"webhook_endpoint_id": endpoint_id, "webhook_delivery_id": delivery["webhook_delivery_id"]}

    def positive(self, case: Case) -> None:
        """What fits the document; every other time about something that is there."""
        self.calls += 1
        if "Idempotency-Key" in (case.headers or {}):
            case.headers["Idempotency-Key"] = f"key-{uuid4().hex}"
        if self.calls % 2:
            known = self.known()
            for values in (case.path_parameters, case.query):
                replace_known(values, known)
            self.fill(case.body, known)
        response = self.send(case)
        case.validate_response(response, checks=list(CHECKS), headers=self.headers)

    def negative(self, case: Case) -> None:
        """What the document forbids, unless all that is wrong with it cannot be said in a query string."""
        query: dict[str, Any] = case.query or {}
        if any(value in (None, [], {}) for value in query.values()):
            return
        response = self.send(case)
        case.validate_response(response, checks=[*CHECKS, OPENAPI.negative_data_rejection], headers=self.headers)

    def fill(self, body: Any, known: dict[str, str]) -> None:
        if not isinstance(body, dict):
            return
        if "identification" in body:
            body.update(name=f"other-{self.calls}", identification=f"FR{self.calls}", currency="EUR")
        if "client_secret" in body:
            body["client_secret"] = known["client_secret"]
        if "url" in body:
            body["url"] = ENDPOINT_URL
        if "payment_method" in body:
            body["payment_method"] = "pm_card_visa"
        if body.get("psp"):
            body["psp"] = "simulator"
        if "order_id" in body:
            body.setdefault("payment_method", "pm_card_visa")
        if amount := cast(dict[str, Any], body).get("amount"):
            # The document's words know no whole number that is not also 2449.0; money is never written so.
            amount.update(currency="USD", value=int(amount["value"]))

    def send(self, case: Case) -> Any:
        response = case.call(base_url=self.url, headers=self.headers, timeout=30)
        self.statuses.setdefault(case.operation.label, set()).add(response.status_code)
        return response


@pytest.mark.parametrize("mode", [POSITIVE, NEGATIVE], ids=["fits", "does not fit"])
@pytest.mark.parametrize("key", ["secret", "publishable", "operator", "none"])
def test_answers_are_as_documented(platform: Platform, schema: Any, key: str, mode: Any) -> None:
    caller = Caller(platform, key)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) >= 15
    if key == "operator":
        operations = [each for each in operations if each.full_path.startswith(OPERATORS)]
    for operation in operations:
        exercise(operation, mode, caller.positive if mode is POSITIVE else caller.negative, EXAMPLES[key])
    every = set[int]().union(*caller.statuses.values())
    if key == "none":
        assert every <= {400, 401}, caller.statuses
    if key == "secret" and mode is POSITIVE:
        poor = {label: found for label, found in caller.statuses.items() if not found & {200, 202}}
        operators = {label for label in poor if OPERATORS in label}
        assert all(poor[label] <= {400, 403, 413, 415, 422} for label in operators), poor
        assert set(poor) - operators <= NOTHING_THERE, poor
    if key == "operator" and mode is POSITIVE:
        poor = {label: found for label, found in caller.statuses.items() if not found & {200, 201, 202}}
        of_files = {label for label in poor if "/files" in label or "/bank_accounts" in label or "quarantined" in label}
        assert not of_files, poor


def replace_known(values: dict[str, Any] | None, known: dict[str, str]) -> None:
    values = {} if values is None else values
    values.update({name: known[name] for name in values if name in known})


def exercise(operation: Any, mode: Any, one: Callable[[Case], None], examples: int) -> None:
    limits = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )

    def test(case: Case) -> None:
        one(case)

    cases: Any = operation.as_strategy(generation_mode=mode)
    limits(given(case=cases)(test))()
