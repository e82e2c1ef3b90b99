"""Files over HTTP, as an operator's programs send them and look at them; and nobody else."""

import http.client
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import pytest
from litestar import Litestar

from bezant import web
from bezant.base.db import Database
from bezant.base.errors import OperatorError
from bezant.jobs.schedule import Schedule
from bezant.merchants.service import Merchants, NewKey, NewMerchant
from bezant.reconciliation.files.service import ReportFiles
from tests.inbox.served import serving
from tests.reconciliation.files.readers import FORMATS, REPORTS, acme_line, acme_report, entry, statement
from tests.reconciliation.files.world import IBAN, MIB, sha256
from tests.support.databases import run
from tests.support.platform import API, Answer, request, sql
from tests.support.waiting import wait_until

T = TypeVar("T")

FILES = "/reconciliation/files"
LIMIT = 3 * MIB


def application(url: str) -> Litestar:
    database = Database(url, connections_max=6)
    merchants = Merchants(database, 1_000_000)
    files = ReportFiles(database, reports=REPORTS, formats=FORMATS, size_max=LIMIT)
    schedule = Schedule(files.jobs())

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await database.open()
        schedule.start()
        try:
            yield
        finally:
            await schedule.close(10)
            await database.close()

    async def ready() -> None:
        return

    return web.build(files.routes(), merchants.authenticate, version="1", ready=ready, lifespan=(lifespan,))


class Operator:
    """A program of the operator's, with a key of its own."""

    def __init__(self, url: str, database_url: str) -> None:
        self.url = url
        self.database_url = database_url
        self.key = self.new_key("operator")

    def new_key(self, merchant: str, *scopes: str, kind: Any = "secret") -> str:
        def create(merchants: Merchants) -> Awaitable[NewKey]:
            return merchants.create_key(merchant, kind, scopes, None)

        return self._with_merchants(create).key

    def shop(self) -> NewMerchant:
        def create(merchants: Merchants) -> Awaitable[NewMerchant]:
            return merchants.create("A shop", "USD", "simulator")

        return self._with_merchants(create)

    def close_merchant(self, merchant: str) -> None:
        def close(merchants: Merchants) -> Awaitable[None]:
            return merchants.set_status(merchant, "closed")

        self._with_merchants(close)

    def _with_merchants(self, work: Callable[[Merchants], Awaitable[T]]) -> T:
        async def opened() -> T:
            database = Database(self.database_url, connections_max=1)
            await database.open()
            try:
                return await work(Merchants(database, 1_000_000))
            finally:
                await database.close()

        return run(opened())

    def call(self, method: str, path: str, body: object = None, key: str | None = None, **query: str) -> Answer:
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        content_type = "text/csv" if isinstance(body, bytes) else "application/json"
        headers = {"Authorization": f"Bearer {key or self.key}", "Content-Type": content_type}
        return request(f"{self.url}{API}{path}?{urlencode(query)}", method, raw, headers)

    def send(self, body: bytes, **query: str) -> Answer:
        return self.call("POST", FILES, body, **({"source": "psp", "psp": "acme", "name": "a.csv"} | query))

    def ends(self, file_id: str) -> Any:
        """A file once it is loaded or refused."""
        return wait_until(
            lambda: next(
                (f for f in [self.call("GET", f"{FILES}/{file_id}").json] if f["state"] in ("loaded", "refused")), None
            ),
            20,
            "the file to come to its end",
        )


@pytest.fixture
def operator(database_url: str) -> Iterator[Operator]:
    with serving(application(database_url)) as url:
        yield Operator(url, database_url)


def test_a_file_is_received_at_once_and_loaded_soon(operator: Operator):
    body = acme_report(acme_line(1), "nonsense")
    began_at_s = time.monotonic()
    answer = operator.send(body)
    assert answer.status == 201
    received = answer.json
    assert (received["state"], received["sha256"], received["size_bytes"]) == ("received", sha256(body), len(body))
    assert received["uploaded_by"].startswith("key_")
    loaded = operator.ends(received["file_id"])
    assert (loaded["state"], loaded["format"], loaded["lines"], loaded["quarantined"]) == ("loaded", "acme_csv", 1, 1)
    assert loaded["summary"]["by_currency"]["USD"]["gross_minor"] == 1_001
    assert time.monotonic() - began_at_s < 15
    lines = operator.call("GET", "/reconciliation/quarantined_lines").json["data"]
    assert [(line["file_name"], line["line"], line["content"]) for line in lines] == [("a.csv", 3, "nonsense")]


