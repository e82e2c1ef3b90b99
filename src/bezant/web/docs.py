"""The API reference as one HTML page, rendered from the OpenAPI document: no script, nothing from elsewhere."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from bezant.web.call import Reply

Json = dict[str, Any]

_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--strong:#0a6e5c}
@media (prefers-color-scheme:dark){:root{--strong:#4fd1b5}}
*{box-sizing:border-box}body{margin:0;font:16px/1.5 system-ui,sans-serif;display:flex}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1rem;min-width:17rem;font-size:.85rem}
nav{border-right:1px solid var(--line)}nav ul{list-style:none;margin:0 0 1rem;padding:0}
nav a{color:inherit;text-decoration:none}nav a:hover{text-decoration:underline}
main{padding:1rem 2rem;max-width:62rem;min-width:0}
h2{margin-top:3rem;border-bottom:1px solid var(--line)}h3{margin-top:2.5rem}
code,.method{font-family:ui-monospace,monospace;font-size:.9em}.method{font-weight:700;color:var(--strong)}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid var(--line)}
th{background:var(--soft)}
@media (max-width:50rem){body{display:block}nav{position:static;height:auto;border:0}main{padding:1rem}}
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_CODE: Final = re.compile(r"`([^`]+)`")


def docs_reply(document: Json) -> Reply:
    """The page for an OpenAPI document."""
    info = document["info"]
    title = f"{info['title']} {info['version']}"
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><nav>{''.join(_navigation(document))}</nav>"
        f"<main><h1>{escape(title)}</h1><p>{_text(info['description'])}</p>"
        f'<p>As a document for machines: <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p>'
        f"{''.join(_calls(document))}{''.join(_types(document))}</main></body></html>"
    )
    return Reply(200, html.encode(), {"Content-Security-Policy": _POLICY}, "text/html; charset=utf-8")


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _navigation(document: Json) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"<strong>{escape(tag['name'])}</strong><ul>"
        for method, path, operation in _operations(document):
            if tag["name"] in operation["tags"]:
                yield f'<li><a href="#{operation["operationId"]}"><code>{method}</code> {escape(path)}</a></li>'
        yield "</ul>"
    yield '<a href="#types">Types</a>'


def _calls(document: Json) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2>"
        for method, path, operation in _operations(document):
            if tag["name"] in operation["tags"]:
                yield from _call(method, path, operation)


def _call(method: str, path: str, operation: Json) -> Iterator[str]:
    yield f'<section id="{operation["operationId"]}"><h3>{_text(operation["summary"])}</h3>'
    yield f'<p><span class="method">{method}</span> <code>{escape(path)}</code></p>'
    if description := operation.get("description"):
        yield f"<p>{_text(description)}</p>"
    keys = " or ".join(f"<code>{next(iter(choice))}</code>" for choice in operation["security"])
    yield f"<p>Key: {keys or 'none'}.</p>"
    if operation["parameters"]:
        rows = (
            (
                _code(each["name"]),
                each["in"],
                _type(each["schema"]),
                _needed(each["required"]),
                _text(each.get("description", "")),
            )
            for each in operation["parameters"]
        )
        yield _table(("Parameter", "in", "type", "", ""), rows)
    if body := operation.get("requestBody"):
        optional = "" if body["required"] else ", optional"
        media_type, content = next(iter(body["content"].items()))
        shown = _type(content["schema"]) if media_type == "application/json" else "bytes"
        yield f"<p>Body: {shown}{optional}</p>"
    rows = (
        (_code(status), _type_of(reply), _text(reply["description"]))
        for status, reply in operation["responses"].items()
    )
    yield _table(("Reply", "type", ""), rows)
    yield "</section>"


def _type_of(reply: Json) -> str:
    for media_type, content in reply.get("content", {}).items():
        return _type({"$ref": "Problem"} if media_type == "application/problem+json" else content["schema"])
    return ""


def _types(document: Json) -> Iterator[str]:
    yield '<h2 id="types">Types</h2>'
    for name, schema in document["components"]["schemas"].items():
        yield f'<section id="type-{escape(name)}"><h3>{escape(schema.get("title", name))}</h3>'
        yield f"<p>{_text(schema.get('description', ''))}</p>"
        if fields := schema.get("properties"):
            needed = schema.get("required", [])
            rows = (
                (_code(field), _type(inner), _needed(field in needed), _text(inner.get("description", "")))
                for field, inner in fields.items()
            )
            yield _table(("Field", "type", "", ""), rows)
        else:
            yield f"<p>{_type(schema)}</p>"
        yield "</section>"


def _type(schema: Json) -> str:
    """A schema in a few words, with a link where it has a name."""
    if reference := schema.get("$ref"):
        name = escape(reference.rpartition("/")[2])
        return f'<a href="#type-{name}">{name}</a>'
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(choice) for choice in choices)
    if values := schema.get("enum"):
        return " | ".join(_code(json.dumps(value)) for value in values)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    inner: Any = schema.get("additionalProperties")
    if inner and inner is not True:
        return f"map of {_type(inner)}"
    return escape(str(schema.get("format") or schema.get("type") or "any")) + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    words = {
        "minimum": "from",
        "maximum": "to",
        "minLength": "length from",
        "maxLength": "length to",
        "default": "default",
    }
    parts = [f"{word} {escape(json.dumps(schema[key]))}" for key, word in words.items() if schema.get(key) is not None]
    return f" ({', '.join(parts)})" if parts else ""


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{title}</th>" for title in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _needed(is_required: bool) -> str:
    return "required" if is_required else ""


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _text(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
