"""Envelopes with bodies that say what they are, and handing them over."""

import json
import secrets
from collections.abc import Iterator, Sequence
from itertools import count
from uuid import uuid4

from bezant.sinks.contract import Envelope, Sink, SinkUnavailable


def keys(number: int) -> list[str]:
    return [f"pay_{uuid4().hex}" for _ in range(number)]


def in_turn(of: Sequence[str], times: int, kind: str = "payment.captured", size: int = 0) -> list[Envelope]:
    """`times` envelopes of each key, the keys in turn."""
    numbers: dict[str, Iterator[int]] = {key: count() for key in of}
    return [envelope(key, next(numbers[key]), kind, size) for _ in range(times) for key in of]


def envelope(key: str, number: int, kind: str = "payment.captured", size: int = 0) -> Envelope:
    event_id = f"evt_{key}_{number}"
    fill = secrets.token_hex(size // 2)  # which cannot be compressed to less than half
    body = {"id": event_id, "subject": key, "data": {"name": f"{key}#{number}", "fill": fill}}
    return Envelope(event_id=event_id, type=kind, key=key, merchant_id="mer_1", body=json.dumps(body).encode())


def said(envelopes: Sequence[Envelope]) -> dict[str, list[str]]:
    """The names of each key in order."""
    found: dict[str, list[str]] = {}
    for each in envelopes:
        found.setdefault(each.key, []).append(json.loads(each.body)["data"]["name"])
    return found


async def insist(sink: Sink, batch: Sequence[Envelope], tries: int = 100) -> int:
    """Hand over a batch as the relay does: what fails is given again in halves. How many tries failed."""
    failed, begin, size = 0, 0, len(batch)
    while begin < len(batch):
        try:
            await sink.publish(batch[begin : begin + size])
        except SinkUnavailable:
            failed += 1
            assert failed < tries, f"not taken in {tries} tries"
            size = max(1, size // 2)
        else:
            begin, size = begin + size, 2 * size
    return failed
