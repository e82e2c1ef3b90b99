"""The OpenAPI document is valid, complete and true; the page made from it needs nothing from elsewhere."""

import re
from typing import Annotated, Any, cast

import jsonschema_rs
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import checks

from bezant import web
from bezant.web.docs import docs_reply
from bezant.web.openapi import openapi_document
from tests.web.sample import Client, Gates, routes


@pytest.fixture(scope="module")
def document(api: Client) -> dict[str, Any]:
    answer = api.send("GET", "/api/v1/openapi.json", key=None)
    assert answer.headers["content-type"] == "application/json"
    return answer.json


def test_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert schemathesis.openapi.from_dict(document).validate() is None
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_each_api_route_is_documented_with_all_its_parts(document: dict[str, Any]) -> None:
    declared = {(route.template, route.method.lower()) for route in routes(Gates()) if route.prefix == web.API}
    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == declared
    create = document["paths"]["/api/v1/things"]["post"]
    assert (create["summary"], create["description"]) == ("Make a thing", "Described <in> more `detail`.")
    assert create["operationId"] == "things_create"
    assert create["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/NewThing"}
    assert create["responses"]["201"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Thing"}
    assert set(create["responses"]) == {"201", "400", "401", "403", "409", "413", "415", "422", "429", "500", "503"}
    key = next(each for each in create["parameters"] if each["name"] == "Idempotency-Key")
    assert (key["in"], key["required"], key["schema"]["maxLength"]) == ("header", True, 128)
    assert create["security"] == [{"secret_key": []}]


def test_error_codes_are_listed_by_status(document: dict[str, Any]) -> None:
    replies = document["paths"]["/api/v1/things"]["post"]["responses"]
    codes = {
        status: reply["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
        for status, reply in replies.items()
        if status >= "400"
    }
    assert codes["400"] == ["invalid_request", "idempotency_key_invalid", "idempotency_key_missing"]
    assert codes["409"] == ["invalid_state"]
    assert codes["422"] == ["card_data_refused"]


def test_query_and_path_parameters_are_documented(document: dict[str, Any]) -> None:
    listed = {each["name"]: each for each in document["paths"]["/api/v1/things"]["get"]["parameters"]}
    assert listed["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    assert listed["name"] == {
        "name": "name", "in": "query", "required": False, "description": "The `name`.",
        "schema": {"type": "string", "maxLength": 20},
    }  # fmt: skip
    shown = document["paths"]["/api/v1/things/{thing_id}"]["get"]
    assert shown["parameters"] == [{"name": "thing_id", "in": "path", "required": True, "schema": {"type": "string"}}]
    assert shown["security"] == [{"secret_key": []}, {"publishable_key": []}]
    assert "404" in shown["responses"]


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/things"), ("GET", "/api/v1/things")])
def test_server_answers_generated_requests_as_documented(
    api: Client, document: dict[str, Any], method: str, path: str
) -> None:
    operation = cast(Any, schemathesis.openapi.from_dict(document)[path][method])

    @settings(
        max_examples=80,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        database=None,
    )
    @given(case=operation.as_strategy())
    def check(case: Any) -> None:
        case.call_and_validate(
            base_url=f"http://127.0.0.1:{api.port}",
            headers={"Authorization": "Bearer sk_all"},
            checks=[
                checks.not_a_server_error,
                checks.status_code_conformance,
                checks.content_type_conformance,
                checks.response_schema_conformance,
                checks.response_headers_conformance,
            ],
        )

    check()


def test_page_shows_every_call_and_type_without_anything_from_elsewhere(api: Client, document: dict[str, Any]) -> None:
    answer = api.send("GET", "/docs", key=None)
    page = answer.body.decode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "style-src 'sha256-" in answer.headers["content-security-policy"]
    assert re.findall(r"""(?:src|href|action)="(?!#|/(?!/))""", page) == []
    assert re.findall(r"<script|@import|url\(|https?://(?!bezant\.dev/problems/)", page) == []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f'<section id="{operation["operationId"]}">' in page
            assert f'<span class="method">{method.upper()}</span> <code>{path}</code>' in page
    for name in document["components"]["schemas"]:
        assert f'id="type-{name}"' in page
    assert "Described &lt;in&gt; more <code>detail</code>." in page
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))


class Odd(msgspec.Struct, frozen=True):
    """Every shape that the page has words for."""

    either: int | str
    choice: Annotated[str, msgspec.Meta(pattern="^a")]
    many: list[dict[str, int]]
    anything: Any = None


async def odd(_call: web.Call) -> web.Reply:
    return web.Reply(204)


def test_types_are_put_into_words() -> None:
    route = web.Route("GET", "/odd", odd, responses={200: Odd})
    page = docs_reply(openapi_document([route], "T", "1")).body.decode()
    assert "integer or string" in page
    assert "list of map of integer" in page
    assert "GET /odd" in page
    assert "Key: none." in page
