"""What a sink must do."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way out: a CloudEvents 1.0 structured-mode JSON body, and what a sink routes it by.

    `key` keeps the order: events of one key reach the receiver in the order in which they are given.
    """

    event_id: str
    type: str
    key: str
    merchant_id: str
    body: bytes


class SinkUnavailable(Exception):
    """The receiver did not acknowledge the batch; the same events must be given again."""


class Sink(Protocol):
    """A receiver of events. `name` is that of its cursors and metrics."""

    @property
    def name(self) -> str: ...

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Hand over a batch; return once all of it is acknowledged. Raises SinkUnavailable.

        Whenever it ends, what the receiver has or may still get of a key is a run from its first event on: none is
        sent while an earlier one of its key may have been refused. So the next try, which begins there again, keeps
        the order. Batches that share no key may be given at the same time. Cancelled, it sends nothing more.
        """
        ...

    async def close(self) -> None:
        """Finish what is in flight and hang up."""
        ...


@runtime_checkable
class Selective(Protocol):
    """A sink that may have nobody behind it: what happens then passes it by and is not given later either."""

    async def is_heard(self) -> bool:
        """Whether anybody listens now."""
        ...
