"""The published schemas: one for each type of event, true of every event, and only ever added to."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from bezant.base import ids
from bezant.base.db import Database
from bezant.outbox.append import shard_of
from bezant.outbox.envelope import SCHEMA_PREFIX
from bezant.outbox.metrics import RelayMetrics
from bezant.outbox.relay import Relay, RelayTerms
from tests.support.events import Author, KeepingSink
from tests.support.schemas import ENVELOPE, FOLDER, Field, complaints, fields, schemas

SOURCES = Path(__file__).parents[2] / "src/bezant"
PUBLISHED = Path(__file__).with_name("published_fields.txt")
EVENT_TYPE = re.compile(r"(payment|refund|dispute|payout|webhook_endpoint)\.[a-z_]+")


def promised() -> dict[str, dict[str, Field]]:
    """What was published at any time: lines of schema, field, types, and whether it is always there."""
    found: dict[str, dict[str, Field]] = {}
    for line in PUBLISHED.read_text().splitlines():
        kind, path, types, presence = line.split()
        found.setdefault(kind, {})[path] = Field(frozenset(types.split("|")), presence == "always")
    return found


def as_lines(kind: str, found: dict[str, Field]) -> Iterator[str]:
    for path, field in found.items():
        yield f"{kind} {path} {'|'.join(sorted(field.types))} {'always' if field.is_required else 'sometimes'}"


def types_in_the_source() -> set[str]:
    """Names of events outside the connectors, which know the PSPs' names of theirs."""
    return {
        node.value
        for path in SOURCES.rglob("*.py")
        if "connectors" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and EVENT_TYPE.fullmatch(node.value)
    }


def test_every_type_of_event_has_a_schema_and_every_schema_a_type() -> None:
    assert types_in_the_source() == set(schemas()) - {ENVELOPE}


@pytest.mark.parametrize("kind", sorted(schemas()))
def test_a_schema_is_valid_says_what_it_is_and_stands_alone(kind: str) -> None:
    schema = schemas()[kind]
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"{SCHEMA_PREFIX}{kind}.json"
    assert schema["description"]
    assert all(reference.startswith("#/$defs/") for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(schema)))
    assert "additionalProperties" not in json.dumps(schema), "readers ignore fields that they do not know"


@pytest.mark.parametrize("kind", sorted(promised()))
def test_what_was_published_stays(kind: str) -> None:
    assert kind in schemas(), f"{kind} was published and has no schema any more"
    now = fields(schemas()[kind])
    for path, before in promised()[kind].items():
        assert path in now, f"{kind}: {path} has vanished"
        assert now[path].types <= before.types, f"{kind}: {path} may now be {set(now[path].types - before.types)}"
        assert now[path].is_required or not before.is_required, f"{kind}: {path} is not always there any more"


def test_what_is_new_is_written_down_as_published() -> None:
    kept = set(PUBLISHED.read_text().splitlines())
    new = [
        line
        for kind, schema in schemas().items()
        for line in as_lines(kind, fields(schema))
        if line not in kept and line.split()[1] not in promised().get(kind, {})
    ]
    assert new == [], f"add these lines to {PUBLISHED.name}"


def test_a_field_that_vanishes_widens_or_becomes_optional_would_be_seen() -> None:
    schema = schemas()["payment.captured"]
    assert fields(schema)["amount.value"] == Field(frozenset({"integer"}), True)
    assert fields(schema)["psp_reference"] == Field(frozenset({"string", "null"}), True)
    assert fields(schemas()["refund.failed"])["refund.failure.code"] == Field(frozenset({"string"}), False)


def test_a_field_that_is_not_published_is_a_complaint() -> None:
    data = {"webhook_endpoint_id": f"whe_{'0' * 32}"}
    assert complaints("webhook_endpoint.enabled", data) == []
    assert "more" in complaints("webhook_endpoint.enabled", {**data, "more": 1})[0]
    assert complaints("webhook_endpoint.enabled", {}) != []
    assert complaints("payment.vanished", {}) == [f"payment.vanished has no schema in docs/schemas/{FOLDER.name}"]


async def test_the_envelope_is_a_cloudevent_as_published_and_the_same_each_time(
    database: Database, author: Author
) -> None:
    sink = KeepingSink()
    payment = ids.new_id()
    await author.say(payment, None, payment)
    for name in ("one", "two"):
        sink.name = name
        relay = Relay(database, (sink,), RelayMetrics(), RelayTerms(gather_s=0.0))
        assert await relay.run(sink) == 3
    first, second = sink.taken[:3], sink.taken[3:]
    assert sorted(each.body for each in first) == sorted(each.body for each in second)
    merchant = ids.show(ids.MERCHANT, author.merchant_id)
    for each in first:
        body = msgspec.json.decode(each.body)
        assert complaints(ENVELOPE, body) == []
        assert (body["id"], body["type"], body["subject"]) == (each.event_id, each.type, each.key)
        assert body["merchantid"] == each.merchant_id == merchant
        assert body["source"] == f"/merchants/{merchant}"
        assert body["dataschema"] == f"{SCHEMA_PREFIX}{each.type}.json"
    of_payment = [each for each in first if each.key == ids.show(ids.PAYMENT, payment)]
    sequences = [msgspec.json.decode(each.body)["sequence"] for each in of_payment]
    assert len(sequences) == 2
    assert sequences == sorted(sequences)
    assert {each.key for each in first} == {merchant, ids.show(ids.PAYMENT, payment)}


def test_what_is_of_no_payment_is_in_its_merchants_shard() -> None:
    merchant_id, payment_id = ids.new_id(), ids.new_id()
    assert shard_of(merchant_id, None) == merchant_id.int % 16
    assert shard_of(merchant_id, payment_id) == payment_id.int % 16
