"""What every sink must do, against real receivers."""

import asyncio

from tests.sinks.envelopes import in_turn, keys, said
from tests.support.events import names_of
from tests.support.receivers import Wire


async def test_every_event_arrives_byte_for_byte_and_those_of_a_key_in_order(wire: Wire) -> None:
    batch = in_turn(keys(40), 5)
    await wire.sink.publish(batch)
    arrived = await wire.receive(200)
    assert sorted(arrived) == sorted(envelope.body for envelope in batch)
    assert names_of(arrived) == said(batch)


async def test_batches_one_after_the_other_keep_the_order(wire: Wire) -> None:
    batch = in_turn(keys(7), 12)
    for begin in range(0, len(batch), 5):
        await wire.sink.publish(batch[begin : begin + 5])
    assert names_of(await wire.receive(84)) == said(batch)


async def test_batches_of_different_keys_may_be_given_at_the_same_time(wire: Wire) -> None:
    batches = [in_turn(keys(5), 20) for _ in range(8)]
    published = asyncio.gather(*map(wire.sink.publish, batches))
    arrived = await wire.receive(800)
    await published
    assert names_of(arrived) == said([each for batch in batches for each in batch])


async def test_an_empty_batch_is_done_at_once(wire: Wire) -> None:
    await wire.sink.publish([])


async def test_large_events_arrive_whole(wire: Wire) -> None:
    batch = in_turn(keys(3), 3, size=300_000)
    published = asyncio.create_task(wire.sink.publish(batch))
    arrived = await wire.receive(9)
    await published
    assert names_of(arrived) == said(batch)
    assert sorted(map(len, arrived)) == sorted(len(envelope.body) for envelope in batch)


async def test_another_sink_to_the_same_receiver_goes_on_after_one_is_closed(wire: Wire) -> None:
    batch = in_turn(keys(3), 4)
    await wire.sink.publish(batch[:6])
    await wire.sink.close()
    await wire.sink.close()
    wire.sink = wire.again()
    await wire.sink.publish(batch[6:])
    assert names_of(await wire.receive(12)) == said(batch)


async def test_a_closed_sink_may_be_used_again(wire: Wire) -> None:
    batch = in_turn(keys(2), 2)
    await wire.sink.publish(batch[:2])
    await wire.sink.close()
    await wire.sink.publish(batch[2:])
    assert names_of(await wire.receive(4)) == said(batch)


async def test_events_given_again_arrive_again_with_the_same_id(wire: Wire) -> None:
    batch = in_turn(keys(2), 2)
    await wire.sink.publish(batch)
    await wire.sink.publish(batch)
    arrived = await wire.receive(8)
    assert len(arrived) == 8
    assert names_of(arrived) == said(batch)
