"""Every documented error, its whole problem document read, and nothing of the inside in it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.support.platform import Answer, Api, Merchant, Platform, running_platform
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until

PAN = "4111111111111111"
BODY = {"order_id": "o", "amount": {"value": 100, "currency": "USD"}, "payment_method": "pm_card_visa"}
LEAKS = ("Traceback", "asyncpg", "SELECT ", "INSERT ", "psycopg", ".py", "postgres", PAN)
RATE_PER_S = 2


@pytest.fixture(scope="module")
def platform(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose second process lets a key send two requests a second."""
    with running_platform(module_database_url, tmp_path_factory.mktemp("home")) as platform:
        slow = Api({**platform.env, "BEZANT_RATE_LIMIT_PER_S": str(RATE_PER_S)}, "--no-jobs")
        platform.apis.append(slow)
        slow.launch()
        slow.wait_until_ready()
        yield platform
        assert PAN not in "".join(api.output() for api in platform.apis)


def problem(answer: Answer, status: int, code: str, param: str | None = None, *, retry: bool = False) -> dict[str, Any]:
    """The problem document, checked word for word; `retry`: whether Retry-After is promised."""
    assert answer.status == status, answer
    document = answer.json
    detail, request_id = document["detail"], answer.headers["request-id"]
    expected = {
        "type": f"https://bezant.dev/problems/{code.replace('_', '-')}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    assert document == (expected if param is None else expected | {"param": param})
    assert isinstance(detail, str)
    assert len(detail) >= 10
    assert request_id.startswith("req_")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert ("retry-after" in answer.headers) is retry
    if retry:
        assert int(answer.headers["retry-after"]) >= 1
    assert not [word for word in LEAKS if word in answer.body.decode()]
    return document


@pytest.mark.parametrize("body", [b"{", b'{"order_id": "o"', b"\xff\xfe", b'{"order_id": NaN}'])
def test_400_malformed_json(shop: Merchant, body: bytes) -> None:
    problem(shop.call("POST", "/payments", body), 400, "invalid_request")


@pytest.mark.parametrize(("body", "param"), [(b"", "/order_id"), (b"{}", "/order_id"), (b"null", ""), (b"[]", "")])
def test_400_json_of_another_shape(shop: Merchant, body: bytes, param: str) -> None:
    problem(shop.call("POST", "/payments", body), 400, "invalid_request", param)


def test_400_unknown_field(shop: Merchant) -> None:
    document = problem(shop.call("POST", "/payments", BODY | {"colour": "red"}), 400, "invalid_request", "/colour")
    assert "colour" in document["detail"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"amount": {"value": 0, "currency": "USD"}}, "/amount/value"),
        ({"amount": {"value": 100, "currency": "dollars"}}, "/amount/currency"),
        ({"metadata": {"cart": 1}}, "/metadata"),
        ({"capture_strategy": "maybe"}, "/capture_strategy"),
        ({"return_url": "javascript:alert(1)"}, "/return_url"),
    ],
)
def test_400_bad_value_with_the_field_at_fault(shop: Merchant, fields: dict[str, Any], param: str) -> None:
    answer = shop.call("POST", "/payments", BODY | fields)
    assert answer["param"].startswith(param)
    problem(answer, 400, "invalid_request", answer["param"])


@pytest.mark.parametrize("verb", ["", "/{}/confirm", "/{}/capture", "/{}/cancel", "/{}/refunds"])
def test_400_without_the_key_that_moving_money_requires(shop: Merchant, verb: str) -> None:
    path = "/payments" + verb.format(f"pay_{'0' * 32}")
    problem(shop.call("POST", path, BODY if not verb else {}, ""), 400, "idempotency_key_missing")