def test_the_same_file_again_is_answered_with_the_one_that_is_there(operator: Operator):
    first = operator.send(acme_report(acme_line(1)))
    again = operator.send(acme_report(acme_line(1)), name="b.csv")
    assert (first.status, again.status) == (201, 200)
    assert (again["file_id"], again["name"]) == (first["file_id"], "a.csv")


def test_a_refused_file_says_why_and_where(operator: Operator):
    refused = operator.ends(operator.send(acme_report(acme_line(1), total=5))["file_id"])
    assert refused["refusal"] == {"reason": "the total is 5, the lines add up to 971", "line": 1, "field": "total"}
    listed = operator.call("GET", FILES, state="refused").json["data"]
    assert [each["file_id"] for each in listed] == [refused["file_id"]]
    assert operator.call("GET", FILES, state="loaded").json["data"] == []


def test_a_statement_is_loaded_once_its_account_is_known(operator: Operator):
    body = statement(entry("2026-04-01", 500))
    sent: dict[str, str] = {"source": "bank", "name": "s.txt"}
    refused = operator.ends(operator.call("POST", FILES, body, **sent)["file_id"])
    assert refused["refusal"]["field"] == "account"
    account = {"name": "main", "identification": IBAN, "currency": "EUR", "reason": "our bank"}
    assert operator.call("POST", "/reconciliation/bank_accounts", account).status == 201
    assert operator.call("POST", "/reconciliation/bank_accounts", account).code == "invalid_state"
    again_at, why = f"{FILES}/{refused['file_id']}/read_again", {"reason": "its account is known now"}
    assert operator.call("POST", again_at, {**why, "format": "pdf"}).code == "invalid_request"
    again = operator.call("POST", again_at, why)
    assert (again.status, again["content_of"], again["refusal"]) == (201, refused["file_id"], None)
    assert operator.ends(again["file_id"])["state"] == "loaded"
    assert operator.call("POST", f"{FILES}/{again['file_id']}/read_again", why).code == "invalid_state"
    assert operator.call("POST", FILES, body, **sent)["file_id"] == again["file_id"]
    close = "/reconciliation/bank_accounts/main/close"
    assert operator.call("POST", close, {"reason": "we left"}).json["closed_at"] is not None
    assert operator.call("POST", close, {"reason": "we left"}).status == 404
    (shown,) = operator.call("GET", "/reconciliation/bank_accounts").json["data"]
    assert (shown["name"], shown["identification"]) == ("main", IBAN)


def test_lists_go_on_where_the_page_before_ended(operator: Operator):
    for number in range(5):
        operator.ends(operator.send(acme_report(acme_line(number), "bad", "worse"))["file_id"])
    for path, name in ((FILES, "file_id"), ("/reconciliation/quarantined_lines", "line")):
        whole = [each[name] for each in operator.call("GET", path).json["data"]]
        seen: list[Any] = []
        cursor: dict[str, str] | None = {}
        while cursor is not None:
            page = operator.call("GET", path, limit="2", **cursor).json
            seen += [each[name] for each in page["data"]]
            cursor = {"cursor": page["next_cursor"]} if page["has_more"] else None
        assert seen == whole
        assert len(whole) in (5, 10)


