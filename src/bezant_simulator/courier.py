"""Delivers events by webhook: in the background, signed, tried again until the receiver answers 2xx.

Events of one charge are sent in their order, one at a time, unless a word asks for something else. While the receiver
cannot be reached at all, everything waits and one event at a time finds out whether it is back; an event that it
refuses is tried again later by itself and holds nobody back. At most `WAITING_MAX` events wait: beyond, the oldest are
given up. What waits is on disk with the state, so a restart sends it; what was told just before a crash may come twice.
"""

import asyncio
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from heapq import heappop, heappush
from typing import Any, Final, Literal

import aiohttp
import msgspec

from bezant_simulator.events import SIGNATURE_HEADER, Event, signature
from bezant_simulator.model import Delivery
from bezant_simulator.settings import Settings

WAITING_MAX: Final = 50_000
FIRST_WAIT_S: Final = 1.5
_REMEMBERED_MAX: Final = 1_000
_IN_FLIGHT_MAX: Final = 32
_TIMEOUT_S: Final = 10.0
_CONNECT_TIMEOUT_S: Final = 3.0
_PAUSE_MAX_S: Final = 5.0
_RETRY_MAX_S: Final = 600.0
_CLOSE_S: Final = 2.0
_TIMER_MIN_S: Final = 0.001

Answered = Literal["taken", "refused", "unreachable"]


class Sent(msgspec.Struct):
    """How far an event has come."""

    event: Event
    tries: int = 0
    refusals: int = 0
    told: bool = False
    last_answer: str | None = None