@pytest.mark.parametrize("key", ["x" * 129, "caf\xe9", "tab\tbed"])
def test_400_key_of_another_form(shop: Merchant, key: str) -> None:
    problem(shop.call("POST", "/payments", BODY, key), 400, "idempotency_key_invalid")


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer sk_wrong", "Basic c2s6", "sk_wrong", "Bearer  "])
def test_401_without_a_valid_key(shop: Merchant, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = shop.call("GET", "/payments", bearer="", headers=headers)
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_403_key_without_the_scope(shop: Merchant, platform: Platform) -> None:
    key = platform.with_services(lambda s: s.merchants.create_key(shop.merchant_id, "secret", ["ledger:read"], None))
    document = problem(shop.call("POST", "/payments", BODY, bearer=key.key), 403, "forbidden")
    assert "payments:write" in document["detail"]


def test_403_publishable_key_on_a_servers_call(shop: Merchant) -> None:
    problem(shop.call("POST", "/payments", BODY, bearer=shop.publishable_key), 403, "forbidden")


@pytest.mark.parametrize("status", ["suspended", "closed"])
def test_403_merchant_that_is_not_active(shop: Merchant, platform: Platform, status: Any) -> None:
    platform.with_services(lambda s: s.merchants.set_status(shop.merchant_id, status))
    document = problem(shop.call("POST", "/payments", BODY), 403, "merchant_inactive")
    assert status in document["detail"]


@pytest.mark.parametrize(
    "path",
    [
        f"/payments/pay_{'0' * 32}",
        "/payments/nonsense",
        f"/refunds/ref_{'0' * 32}",
        f"/events/evt_{'0' * 32}",
        f"/payments/pay_{'0' * 32}/timeline",
        f"/payments/pay_{'0' * 32}/refunds",
        "/nothing/here",
    ],
)
def test_404_not_there(shop: Merchant, path: str) -> None:
    problem(shop.get(path), 404, "not_found")


def test_404_another_merchants_looks_the_same(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create()["payment_id"]
    theirs = problem(platform.merchant().get(f"/payments/{payment_id}"), 404, "not_found")
    nobodys = problem(shop.get(f"/payments/pay_{'0' * 32}"), 404, "not_found")
    assert {**theirs, "request_id": ""} == {**nobodys, "request_id": ""}


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/payments"), ("PUT", "/balance"), ("POST", "/events")])
def test_405_method_that_the_path_does_not_know(shop: Merchant, method: str, path: str) -> None:
    answer = shop.call(method, path)
    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


def test_409_key_in_flight(shop: Merchant, platform: Platform) -> None:
    slow = BODY | {"payment_method": "pm_card_slow_2s"}
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(shop.call, "POST", "/payments", slow, "slow-key")
        query = "SELECT 1 FROM idempotency_keys WHERE idempotency_key = 'slow-key'"
        wait_until(lambda: platform.sql(query), 10, "the key to be claimed")
        problem(shop.call("POST", "/payments", slow, "slow-key"), 409, "idempotency_key_in_use", retry=True)
        assert first.result().status == 200


def test_409_state_that_forbids_it(shop: Merchant) -> None:
    document = problem(shop.do(shop.create()["payment_id"], "capture"), 409, "invalid_state")
    assert "captured" in document["detail"]


def test_409_unresolved_attempt(shop: Merchant) -> None:
    payment_id = shop.create(capture_strategy="manual", metadata={"simulate": "capture:async"})["payment_id"]
    shop.do(payment_id, "capture")
    document = problem(shop.do(payment_id, "cancel"), 409, "attempt_in_progress", retry=True)
    assert "capture" in document["detail"]


def test_413_body_over_64_kib(shop: Merchant) -> None:
    document = problem(shop.call("POST", "/payments", BODY | {"description": "x" * 65_536}), 413, "content_too_large")
    assert "65536" in document["detail"]


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_415_body_that_is_not_json(shop: Merchant, media_type: str) -> None:
    answer = shop.call("POST", "/payments", BODY, headers={"Content-Type": media_type})
    problem(answer, 415, "unsupported_media_type")


def test_422_key_with_another_request(shop: Merchant) -> None:
    shop.call("POST", "/payments", BODY, "key")
    problem(shop.call("POST", "/payments", BODY | {"order_id": "p"}, "key"), 422, "idempotency_key_reused")


@pytest.mark.parametrize("verb", ["capture", "refunds"])
def test_422_amount_too_large(shop: Merchant, verb: str) -> None:
    payment_id = shop.create(value=100, capture_strategy="manual" if verb == "capture" else "automatic")["payment_id"]
    document = problem(shop.do(payment_id, verb, value=101), 422, "amount_too_large", "/amount/value")
    assert "100" in document["detail"]


def test_422_currency_of_another_payment(shop: Merchant) -> None:
    payment_id = shop.create()["payment_id"]
    document = problem(
        shop.do(payment_id, "refunds", value=1, currency="EUR"), 422, "currency_mismatch", "/amount/currency"
    )
    assert "USD" in document["detail"]


def test_422_currency_that_cannot_be_paid(shop: Merchant) -> None:
    body = BODY | {"amount": {"value": 1, "currency": "XAU"}}
    problem(shop.call("POST", "/payments", body), 422, "unsupported_currency", "/amount/currency")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"description": f"card {PAN}"}, "/description"),
        ({"metadata": {"card": "4111 1111 1111 1111"}}, "/metadata/card"),
        ({"payment_method": PAN}, "/payment_method"),
        ({"cvv": "123"}, "/cvv"),
        ({"order_id": "4111-1111-1111-1111"}, "/order_id"),
    ],
)
def test_422_card_data_in_the_body(shop: Merchant, fields: dict[str, Any], param: str) -> None:
    problem(shop.call("POST", "/payments", BODY | fields), 422, "card_data_refused", param)
    assert shop.get("/payments").json["data"] == []


