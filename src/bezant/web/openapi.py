"""The OpenAPI 3.1 document, made from the route table and msgspec's own schemas of the declared types.

Litestar's generator is not used: it documents what its parameter injection reads, and the routes read raw bodies.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from bezant.base.errors import PROBLEM_TYPE_PREFIX
from bezant.web.headers import IDEMPOTENCY_KEY_LENGTH_MAX
from bezant.web.problems import PROBLEM_TYPE
from bezant.web.route import API, Body, Route

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_PROBLEM: Final[Json] = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "description": f"`{PROBLEM_TYPE_PREFIX}` and the code."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and how to mend it, for people."},
        "code": {"type": "string", "description": "Stable and machine readable."},
        "param": {"type": "string", "description": "JSON pointer of the field at fault, where it is one."},
        "request_id": {"type": "string"},
    },
}
_REQUEST_ID: Final[Json] = {"description": "Names this request in the logs.", "schema": {"type": "string"}}
_RETRY_AFTER: Final[Json] = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
_REPLAYED: Final[Json] = {
    "description": "`true` if this is the stored reply of an earlier request with the same Idempotency-Key.",
    "schema": {"type": "string", "enum": ["true"]},
}


def openapi_document(routes: Sequence[Route], title: str, version: str) -> Json:
    """The document for `routes`; those outside the API's own path are other systems' business and left out."""
    documented = [route for route in routes if route.prefix == API]
    schemas = _schemas(documented)
    paths: dict[str, Json] = {}
    for route in documented:
        operation = _operation(route, schemas)
        paths.setdefault(route.template, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "description": "Amounts are integers in minor units, times are UTC (RFC 3339), errors are problems "
            "(RFC 9457). Every reply carries Request-Id.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in documented)],
        "paths": paths,
        "components": {
            "schemas": {**schemas.components, "Problem": _PROBLEM},
            "securitySchemes": {
                "secret_key": {"type": "http", "scheme": "bearer", "description": "`sk_...`, from a server only."},
                "publishable_key": {"type": "http", "scheme": "bearer", "description": "`pk_...`, from a browser."},
            },
        },
    }


class _Schemas(msgspec.Struct):
    """The schema of each declared type, and the named ones that they refer to."""

    by_type: dict[Any, Json]
    components: dict[str, Json]


def _schemas(routes: Iterable[Route]) -> _Schemas:
    bodies = [
        type_ for route in routes for body in (route.request, *route.responses.values()) for type_ in _types(body)
    ]
    queries = [route.query for route in routes if route.query is not None]
    schemas, components = msgspec.json.schema_components(bodies, ref_template=_REF)
    by_type: dict[Any, Json] = dict(zip(bodies, schemas, strict=True))
    for query in queries:  # parameters are written out: their schemas stand in the operation, not by name
        _, inner = msgspec.json.schema_components([query], ref_template=_REF)
        by_type[query] = inner.pop(query.__name__)
        components.update(inner)
    return _Schemas(by_type, components)


def _types(body: Body) -> tuple[Any, ...]:
    """The types that a body may have; generic ones are no classes, hence Any."""
    return () if body is None else body if isinstance(body, tuple) else (body,)


def _operation(route: Route, schemas: _Schemas) -> Json:
    summary, description = route.texts()
    operation: Json = {
        "operationId": f"{route.tag}_{route.handler.__name__}",
        "tags": [route.tag],
        "summary": summary or f"{route.method} {route.path}",
        "parameters": _parameters(route, schemas),
        "responses": _responses(route, schemas),
        "security": _security(route),
    }
    if description:
        operation["description"] = description
    if route.request is not None:
        schema = schemas.by_type[route.request]
        is_required = bool(_resolved(schema, schemas).get("required"))
        operation["requestBody"] = {"required": is_required, "content": {"application/json": {"schema": schema}}}
    elif route.streamed:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": {}}}}
    return operation


def _security(route: Route) -> list[Json]:
    if route.scope is None:
        return []
    return [{"secret_key": []}, {"publishable_key": []}] if route.publishable else [{"secret_key": []}]


def _resolved(schema: Json, schemas: _Schemas) -> Json:
    reference = schema.get("$ref")
    return schemas.components[reference.rpartition("/")[2]] if reference else schema


def _parameters(route: Route, schemas: _Schemas) -> list[Json]:
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.template)
    ]
    if route.query is not None:
        schema = schemas.by_type[route.query]
        required: list[str] = schema.get("required", [])
        parameters += [_query_parameter(name, name in required, field) for name, field in schema["properties"].items()]
    if route.takes_json:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": route.idempotency == "required",
                "description": "Chosen by you, once per thing that shall happen once; the same for every repeat.",
                "schema": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": IDEMPOTENCY_KEY_LENGTH_MAX,
                    "pattern": "^[ -~]+$",
                },
            }
        )
    return parameters


def _query_parameter(name: str, is_required: bool, schema: Json) -> Json:
    """One parameter. A query string has no null: what may be left out is simply not required."""
    schema = dict(schema)
    choices: list[Json] = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del schema["anyOf"]
        schema.update(choices[0])
    if schema.get("default", ...) is None:
        del schema["default"]
    parameter: Json = {"name": name, "in": "query", "required": is_required, "schema": schema}
    if text := schema.pop("description", None):
        parameter["description"] = text
    return parameter


def _responses(route: Route, schemas: _Schemas) -> Json:
    responses: Json = {}
    for status, type_ in sorted(route.responses.items()):
        headers = {"Request-Id": _REQUEST_ID} | ({"Idempotent-Replayed": _REPLAYED} if route.takes_json else {})
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "headers": headers}
        if choices := [schemas.by_type[each] for each in _types(type_)]:
            schema = choices[0] if len(choices) == 1 else {"anyOf": choices}
            responses[str(status)]["content"] = {"application/json": {"schema": schema}}
    for status, codes in sorted(_error_codes(route).items()):
        responses[str(status)] = _problem_response(status, codes)
    return responses


def _error_codes(route: Route) -> Mapping[int, list[str]]:
    """The codes by status: what the machinery itself answers, then what the route declares."""
    codes = {400: ["invalid_request"], 422: ["card_data_refused"], 500: ["internal_error"], 503: ["unavailable"]}
    if route.scope is not None:
        codes |= {401: ["unauthorized"], 403: ["forbidden"], 429: ["rate_limited"]}
    if _PARAMETER.search(route.template):
        codes[404] = ["not_found"]
    if route.takes_body:
        codes |= {413: ["content_too_large"], 415: ["unsupported_media_type"]}
    if route.takes_json:
        codes[400].append("idempotency_key_invalid")
        if route.idempotency == "required":
            codes[400].append("idempotency_key_missing")
    for status, declared in route.errors.items():
        known = codes.setdefault(status, [])
        known.extend(code for code in declared if code not in known)
    return codes


def _problem_response(status: int, codes: list[str]) -> Json:
    headers: Json = {"Request-Id": _REQUEST_ID}
    if status in (409, 429, 503, 504):
        headers["Retry-After"] = _RETRY_AFTER
    schema: Json = {
        "allOf": [{"$ref": _REF.format(name="Problem")}, {"properties": {"code": {"enum": codes}}}],
    }
    return {
        "description": f"{HTTPStatus(status).phrase}: " + ", ".join(f"`{code}`" for code in codes),
        "headers": headers,
        "content": {PROBLEM_TYPE: {"schema": schema}},
    }
