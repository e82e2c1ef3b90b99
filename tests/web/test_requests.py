"""Requests over real HTTP: what gets through, what is refused and how that reads, what every reply carries."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.web.sample import Answer, Client, Gates, serving, wait_for

THING = b'{"name": "cup", "price": {"value": 4999, "currency": "USD"}}'
CARD = "4111 1111 1111 1111"


def assert_problem(answer: Answer, status: int, code: str, title: str, param: str | None = None) -> str:
    document = answer.json
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status, document.pop("status"), document.pop("title")) == (status, status, title)
    assert document.pop("type") == "https://bezant.dev/problems/" + code.replace("_", "-")
    assert document.pop("code") == code
    assert document.pop("request_id") == answer.headers["request-id"]
    assert document.pop("param", None) == param
    detail = document.pop("detail")
    assert detail
    assert document == {}
    assert "4111" not in answer.body.decode()
    assert_headers(answer)
    return detail


def assert_headers(answer: Answer) -> None:
    assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["request-id"])
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in answer.headers


def test_handler_gets_body_and_key_and_its_reply_is_sent(api: Client) -> None:
    answer = api.send("POST", "/api/v1/things", THING, idempotency_key="abc")
    assert (answer.status, answer.json) == (201, {"thing_id": "thg_1", "name": "cup", "key": "abc"})
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.headers["content-type"] == "application/json"
    assert_headers(answer)


def test_path_parameters_and_headers_reach_the_handler(api: Client) -> None:
    assert api.send("GET", "/api/v1/things/thg_7").json == {"thing_id": "thg_7", "name": "test", "key": None}


def test_request_ids_differ(api: Client) -> None:
    assert len({api.send("GET", "/healthz").headers["request-id"] for _ in range(20)}) == 20


def test_unknown_path_is_not_found(api: Client) -> None:
    assert_problem(api.send("GET", "/api/v1/nothing"), 404, "not_found", "Not Found")


def test_unknown_method_names_those_that_are_known(api: Client) -> None:
    answer = api.send("DELETE", "/api/v1/things")
    assert_problem(answer, 405, "method_not_allowed", "Method Not Allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


def test_error_of_a_handler_is_a_problem_with_its_pointer(api: Client) -> None:
    detail = assert_problem(api.send("GET", "/api/v1/things/taken"), 409, "invalid_state", "Conflict", "/thing_id")
    assert detail == "The thing is taken."


def test_defect_shows_nothing_of_the_inside(api: Client) -> None:
    answer = api.send("GET", "/api/v1/things/broken")
    assert_problem(answer, 500, "internal_error", "Internal Server Error")
    assert b"secret inner state" not in answer.body


@pytest.mark.parametrize(
    "authorization", ["", "sk_all", "Basic sk_all", "Bearer", "Bearer ", "Bearer sk_unknown", "Bearer \xfc"]
)
def test_missing_or_bad_key_is_unauthorized(api: Client, authorization: str) -> None:
    answer = api.send("GET", "/api/v1/things", key=None, authorization=authorization)
    assert_problem(answer, 401, "unauthorized", "Unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_scheme_name_is_not_case_sensitive(api: Client) -> None:
    assert api.send("GET", "/api/v1/things", key=None, authorization="bearer sk_all").status == 200


def test_key_without_the_scope_is_forbidden(api: Client) -> None:
    answer = api.send("POST", "/api/v1/things", THING, key="sk_read")
    assert "things:write" in assert_problem(answer, 403, "forbidden", "Forbidden")


def test_publishable_key_may_call_only_what_is_declared_for_it(api: Client) -> None:
    allowed = api.send("GET", "/api/v1/things/thg_1", key="pk_all", origin="https://shop.example")
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == "*"
    refused = api.send("GET", "/api/v1/things", key="pk_all")
    assert_problem(refused, 403, "forbidden", "Forbidden")
    assert "access-control-allow-origin" not in refused.headers


def test_browser_may_ask_before_it_calls_with_a_publishable_key(api: Client) -> None:
    answer = api.send("OPTIONS", "/api/v1/things/thg_1", key=None, origin="https://shop.example")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-methods"] == "GET, OPTIONS"
    assert "access-control-allow-methods" not in api.send("OPTIONS", "/api/v1/things", key=None).headers


def test_idempotency_key_is_required_where_declared(api: Client) -> None:
    answer = api.send("POST", "/api/v1/things", THING, idempotency_key="")
    assert_problem(answer, 400, "idempotency_key_missing", "Bad Request")
    assert api.send("POST", "/api/v1/things/thg_1/touch").status == 200


@pytest.mark.parametrize("key", ["x" * 129, "tab\there", "\xe9"])
@pytest.mark.parametrize("path", ["/api/v1/things", "/api/v1/things/thg_1/touch"])
def test_idempotency_key_of_bad_form_is_refused_wherever_it_is_sent(api: Client, path: str, key: str) -> None:
    answer = api.send("POST", path, THING, idempotency_key=key)
    assert_problem(answer, 400, "idempotency_key_invalid", "Bad Request")


def test_longest_idempotency_key_is_taken(api: Client) -> None:
    assert api.send("POST", "/api/v1/things", THING, idempotency_key="~" * 128).json["key"] == "~" * 128


def test_header_that_counts_may_not_come_twice(api: Client) -> None:
    reply = api.send_raw(
        b"POST /api/v1/things/x/touch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_all\r\nIdempotency-Key: a\r\n"
        b"User-Agent: x\r\nIdempotency-Key: b\r\nContent-Length: 0\r\n\r\n"
    )
    assert reply.startswith(b"HTTP/1.1 400 ")


def test_body_over_the_limit_is_refused_before_it_is_read(api: Client) -> None:
    reply = api.send_raw(
        b"POST /api/v1/things HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_all\r\nIdempotency-Key: a\r\n"
        b"Content-Type: application/json\r\nContent-Length: 65537\r\n\r\n"
    )
    assert reply.startswith(b"HTTP/1.1 413 ")


def test_chunked_body_over_the_limit_is_refused(api: Client) -> None:
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    reply = api.send_raw(
        b"POST /api/v1/things HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_all\r\nIdempotency-Key: a\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 9
    )
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nrequest-id: req_" in reply


def test_chunked_body_within_the_limit_is_put_together(api: Client) -> None:
    halves = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (THING[:20], THING[20:], b" " * 60_000))
    reply = api.send_raw(
        b"POST /api/v1/things HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_all\r\nIdempotency-Key: a\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + halves + b"0\r\n\r\n"
    )
    assert reply.startswith(b"HTTP/1.1 201 ")


def test_largest_body_is_taken_and_one_byte_more_is_not(api: Client) -> None:
    assert api.send("POST", "/api/v1/things", THING.ljust(65_536)).status == 201
    answer = api.send("POST", "/api/v1/things", THING.ljust(65_537))
    assert_problem(answer, 413, "content_too_large", "Request Entity Too Large")


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "text/plain"},
        {"content_type": ""},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": "application/json; charset=latin-1"},
        {"content_encoding": "gzip"},
    ],
)
def test_body_that_is_not_plain_json_is_refused(api: Client, headers: dict[str, str]) -> None:
    answer = api.send("POST", "/api/v1/things", THING, **headers)
    assert_problem(answer, 415, "unsupported_media_type", "Unsupported Media Type")


def test_media_type_may_name_its_charset(api: Client) -> None:
    assert api.send("POST", "/api/v1/things", THING, content_type='Application/JSON; charset="UTF-8"').status == 201


def thing(**changes: Any) -> bytes:
    return json.dumps({**json.loads(THING), **changes}).encode()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (thing(nmae="x"), "/nmae"),
        (thing(price={"value": 1, "currency": "USD", "a/b~": 1}), "/price/a~1b~0"),
        (thing(price={"value": 1}), "/price/currency"),
        (thing(price={"value": "1", "currency": "USD"}), "/price/value"),
        (thing(price={"value": 1.5, "currency": "USD"}), "/price/value"),
        (thing(price={"value": 0, "currency": "USD"}), "/price/value"),
        (thing(price={"value": True, "currency": "USD"}), "/price/value"),
        (thing(price={"value": 10**30, "currency": "USD"}), "/price/value"),
        (thing(price=None), "/price"),
        (thing(sizes=[1, 2, "3"]), "/sizes/2"),
        (thing(labels={"a": 1}), "/labels"),
        (b"[]", ""),
        (b"null", ""),
        (b"", "/name"),
        (b"{}", "/name"),
        (thing(**{"x" * 5000: 1}), "/" + "x" * 199),
        (thing(nested=None).replace(b"null", b"[" * 200 + b"]" * 200), "/nested"),
    ],
)
def test_field_at_fault_is_named_by_its_pointer(api: Client, body: bytes, param: str) -> None:
    answer = api.send("POST", "/api/v1/things", body)
    assert len(assert_problem(answer, 400, "invalid_request", "Bad Request", param)) < 300


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"name": "cup"} x',
        b"\xff\xfe",
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": "cup", "price": {"value": NaN, "currency": "USD"}}',
        b'{"name": "cup", "price": {"value": Infinity, "currency": "USD"}}',
        b'{"name": "cup", "price": {"value": 1e999, "currency": "USD"}}',
        b'{"name": "cup", "price": {"value": ' + b"9" * 5000 + b', "currency": "USD"}}',
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        THING.replace(b'"cup"', b'"c\\u0000p"'),
        b"\x00",
        b"\xef\xbb\xbf" + THING,
        THING.decode().encode("utf-16"),
    ],
)
def test_garbage_is_an_invalid_request_and_never_a_defect(api: Client, body: bytes) -> None:
    answer = api.send("POST", "/api/v1/things", body)
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")
    assert answer.headers["content-type"] == "application/problem+json"


def test_of_a_repeated_json_key_the_last_counts(api: Client) -> None:
    assert api.send("POST", "/api/v1/things", THING[:-1] + b', "name": "mug"}').json["name"] == "mug"


def test_escaped_backslash_before_u0000_is_text(api: Client) -> None:
    answer = api.send("POST", "/api/v1/things", THING.replace(b'"cup"', b'"c\\\\u0000p"'))
    assert answer.json["name"] == "c\\u0000p"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (thing(name=CARD), "/name"),
        (thing(labels={"a": "pay with 5555-5555-5555-4444"}), "/labels/a"),
        (thing(labels={CARD: "a"}), "/labels"),
        (thing(labels={"cvv": "123"}), "/labels/cvv"),
        (thing(unknown=[4111111111111111]), "/unknown/0"),
    ],
)
def test_card_data_in_the_body_is_refused_without_being_repeated(api: Client, body: bytes, param: str) -> None:
    answer = api.send("POST", "/api/v1/things", body)
    assert_problem(answer, 422, "card_data_refused", "Unprocessable Entity", param)
    assert b"5555" not in answer.body


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/things/4111111111111111",
        "/api/v1/nothing/4111-1111-1111-1111/x",
        "/api/v1/things/%34111111111111111",
        "/api/v1/things?name=4111+1111+1111+1111",
        "/api/v1/things?name=%34111111111111111",
        "/api/v1/things?4111111111111111=x",
        "/docs?cvv=123",
    ],
)
def test_card_data_in_the_url_is_refused(api: Client, path: str) -> None:
    answer = api.send("GET", path)
    assert (answer.status, answer.json["code"]) == (422, "card_data_refused")
    assert b"1111" not in answer.body


def test_card_data_as_idempotency_key_is_refused(api: Client) -> None:
    answer = api.send("POST", "/api/v1/things", THING, idempotency_key=CARD)
    assert_problem(answer, 422, "card_data_refused", "Unprocessable Entity")


def test_body_of_another_system_is_passed_on_as_it_is(api: Client) -> None:
    body = b"\xff\x00 4111111111111111 " * 10_000
    answer = api.send("POST", "/internal/webhooks", body, key=None, content_type="text/plain", idempotency_key="\xe9")
    assert (answer.status, answer.body) == (200, body)
    assert api.send("POST", "/internal/webhooks", b" " * 300_001, key=None).status == 413


def test_list_is_paged_by_its_cursor(api: Client) -> None:
    first = api.send("GET", "/api/v1/things?limit=100&name=cup").json
    assert first["data"] == [{"thing_id": "start", "name": "cup", "key": "100"}]
    assert api.send("GET", f"/api/v1/things?cursor={first['next_cursor']}").json["data"][0]["thing_id"] == "thg_9"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=ten", "/limit"),
        ("limit=", "/limit"),
        ("limit=1.5", "/limit"),
        ("limit=99999999999999999999999999", "/limit"),
        ("name=" + "x" * 21, "/name"),
        ("nmae=x", "/nmae"),
        ("cursor=abc", "/cursor"),
        ("cursor=%C3%A9", "/cursor"),
        ("cursor=" + "A" * 300, "/cursor"),
        ("cursor=____", "/cursor"),
        ("name=a&name=b", None),
        ("name=%ff", None),
        ("name=%00", None),
        ("&".join(f"a{n}=1" for n in range(60)), None),
    ],
)
def test_query_garbage_is_an_invalid_request(api: Client, query: str, param: str | None) -> None:
    assert_problem(api.send("GET", f"/api/v1/things?{query}"), 400, "invalid_request", "Bad Request", param)


def test_key_over_its_rate_waits(api: Client) -> None:
    answers = [api.send("GET", "/api/v1/things/thg_1", key="sk_slow") for _ in range(20)]
    refused = [answer for answer in answers if answer.status == 429]
    assert answers[0].status == 200
    assert refused
    assert_problem(refused[0], 429, "rate_limited", "Too Many Requests")
    assert refused[0].headers["retry-after"] == "1"
    assert api.send("GET", "/api/v1/things/thg_1").status == 200


def test_requests_over_capacity_are_turned_away_but_health_is_answered() -> None:
    gates = Gates()
    with serving(gates, in_flight_max=2) as client, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.send, "GET", "/api/v1/wait") for _ in range(2)]
        wait_for(lambda: gates.waiting == 2)
        answer = client.send("GET", "/api/v1/things")
        assert_problem(answer, 503, "unavailable", "Service Unavailable")
        assert answer.headers["retry-after"] == "1"
        assert client.send("GET", "/healthz").status == 200
        gates.open.set()
        assert [each.result().status for each in waiting] == [204, 204]
        assert client.send("GET", "/api/v1/things").status == 200


def test_readiness_follows_its_callable() -> None:
    gates = Gates()
    with serving(gates) as client:
        assert client.send("GET", "/readyz", key=None).json == {"status": "ready"}
        gates.is_ready = False
        assert_problem(client.send("GET", "/readyz", key=None), 503, "unavailable", "Service Unavailable")
        assert client.send("GET", "/healthz", key=None).json == {"status": "ok"}


def test_metrics_count_by_route_and_status_and_never_by_path() -> None:
    with serving(Gates()) as client:
        for path in ("/api/v1/things/thg_1", "/api/v1/things/thg_2", "/api/v1/things/taken", "/nothing"):
            client.send("GET", path)
        text = client.send("GET", "/metrics", key=None).body.decode()
    route = 'route="/api/v1/things/{thing_id}"'
    assert f'bezant_http_requests_total{{method="GET",{route},status="200"}} 2.0' in text.replace(
        f'{route},method="GET",', f'method="GET",{route},'
    )
    assert re.search(r'bezant_http_requests_total\{.*status="409".*\} 1\.0', text)
    assert re.search(r'bezant_http_request_duration_seconds_bucket\{.*le="\+Inf".*\} 2\.0', text)
    assert "bezant_http_requests_in_flight 1.0" in text
    assert "thg_1" not in text
    assert "/nothing" not in text
