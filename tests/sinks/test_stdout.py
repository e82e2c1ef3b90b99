"""Standard output that nobody reads, or that has gone."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator

import pytest

from bezant.sinks.contract import SinkUnavailable
from bezant.sinks.stdout import StdoutSink
from tests.sinks.envelopes import envelope, in_turn, keys, said
from tests.support.events import names_of
from tests.support.receivers import PipeReader, narrow
from tests.support.waiting import wait_until_async


class Pipe:
    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        narrow(self.writing)
        self.reader = PipeReader(self.reading)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    for descriptor in (made.reading, made.writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


async def test_reader_that_stalls_holds_back_nobody_and_loses_nothing(pipe: Pipe) -> None:
    sink = StdoutSink(pipe.writing)
    batch = in_turn(keys(5), 40, size=100)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await sink.publish(batch)
    written = len(pipe.reader.read())

    async def has_ended() -> bool:
        return all(thread.name != "stdout" for thread in threading.enumerate())

    await wait_until_async(has_ended)
    assert len(pipe.reader.read()) == written, "it went on writing after it was told to stop"
    published = asyncio.create_task(sink.publish(batch))
    lines = await pipe.reader.receive(200)
    await published
    lines = pipe.reader.read().splitlines()
    assert names_of([line for line in lines if line]) == said(batch)


async def test_line_that_was_cut_short_is_ended_before_the_next_one(pipe: Pipe) -> None:
    sink = StdoutSink(pipe.writing)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await sink.publish([envelope("pay_1", 0, size=50_000)])
    published = asyncio.create_task(sink.publish([envelope("pay_2", 0)]))

    async def is_done() -> bool:
        pipe.reader.read()
        return published.done()

    await wait_until_async(is_done)
    cut, whole = pipe.reader.read().splitlines()
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(cut)
    assert json.loads(whole)["subject"] == "pay_2"


async def test_reader_that_has_gone_is_a_failure(pipe: Pipe) -> None:
    os.close(pipe.reading)
    with pytest.raises(SinkUnavailable, match="Broken pipe"):
        await StdoutSink(pipe.writing).publish([envelope("pay_1", 0)])


async def test_lines_of_two_sinks_on_one_pipe_do_not_cut_each_other(pipe: Pipe) -> None:
    batches = [in_turn(keys(3), 50, size=300) for _ in range(2)]
    published = asyncio.gather(*(StdoutSink(pipe.writing).publish(batch) for batch in batches))
    lines = await pipe.reader.receive(300)
    await published
    assert names_of(lines) == said([each for batch in batches for each in batch])