class Courier:
    """All events that wait, and those told last."""

    def __init__(self, settings: Callable[[], Settings], secrets: Sequence[str], told: Callable[[str], None]) -> None:
        self.secrets = tuple(secrets)
        self.given_up = 0
        self._settings = settings
        self._told = told
        self._waiting: OrderedDict[str, Sent] = OrderedDict()  # a plain dict is slow to lose its first entry
        self._remembered: deque[Sent] = deque(maxlen=_REMEMBERED_MAX)
        self._ready: deque[tuple[str, ...]] = deque()
        self._later: list[tuple[float, str]] = []
        self._held: dict[str, list[str]] = {}
        self._behind: dict[str, list[tuple[str, ...]]] = {}
        self._firsts: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._timer: asyncio.TimerHandle | None = None
        self._session: aiohttp.ClientSession | None = None
        self._paused_until = 0.0
        self._outages = 0

    @property
    def is_on(self) -> bool:
        """Whether there are webhooks: never without a secret to sign them with."""
        return bool(self.secrets)

    def restore(self, events: Iterable[Event]) -> None:
        """What waited when the last life ended."""
        self._waiting.update((event.id, Sent(event)) for event in events)

    def waiting(self) -> list[Event]:
        """The events that were not told yet, oldest first."""
        return [sent.event for sent in self._waiting.values()]

    def listing(self) -> list[Sent]:
        """Those told last and those that wait."""
        return [*self._remembered, *self._waiting.values()]

    def start(self) -> None:
        """Begins to deliver."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S),
            headers={"User-Agent": "bezant-simulator", "Content-Type": "application/json"},
            trust_env=False,
            auto_decompress=False,
        )
        for sent in list(self._waiting.values()):
            self._line_up(sent.event)
        self.wake()

    def post(self, events: Iterable[Event]) -> None:
        """Takes events that are on disk, or nowhere."""
        for event in events:
            self._waiting[event.id] = Sent(event)
            if self._session is not None:
                self._line_up(event)
        while len(self._waiting) > WAITING_MAX:
            self._give_up(next(iter(self._waiting)))
        self.wake()

    def redeliver(self, event_id: str) -> bool:
        """Tells an event again, as its PSP's dashboard can; False where it is not remembered."""
        sent = next((sent for sent in self._remembered if sent.event.id == event_id), None)
        if sent is None:
            return event_id in self._waiting
        self._remembered.remove(sent)
        self.post([sent.event])
        return True

    def after_first_try(self, event_ids: Sequence[str], act: Callable[[], None]) -> None:
        """Calls `act` once these events have been sent and answered, or failed, or take too long."""
        firsts = [self._firsts[event_id] for event_id in event_ids if event_id in self._firsts]
        if firsts:
            self._begin(self._wait_for(firsts, act))
        else:
            act()

    def clear(self) -> None:
        """Forgets everything; what is on its way arrives."""
        self._waiting.clear()
        self._remembered.clear()
        self._ready.clear()
        self._later.clear()
        self._held.clear()
        self._behind.clear()
        self._paused_until, self._outages, self.given_up = 0.0, 0, 0

    def wake(self) -> None:
        """Sends what is due, as far as it may."""
        if self._session is None or self._settings().webhook_url is None:
            return
        now = asyncio.get_running_loop().time()
        while self._later and self._later[0][0] <= now:
            self._ready.append((heappop(self._later)[1],))
        if self._later:
            self._set_timer(self._later[0][0])
        if now < self._paused_until:
            self._set_timer(self._paused_until)
            return
        in_flight_max = 1 if self._outages else _IN_FLIGHT_MAX
        while self._ready and self._in_flight < in_flight_max:
            event_ids = self._ready.popleft()
            sent = self._waiting.get(event_ids[0])
            charge_id = sent.event.charge if sent is not None else ""
            if charge_id in self._behind:
                self._behind[charge_id].append(event_ids)
                continue
            if charge_id:
                self._behind[charge_id] = []
            self._in_flight += 1
            self._begin(self._carry(event_ids, charge_id))

    def retarget(self) -> None:
        """The address may be another one now."""
        self._paused_until, self._outages = 0.0, 0
        self.wake()

    async def close(self) -> None:
        """Lets what is on its way arrive, within bounds."""
        session, self._session = self._session, None
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if session is not None:
            await session.close()

    def _line_up(self, event: Event) -> None:
        match event.delivery:
            case Delivery.SHUFFLED:
                held = self._held.setdefault(event.charge, [])
                if not held:
                    delay_s = self._settings().async_delay_s
                    asyncio.get_running_loop().call_later(delay_s, self._release, event.charge)
                held.append(event.id)
            case Delivery.FIRST if self._settings().webhook_url is not None:
                self._firsts[event.id] = asyncio.Event()
                self._in_flight += 1
                self._begin(self._carry((event.id,), ""))
            case _:
                self._ready.append((event.id,))

    def _release(self, charge_id: str) -> None:
        """What happened to a charge meanwhile goes out, the last first."""
        held = self._held.pop(charge_id, None)
        if held:
            self._ready.append(tuple(reversed(held)))
            self.wake()

    async def _carry(self, event_ids: tuple[str, ...], charge_id: str) -> None:
        """Sends events, and lets those through that came behind them."""
        left: tuple[str, ...] = ()
        try:
            left = await self._tell_in_turn(event_ids)
        finally:
            self._in_flight -= 1
            self._ready.extendleft(reversed(self._behind.pop(charge_id, ())))
            if left:
                self._ready.appendleft(left)
            self.wake()

    async def _tell_in_turn(self, event_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Sends events one after the other; what is left where the receiver cannot be reached."""
        for position, event_id in enumerate(event_ids):
            sent = self._waiting.get(event_id)
            answered = None if sent is None else await self._deliver(sent)
            if first := self._firsts.pop(event_id, None):
                first.set()
            if sent is None or self._waiting.get(event_id) is not sent:
                continue  # everything was forgotten meanwhile
            match answered:
                case "unreachable":
                    self._pause()
                    return event_ids[position:]
                case "refused":
                    self._try_later(sent)
                case _:
                    self._outages = 0
                    sent.told = True
                    self._remembered.append(self._waiting.pop(event_id))
                    self._told(event_id)
        return ()

    def _try_later(self, sent: Sent) -> None:
        self._outages = 0
        delay_s = min(self._settings().retry_s * 2 ** min(sent.refusals, 20), _RETRY_MAX_S)
        sent.refusals += 1
        heappush(self._later, (asyncio.get_running_loop().time() + delay_s, sent.event.id))

    async def _deliver(self, sent: Sent) -> Answered:
        sent.tries += 1
        times = 2 if sent.event.delivery is Delivery.TWICE else 1
        answers = await asyncio.gather(*(self._send(sent) for _ in range(times)))
        if "unreachable" in answers:
            return "unreachable"
        return "refused" if "refused" in answers else "taken"

    async def _send(self, sent: Sent) -> Answered:
        url = self._settings().webhook_url
        if self._session is None or url is None:
            return "unreachable"
        body = sent.event.body.encode()
        headers = {SIGNATURE_HEADER: signature(self.secrets, body, time.time())}
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                sent.last_answer = f"HTTP {response.status}"
                return "taken" if 200 <= response.status < 300 else "refused"
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            sent.last_answer = type(error).__name__
            return "unreachable"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            sent.last_answer = type(error).__name__
            return "refused"

    async def _wait_for(self, firsts: Sequence[asyncio.Event], act: Callable[[], None]) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(first.wait() for first in firsts)), FIRST_WAIT_S)
        act()

    def _pause(self) -> None:
        """Nobody is there: wait, longer each time. What fails at the same moment counts once."""
        now = asyncio.get_running_loop().time()
        if now < self._paused_until:
            return
        delay_s = min(self._settings().retry_s * 2 ** min(self._outages, 20), _PAUSE_MAX_S)
        self._outages += 1
        self._paused_until = now + delay_s

    def _give_up(self, event_id: str) -> None:
        if not self.given_up:
            print(f"bezant simulator: over {WAITING_MAX} webhooks wait; the oldest are given up", file=sys.stderr)
        self.given_up += 1
        del self._waiting[event_id]
        while self._ready and self._waiting.keys().isdisjoint(self._ready[0]):
            self._ready.popleft()
        self._told(event_id)

    def _set_timer(self, at: float) -> None:
        """Wakes at that time of the loop. A timer may go off a moment early: then it is set once more."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(max(_TIMER_MIN_S, at - loop.time()), self.wake)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