@pytest.mark.parametrize(
    ("query", "body", "code"),
    [
        ({"psp": "nobody"}, b"x", "invalid_request"),
        ({"source": "shop"}, b"x", "invalid_request"),
        ({"format": "pdf"}, b"x", "invalid_request"),
        ({"psp_account": "nobody"}, b"x", "invalid_request"),
        ({"name": ""}, b"x", "invalid_request"),
        ({"more": "x"}, b"x", "invalid_request"),
        ({}, b"", "invalid_request"),
        ({}, b"PK\x03\x04 and so on", "unsupported_media_type"),
        ({}, b"x" * (LIMIT + 1), "content_too_large"),
        ({"name": "4111 1111 1111 1111"}, b"x", "card_data_refused"),
    ],
)
def test_what_cannot_be_received_is_refused_and_leaves_nothing(
    operator: Operator, query: dict[str, str], body: bytes, code: str
):
    assert operator.send(body, **query).code == code
    assert sql(operator.database_url, "SELECT count(*) FROM report_files") == [(0,)]
    assert sql(operator.database_url, "SELECT count(*) FROM report_file_parts") == [(0,)]


def test_a_sender_who_hangs_up_leaves_nothing(operator: Operator):
    connection = http.client.HTTPConnection(urlsplit(operator.url).netloc, timeout=20)
    query = urlencode({"source": "psp", "psp": "acme", "name": "a.csv"})
    connection.putrequest("POST", f"{API}{FILES}?{query}")
    connection.putheader("Authorization", f"Bearer {operator.key}")
    connection.putheader("Content-Length", str(2 * MIB))
    connection.endheaders()
    connection.send(b"x" * (MIB + 100))
    count = "SELECT count(*) FROM report_file_parts"
    wait_until(lambda: sql(operator.database_url, count) == [(1,)], 20, "a part to arrive")
    connection.close()
    wait_until(lambda: sql(operator.database_url, count) == [(0,)], 20, "the part to be forgotten")
    assert sql(operator.database_url, "SELECT count(*) FROM report_files") == [(0,)]


_CALLS = (
    ("POST", FILES),
    ("GET", FILES),
    ("GET", f"{FILES}/fil_{'0' * 32}"),
    ("POST", f"{FILES}/fil_{'0' * 32}/read_again"),
    ("GET", "/reconciliation/quarantined_lines"),
    ("POST", "/reconciliation/bank_accounts"),
    ("GET", "/reconciliation/bank_accounts"),
    ("POST", "/reconciliation/bank_accounts/main/close"),
)


@pytest.mark.parametrize(("method", "path"), _CALLS)
def test_a_merchant_may_not_even_with_the_scopes(operator: Operator, method: str, path: str):
    shop = operator.shop()
    sql(operator.database_url, "UPDATE api_keys SET scopes = scopes || '{reconciliation:read,reconciliation:write}'")
    answer = operator.call(method, path, key=shop.secret_key)
    assert (answer.status, answer.code) == (403, "forbidden")


@pytest.mark.parametrize(("method", "path"), _CALLS)
def test_a_key_of_the_operator_does_what_its_scope_says(operator: Operator, method: str, path: str):
    scopes = {"GET": "reconciliation:read", "POST": "reconciliation:write"}
    for scope in scopes.values():
        answer = operator.call(method, path, key=operator.new_key("operator", scope))
        assert (answer.status == 403) == (scope != scopes[method]), (answer, scope)


def test_keys_of_merchants_have_no_scopes_of_the_operator_and_the_operator_none_that_move_money(operator: Operator):
    shop = operator.shop()
    with pytest.raises(OperatorError, match="Unknown scope reconciliation:read"):
        operator.new_key(shop.merchant_id, "reconciliation:read")
    with pytest.raises(OperatorError, match="Unknown scope payments:write"):
        operator.new_key("operator", "payments:write")
    with pytest.raises(OperatorError, match="secret keys only"):
        operator.new_key("operator", kind="publishable")
    with pytest.raises(OperatorError, match="always open"):
        operator.close_merchant("operator")


def test_a_file_that_is_not_there_is_not_found(operator: Operator):
    for file_id in ("fil_" + "0" * 32, "what"):
        assert operator.call("GET", f"{FILES}/{file_id}").status == 404
    assert operator.call("GET", "/reconciliation/quarantined_lines", file="what").status == 404
    assert operator.call("GET", FILES, cursor="what").code == "invalid_request"
