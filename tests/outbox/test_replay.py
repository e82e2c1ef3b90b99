"""Telling a sink again what it was told, and showing how far each is: the functions and the commands."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from bezant.base import ids
from bezant.base.db import Database
from bezant.outbox.metrics import RelayMetrics
from bezant.outbox.relay import Relay, RelayTerms
from bezant.outbox.replay import Progress, Wanted, replay
from bezant.outbox.status import by_sink, cursors
from bezant.sinks.contract import Envelope, SinkUnavailable
from tests.conftest import MASTER_KEY
from tests.support.brokers.endpoints import Services
from tests.support.events import Author, KeepingSink, names_of
from tests.support.processes import bezant
from tests.support.receivers import kafka_wire

EVER = Wanted(created_from=datetime(2020, 1, 1, tzinfo=UTC), created_to=datetime(2100, 1, 1, tzinfo=UTC))


async def told(database: Database, sink: KeepingSink) -> None:
    """The relay tells everything, and the sink forgets it."""
    relay = Relay(database, (sink,), RelayMetrics(), RelayTerms(gather_s=0.0))
    while await relay.run(sink):
        continue
    sink.taken.clear()


async def replayed(database: Database, sink: KeepingSink, wanted: Wanted) -> list[Progress]:
    seen: list[Progress] = []
    done = await replay(database, sink, wanted, lambda now: seen.append(msgspec.structs.replace(now)), 0.0)
    assert seen[-1] == done
    return seen


async def test_history_is_told_again_with_the_same_ids_in_order_per_payment(database: Database, author: Author) -> None:
    sink = KeepingSink()
    payments = [ids.new_id() for _ in range(30)]
    for _ in range(4):
        await author.say(*payments, None, times=9)
    relay = Relay(database, (sink,), RelayMetrics(), RelayTerms(gather_s=0.0))
    while await relay.run(sink):
        continue
    first = {envelope.event_id: envelope.body for envelope in sink.taken}
    sink.taken.clear()
    seen = await replayed(database, sink, EVER)
    assert (seen[0].sent, seen[0].total) == (0, 31 * 36)
    assert seen[-1].sent == 31 * 36
    assert names_of(sink.bodies()) == author.said
    assert {envelope.event_id: envelope.body for envelope in sink.taken} == first


async def test_what_the_sink_was_not_told_yet_is_left_to_the_relay(database: Database, author: Author) -> None:
    """Else a later event of a payment would come before an earlier one."""
    sink = KeepingSink()
    payment = ids.new_id()
    await author.say(payment, times=2)
    await told(database, sink)
    await author.say(payment)
    (_, done) = await replayed(database, sink, EVER)
    assert (done.sent, done.total) == (2, 2)
    other = KeepingSink("never-told")
    assert (await replayed(database, other, EVER))[-1].total == 0
    assert other.taken == []


async def test_only_what_is_asked_for_is_told_again(database: Database, author: Author) -> None:
    sink = KeepingSink()
    another = Author(database)
    payment = ids.new_id()
    await author.say(payment, kind="payment.captured")
    await author.say(payment, kind="payment.capture_failed")
    await author.say(payment, kind="refund.created")
    await another.say(ids.new_id(), kind="payment.captured")
    await told(database, sink)

    async def types(wanted: Wanted) -> list[str]:
        sink.taken.clear()
        await replayed(database, sink, wanted)
        return sorted(envelope.type for envelope in sink.taken)

    def asked(**changes: object) -> Wanted:
        return msgspec.structs.replace(EVER, **changes)

    assert await types(asked(types=["payment.captured"])) == ["payment.captured"] * 2
    assert await types(asked(types=["payment.captureX"])) == []
    assert await types(asked(types=["payment_captured"])) == []
    assert await types(asked(types=["payment.*"])) == ["payment.capture_failed"] + ["payment.captured"] * 2
    assert await types(asked(types=["refund.*", "payment.capture_failed"])) == [
        "payment.capture_failed",
        "refund.created",
    ]
    assert await types(asked(merchant_id=another.merchant_id)) == ["payment.captured"]
    assert await types(asked(created_to=datetime.now(UTC) - timedelta(minutes=5))) == []
    assert await types(asked(created_from=datetime.now(UTC) + timedelta(minutes=5))) == []
    assert len(await types(asked(created_from=datetime.now(UTC) - timedelta(minutes=5)))) == 4


async def test_sink_that_fails_now_and_then_gets_all_and_one_that_is_away_is_an_error(
    database: Database, author: Author
) -> None:
    class Moody(KeepingSink):
        left = 2

        async def publish(self, envelopes: Sequence[Envelope]) -> None:
            if self.left:
                self.left -= 1
                raise SinkUnavailable("not now")
            await super().publish(envelopes)

    sink = Moody("kept")
    await author.say(ids.new_id(), times=3)
    sink.left = 0
    await told(database, sink)
    sink.left = 2
    assert (await replayed(database, sink, EVER))[-1].sent == 3
    sink.left = 100
    with pytest.raises(SinkUnavailable, match="not now"):
        await replayed(database, sink, EVER)


async def test_commands_show_how_far_a_sink_is_and_tell_it_again(
    database: Database, database_url: str, author: Author, tmp_path: Path, brokers: Services
) -> None:
    payments = [ids.new_id() for _ in range(20)]
    await author.say(*payments, times=3)
    async with kafka_wire(brokers.kafka_servers) as wire:
        relay = Relay(database, (wire.sink,), RelayMetrics(), RelayTerms(gather_s=0.0))
        while await relay.run(wire.sink):
            continue
        await author.say(payments[0])
        env = {
            "BEZANT_HOME": str(tmp_path / "home"),
            "BEZANT_DATABASE_URL": database_url,
            "BEZANT_MASTER_KEY": MASTER_KEY,
            "BEZANT_SINK_KAFKA_SERVERS": brokers.kafka_servers,
            "BEZANT_SINK_KAFKA_TOPIC": wire.address,
            "COLUMNS": "160",
        }

        def run(*arguments: str, status: int = 0) -> str:
            with bezant("events", *arguments, env=env) as process:
                assert process.wait(60) == status, process.output()
                return process.output()

        (line,) = msgspec.json.decode(run("status", "--json"))
        assert (line["sink"], line["delivered"], line["waiting"], line["failing"]) == ("kafka", 60, 1, 0)
        shards = msgspec.json.decode(run("status", "--json", "--shards"))
        assert len(shards) == 16
        assert sum(shard["delivered"] for shard in shards) == 60
        assert "kafka" in run("status")
        assert "kafka" in run("status", "--shards")
        said = run("replay", "--sink", "kafka")
        assert "60 events were sent to kafka again" in said
        assert "60/60" in said
        arrived = await wire.receive(120)
        assert len(arrived) == 120
        assert names_of(arrived) == {key: names[:3] for key, names in author.said.items()}
        assert "no sink 'rabbitmq'" in run("replay", "--sink", "rabbitmq", "--from", "2020-01-01", status=1)
        assert "is not a time" in run("replay", "--sink", "kafka", "--from", "yesterday", status=1)
        assert "There is no merchant" in run(
            "replay", "--sink", "kafka", "--from", "2020-01-01", "--merchant", "acme", status=1
        )


async def test_status_says_what_is_wrong_and_how_much_waits(database: Database, author: Author) -> None:
    sink = KeepingSink()
    payment = ids.new_id()
    await author.say(payment, times=12)
    sink.refused.add(ids.show(ids.PAYMENT, payment))
    relay = Relay(database, (sink,), RelayMetrics(), RelayTerms(gather_s=0.0))
    await relay.run(sink)
    (view,) = by_sink(await cursors(database))
    assert (view.delivered, view.waiting, view.failing) == (0, 12, 1)
    assert view.last_error is not None
    assert "is refused" in view.last_error
    assert view.next_try_at is not None
    assert 0 < view.lag_s < 60
    (view,) = by_sink(await cursors(database, ["kept"], count_max=5))
    assert view.waiting == 5
    assert await cursors(database, ["another"]) == []
