"""Forms: `a[b]=1&c[0]=2` as nested values, and the parameters that an endpoint knows."""

import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import parse_qsl

from tests.support.stripe_wire.refusals import Json, invalid

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


def parse(text: str) -> Json:
    """The values by their names; lists by `[]` and by `[0]`, both as lists."""
    tree: Json = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        shaped = _NAME.fullmatch(name)
        if shaped is None:
            raise invalid(f"Invalid parameter name: {name}")
        path = [shaped[1], *re.findall(r"\[([^\[\]]*)\]", shaped[2])]
        node = tree
        for part in path[:-1]:
            node = node.setdefault(part, {})
        last = path[-1] or str(len(node))
        node[last] = value
    return {name: _listed(value) for name, value in tree.items()}


def check(form: Json, known: Mapping[str, str]) -> None:
    """Refuse what the endpoint does not know, and what is not of the kind that it wants."""
    for name, value in form.items():
        kind = known.get(name)
        if kind is None:
            raise invalid(f"Received unknown parameter: {name}", "parameter_unknown", name)
        if kind == "object" and not isinstance(value, dict):
            raise invalid("Invalid object", None, name)
        if kind == "list" and not isinstance(value, list):
            raise invalid("Invalid array", None, name)
        if kind == "integer" and not (isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value)):
            raise invalid(f"Invalid integer: {value}", "parameter_invalid_integer", name)
        if kind == "boolean" and value not in ("true", "false"):
            raise invalid(f"Invalid boolean: {value}", None, name)
        if kind == "string" and not isinstance(value, str):
            raise invalid(f"Invalid string: {value}", None, name)


def required(form: Json, name: str) -> str:
    """A parameter that must be there."""
    if name not in form:
        raise invalid(f"Missing required param: {name}.", "parameter_missing", name)
    return str(form[name])


def _listed(value: object) -> object:
    if not isinstance(value, dict):
        return value
    fields: Json = {name: _listed(item) for name, item in cast(Json, value).items()}
    return list(fields.values()) if fields and all(name.isdigit() for name in fields) else fields
