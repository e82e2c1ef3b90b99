"""Envelopes with bodies that say what they are."""

import json
from collections.abc import Iterator, Sequence
from itertools import count
from uuid import uuid4

from bezant.sinks.contract import Envelope


def keys(number: int) -> list[str]:
    return [f"pay_{uuid4().hex}" for _ in range(number)]


def in_turn(of: Sequence[str], times: int, kind: str = "payment.captured", size: int = 0) -> list[Envelope]:
    """`times` envelopes of each key, the keys in turn."""
    numbers: dict[str, Iterator[int]] = {key: count() for key in of}
    return [envelope(key, next(numbers[key]), kind, size) for _ in range(times) for key in of]


def envelope(key: str, number: int, kind: str = "payment.captured", size: int = 0) -> Envelope:
    event_id = f"evt_{key}_{number}"
    body = {"id": event_id, "subject": key, "data": {"name": f"{key}#{number}", "fill": "x" * size}}
    return Envelope(event_id=event_id, type=kind, key=key, merchant_id="mer_1", body=json.dumps(body).encode())


def said(envelopes: Sequence[Envelope]) -> dict[str, list[str]]:
    """The names of each key in order."""
    found: dict[str, list[str]] = {}
    for each in envelopes:
        found.setdefault(each.key, []).append(json.loads(each.body)["data"]["name"])
    return found
