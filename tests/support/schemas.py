"""Events against their published schemas, and what those promise."""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
from jsonschema import Draft202012Validator, FormatChecker

FOLDER = Path(__file__).parents[2] / "docs/schemas/events"
ENVELOPE = "cloudevent"
_LOOKED_AT_MAX = 1000
_DIFFERENT = "SELECT DISTINCT type, regexp_replace(data::text, '[1-9]', '1', 'g') FROM outbox_events LIMIT $1"

Schema = dict[str, Any]


class Field(NamedTuple):
    """What a reader may rely on."""

    types: frozenset[str]
    is_required: bool


def schemas() -> dict[str, Schema]:
    """Every published schema by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def fields(schema: Schema) -> dict[str, Field]:
    """Every field that the schema names, by its path, e.g. `amount.value`."""
    return dict(_fields(schema, schema, "", is_sure=True))


def complaints(kind: str, instance: Any) -> list[str]:
    """What is wrong with an event's data, or a body where `kind` is the envelope; a field that is not published too."""
    if kind not in schemas():
        return [f"{kind} has no schema in docs/schemas/events"]
    return [f"{kind} {error.json_path}: {error.message}" for error in _strict(kind).iter_errors(instance)]


async def assert_events_are_as_published(url: str) -> None:
    """Fails with what is wrong with any event in the database; of very many it looks at some."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(_DIFFERENT, _LOOKED_AT_MAX)
    finally:
        await connection.close()
    wrong = {complaint for row in rows for complaint in complaints(row["type"], json.loads(row[1]))}
    assert not wrong, "\n".join(sorted(wrong))


@cache
def _strict(kind: str) -> Draft202012Validator:
    """With the schema as it is, save that an unknown field is wrong: readers ignore those, writers publish them."""
    schema = deepcopy(schemas()[kind])
    _close(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def _close(schema: Schema) -> None:
    if "properties" in schema:
        schema["additionalProperties"] = False
    nested: Mapping[str, Any] = {**schema.get("properties", {}), **schema.get("$defs", {})}
    for each in nested.values():
        _close(each)


def _fields(root: Schema, schema: Schema, prefix: str, *, is_sure: bool) -> Iterator[tuple[str, Field]]:
    required = set(schema.get("required", ()))
    properties: Mapping[str, Schema] = schema.get("properties", {})
    for name, given in properties.items():
        options = [_resolved(root, each) for each in given.get("anyOf", [given])]
        types: set[str] = set()
        for option in options:
            of = option["type"]
            types |= {of} if isinstance(of, str) else set(of)
        is_required = is_sure and name in required
        yield prefix + name, Field(frozenset(types), is_required)
        for option in options:
            yield from _fields(root, option, f"{prefix}{name}.", is_sure=is_required and "null" not in types)


def _resolved(root: Schema, schema: Schema) -> Schema:
    if reference := schema.get("$ref"):
        return root["$defs"][re.fullmatch(r"#/\$defs/(\w+)", reference)[1]]  # type: ignore[index]
    return schema
