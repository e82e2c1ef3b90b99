"""A sink without listeners costs nothing, and whoever begins to listen misses nothing from then on."""

from bezant.base import ids
from bezant.base.db import Database
from bezant.outbox.metrics import RelayMetrics
from bezant.outbox.relay import Relay, RelayTerms
from tests.support.events import Author, KeepingSink

AT_ONCE = RelayTerms(gather_s=0.0, listeners_every_s=0.0)


class SelectiveSink(KeepingSink):
    """`while_asked`: what happens just before the answer is given."""

    def __init__(self, author: Author) -> None:
        super().__init__()
        self.author = author
        self.heard = False
        self.while_asked: str | None = None

    async def is_heard(self) -> bool:
        if self.while_asked is not None:
            kind, self.while_asked = self.while_asked, None
            await self.author.say(ids.new_id(), kind=kind)
        return self.heard


async def types_told(relay: Relay, sink: SelectiveSink) -> list[str]:
    while await relay.run(sink):
        pass
    return [envelope.type for envelope in sink.taken]


async def test_what_is_said_while_nobody_listens_passes_by(database: Database, author: Author) -> None:
    sink = SelectiveSink(author)
    relay = Relay(database, [sink], RelayMetrics(), AT_ONCE)
    await author.say(*(ids.new_id() for _ in range(40)), kind="early")
    assert await types_told(relay, sink) == []
    sink.heard = True
    await author.say(ids.new_id(), kind="late")
    assert await types_told(relay, sink) == ["late"]


async def test_what_is_said_while_listeners_are_looked_for_does_not_pass_by(database: Database, author: Author) -> None:
    sink = SelectiveSink(author)
    relay = Relay(database, [sink], RelayMetrics(), AT_ONCE)
    await author.say(ids.new_id(), kind="early")
    sink.while_asked = "just now"
    assert await types_told(relay, sink) == []
    sink.heard = True
    assert await types_told(relay, sink) == ["just now"]


async def test_cursors_only_move_on(database: Database, author: Author) -> None:
    sink = SelectiveSink(author)
    sink.heard = True
    relay = Relay(database, [sink], RelayMetrics(), AT_ONCE)
    await author.say(ids.new_id(), kind="told")
    assert await types_told(relay, sink) == ["told"]
    sink.heard = False
    assert await types_told(relay, sink) == ["told"]
    sink.heard = True
    assert await types_told(relay, sink) == ["told"]
