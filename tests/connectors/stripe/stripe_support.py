"""What Stripe's tests share: asks, a send over real HTTP, a send that answers from a script, and the published data."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from bezant.connectors.stripe import CONNECTOR
from bezant.psp.contract import Ask, Credentials, Operation, PspRequest, PspResponse, PspSilence

INTENT = "pi_3MtwBwLkdIwHu7ix28a3tqPa"
REFERENCE = "att_0193e5a0b1c27d3e8f4a5b6c7d8e9f00"
KEY = "sk_test_51Bezant"

Json = dict[str, Any]


def ask(operation: Operation, **changes: Any) -> Ask:
    """An ask with everything that is needed, changed as the test says."""
    known: Json = {
        "operation": operation,
        "reference": REFERENCE,
        "payment_reference": "pay_0193e5a0b1c27d3e8f4a5b6c7d8e9f01",
        "amount_minor": 4999,
        "currency": "USD",
        "payment_method": "pm_card_visa",
    }
    if operation is not Operation.AUTHORIZE:
        known["psp_reference"] = INTENT
    return Ask(**{**known, **changes})


class Http:
    """Sends over HTTP as `psp/call.py` promises to: 5xx never reaches the connector."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, key: str = KEY) -> None:
        self.session = session
        self.base_url = base_url
        self.headers = dict(CONNECTOR.authenticate(Credentials(fields={"secret_key": key})))

    async def __call__(self, request: PspRequest) -> PspResponse:
        async with self.session.request(
            request.method,
            self.base_url + request.path,
            params=request.query,
            data=request.form,
            headers={**self.headers, **request.headers},
        ) as response:
            if response.status >= 500:
                raise PspSilence(f"HTTP {response.status}")
            return PspResponse(status=response.status, body=await response.json())

    async def post(self, path: str, form: Mapping[str, str]) -> Json:
        """A call of the test's own, such as making a payment method or being the customer's bank."""
        answer = await self(PspRequest(method="POST", path=path, form=form))
        assert answer.status == 200, answer.body
        return cast(Json, answer.body)


class Script:
    """Answers in the order given and keeps what was asked."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        self.answers = list(answers)
        self.requests: list[PspRequest] = []

    async def __call__(self, request: PspRequest) -> PspResponse:
        self.requests.append(request)
        status, body = self.answers.pop(0)
        return PspResponse(status=status, body=body)


def _data(name: str) -> Path:
    beside = Path(__file__).parents[4] / "shared" / "data"
    return Path(os.environ.get("BEZANT_TEST_DATA", beside)) / "stripe" / name


def published(name: str) -> Any:
    """A file that Stripe publishes, or a skip where the test data are not on this machine."""
    return json.loads(published_bytes(name))


def published_bytes(name: str) -> bytes:
    """The same, as it is."""
    path = _data(name)
    if not path.exists():
        pytest.skip(f"Stripe's published data are not there: {path} (set BEZANT_TEST_DATA)")
    return path.read_bytes()


def published_events() -> dict[str, bytes]:
    """The published webhook events by the names of their files."""
    folder = _data("webhook-events")
    if not folder.exists():
        pytest.skip(f"Stripe's published data are not there: {folder} (set BEZANT_TEST_DATA)")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


BARE: dict[str, Json] = {
    "payment_intent": {"id": INTENT, "currency": "usd", "amount_capturable": 0, "amount_received": 0},
    "charge": {"id": "ch_1", "currency": "usd"},
    "refund": {"id": "re_1", "currency": "usd", "amount": 100, "status": "succeeded"},
}
"""What the mapping reads of each object, for machines without Stripe's fixtures."""


def resource(name: str, **changes: Any) -> Json:
    """Stripe's own fixture of an object, with some fields changed."""
    known = published("fixtures3.json")["resources"][name] if _data("fixtures3.json").exists() else BARE[name]
    return {**known, **changes}


def intent(status: str, **changes: Any) -> Json:
    """A PaymentIntent of 49.99 USD in `status`, as Stripe's fixture shows it."""
    ours = {"bezant_reference": REFERENCE}
    known: Json = {"id": INTENT, "amount": 4999, "metadata": ours, "last_payment_error": None, "next_action": None}
    return resource("payment_intent", **{**known, "status": status, **changes})


def error(kind: str, code: str | None = None, **more: Any) -> Json:
    """The body of a refusal."""
    return {"error": {"type": kind, "code": code, "message": "As Stripe puts it.", **more}}