def test_422_card_data_in_the_query_the_path_and_the_key(shop: Merchant, platform: Platform) -> None:
    for answer in (
        shop.get("/payments", order_id=PAN),
        shop.get(f"/payments/{PAN}"),
        shop.call("POST", f"/payments/{PAN}/capture", {}),
        shop.call("POST", "/payments", BODY, PAN),
        shop.call("POST", "/payments", BODY, "order 4111 1111 1111 1111"),
    ):
        problem(answer, 422, "card_data_refused", answer.json.get("param"))
    assert shop.get("/payments").json["data"] == []
    assert platform.sql("SELECT 1 FROM idempotency_keys WHERE idempotency_key LIKE '%4111%'") == []


def test_429_over_the_rate_of_the_key(shop: Merchant) -> None:
    answers = [shop.get("/balance", api=1) for _ in range(RATE_PER_S + 20)]
    limited = [answer for answer in answers if answer.status != 200]
    assert limited
    for answer in limited:
        problem(answer, 429, "rate_limited", retry=True)
    assert shop.get("/balance", api=0).status == 200


async def test_503_without_a_database_and_504_where_it_is_lost_on_the_way(database_url: str, tmp_path: Path) -> None:
    proxy = Proxy(database_url)
    await proxy.open()
    with ExitStack() as stack:
        platform = await asyncio.to_thread(stack.enter_context, running_platform(proxy.url, tmp_path))
        shop = await asyncio.to_thread(platform.merchant)
        slow = BODY | {"payment_method": "pm_card_slow_2s", "order_id": "lost"}
        assert (await asyncio.to_thread(shop.get, "/balance")).status == 200
        first = asyncio.create_task(asyncio.to_thread(shop.call, "POST", "/payments", slow, "lost-key"))
        being_sent = "SELECT 1 FROM payment_attempts WHERE status = 'sending'"
        await asyncio.to_thread(wait_until, lambda: platform.sql(being_sent))
        await proxy.cut()
        refused = await asyncio.to_thread(shop.call, "POST", "/payments", BODY | {"order_id": "never"}, "key")
        problem(refused, 503, "unavailable", retry=True)
        problem(await first, 504, "outcome_unknown", retry=True)
        assert await asyncio.to_thread(platform.charges, payment_reference="never") == []
        await proxy.open()
        answer = await asyncio.to_thread(_settled, shop, slow)
        assert answer["status"] == "captured"
        assert len(await asyncio.to_thread(platform.charges, payment_reference="lost")) == 1
        assert (await asyncio.to_thread(shop.call, "POST", "/payments", BODY, "key")).status == 200
    await proxy.close()


def _settled(shop: Merchant, body: object) -> Answer:
    def settled() -> Answer | None:
        answer = shop.call("POST", "/payments", body, "lost-key")
        assert answer.status in (200, 202, 409, 503), answer
        return answer if answer.status == 200 else None

    return wait_until(settled, 40)
