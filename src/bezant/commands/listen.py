"""`bezant listen`: forwards a merchant's events to a local port during development."""

import asyncio
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.text import Text

from bezant.base.errors import OperatorError
from bezant.webhooks.listen import Forwarded, Listener, listening_secret
from bezant.webhooks.rules import is_event_filter


def listen(
    forward_to: Annotated[str, typer.Option(help="Where to, e.g. http://127.0.0.1:3000/webhooks.")],
    api: Annotated[str, typer.Option(help="Bezant's API.")] = "http://127.0.0.1:8080",
    events: Annotated[
        list[str] | None, typer.Option(help="An event type or all of a kind, e.g. payment.*; repeatable. Default: all.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="A secret key with events:read. Default: a line of stdin, or asked for.")
    ] = None,
) -> None:
    """Forward events from now on, signed as webhooks are, until Ctrl-C. What is not taken is not sent again."""
    for name, url in (("--forward-to", forward_to), ("--api", api)):
        if not _is_http(url):
            raise OperatorError(f"{name} takes a URL such as http://127.0.0.1:3000/webhooks.")
    for event_type in events or ():
        if not is_event_filter(event_type):
            raise OperatorError(f"{event_type!r} is neither an event type nor all of a kind as in payment.*.")
    key = (key or _asked_for()).strip()
    if not key.isascii() or not key.startswith("sk_"):
        raise OperatorError("A secret key begins with sk_; `bezant key create` makes one.")
    printer = _Printer()

    def ready() -> None:
        typer.echo(f"Forwarding {api} to {forward_to}\nSigning secret: {listening_secret(key)}")

    listener = Listener(api.rstrip("/"), key, forward_to, events or (), report=printer.event, away=printer.away)
    asyncio.run(_until_stopped(listener, ready))


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _asked_for() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Secret key", hide_input=True, err=True))
    return sys.stdin.readline()


async def _until_stopped(listener: Listener, ready: Callable[[], None]) -> None:
    work = asyncio.ensure_future(listener.run(ready))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return


class _Printer:
    """A line per event; a word when the API goes away, once."""

    def __init__(self) -> None:
        self._out = Console(highlight=False, soft_wrap=True)
        self._problems = Console(stderr=True, highlight=False, soft_wrap=True)
        self._is_away = False

    def event(self, forwarded: Forwarded) -> None:
        """One event."""
        self._is_away = False
        taken = forwarded.status is not None and 200 <= forwarded.status < 300
        outcome = str(forwarded.status) if forwarded.error is None else forwarded.error
        self._out.print(
            Text.assemble(
                f"{datetime.now(UTC):%H:%M:%S}  ",
                (f"{forwarded.type:<28}", "bold"),
                f"{forwarded.subject:<38}{forwarded.event_id:<38}",
                (f"{outcome:>4}", "green" if taken else "red"),
                f"  {forwarded.latency_ms} ms",
            )
        )

    def away(self, problem: str) -> None:
        """The API does not answer."""
        if not self._is_away:
            self._problems.print(Text(f"{problem}; trying again"))
        self._is_away = True
