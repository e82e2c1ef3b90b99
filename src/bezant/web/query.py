"""Reads query strings and paths: well formed, each parameter once, without card data."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from bezant.base.card_data import refuse_card_data, refuse_card_data_in_text
from bezant.base.errors import InvalidRequest
from bezant.web.pointer import refusal

T = TypeVar("T")

_PARAMETERS_MAX = 50
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def parse_query(raw: bytes) -> dict[str, str]:
    """The parameters of a query string; raises `invalid_request` if it is malformed or repeats a parameter."""
    if not raw:
        return {}
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_PARAMETERS_MAX)
    except ValueError:
        raise InvalidRequest(
            "invalid_request", f"The query string is not percent-encoded UTF-8 of at most {_PARAMETERS_MAX} parameters."
        ) from None
    for name, value in pairs:
        refuse_card_data({name: value})
        if "\0" in name or "\0" in value:
            raise InvalidRequest("invalid_request", "The character U+0000 is not accepted.")
    query = dict(pairs)
    if len(query) < len(pairs):
        raise InvalidRequest("invalid_request", "A query parameter may be sent only once.")
    return query


def refuse_card_data_in_path(path: str) -> None:
    """Raise `card_data_refused` if the path holds card data. The error never repeats the path."""
    refuse_card_data_in_text(path, "The path")


def decode_query(query: Mapping[str, str], type_: type[T]) -> T:
    """`query` as `type_`, texts turned into numbers and times (RFC 3339) where the type asks for them."""
    try:
        read = msgspec.convert(query, type_, strict=False)
    except msgspec.ValidationError as error:
        raise refusal(error, "The query string") from None
    for name, text in query.items():
        if isinstance(getattr(read, name, None), datetime) and not _RFC3339.fullmatch(text):
            raise InvalidRequest(
                "invalid_request", "A time is written like 2026-11-23T12:00:00Z, with its offset.", param=f"/{name}"
            )
    return read
