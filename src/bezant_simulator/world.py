"""Everything the simulator holds at run time: the book, the keys, what is to be told, what was settled, the journal
behind them, and its settings.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from bezant_simulator.alarm import Alarm
from bezant_simulator.book import Book
from bezant_simulator.courier import Courier
from bezant_simulator.decisions import due_at
from bezant_simulator.events import Event, event_of
from bezant_simulator.journal import FileJournal, Journal, MemoryJournal, Record
from bezant_simulator.keys import Keys, StoredAnswer
from bezant_simulator.model import Charge, Delivery, Dispute, Operation
from bezant_simulator.settings import Settings
from bezant_simulator.settlement.closing import Terms
from bezant_simulator.settlement.model import Batch, Plan
from bezant_simulator.settlement.papers import Papers


class World:
    """The state, and the only way to change it for good."""

    def __init__(self, settings: Settings, state: Path | None, webhook_secrets: Sequence[str] = ()) -> None:
        self.book = Book(self)
        self.keys = Keys()
        self.papers = Papers()
        self.settings = settings
        self.courier = Courier(lambda: self.settings, webhook_secrets, self._told)
        self._alarm = Alarm(self._look_at)
        self._untold: list[Event] = []
        self._settings_at_start, self._secrets_at_start = settings, tuple(webhook_secrets)
        self._journal: Journal = MemoryJournal() if state is None else self._restore(FileJournal(state))

    @property
    def journal(self) -> Journal:
        """What answers must wait for."""
        return self._journal

    def now(self) -> float:
        """The simulator's clock, in seconds since 1970, as fine as it is shown: "until then" includes then."""
        return round(time.time(), 6)

    def start(self) -> None:
        """Begins what goes on by itself."""
        for charge in self.book.as_kept():
            self._wait_for_the_clock(charge)
        self._alarm.start()
        self.courier.start()

    async def close(self) -> None:
        """Ends it, and waits for the disk."""
        self._alarm.clear()
        await self.courier.close()
        await self._journal.close()

    def keep(self, charge: Charge | None = None, answer: StoredAnswer | None = None) -> list[Event]:
        """Makes a change last, and has what was to be told of it sent once it does."""
        events, self._untold = self._untold, []
        if answer is not None:
            self.keys.finish(answer)
        self._journal.append(Record(charge=charge, answer=answer, events=events))
        if charge is not None:
            self.papers.touch(charge.id)
            self._wait_for_the_clock(charge)
        if events:
            self._journal.when_durable(lambda: self.courier.post(events))
        return events

    def say(self, event: Event) -> None:
        """Sends an event about nothing in the book."""
        self._untold.append(event)
        self.keep()

    def settle(self, terms: Terms) -> Batch | None:
        """Closes a batch, of everything that has moved money by now."""
        self._alarm.ring()
        batch = self.papers.close(lambda charge_id: self.book.charge(charge_id, self.now()), terms)
        if batch is not None:
            self._journal.append(Record(batch=batch))
        return batch

    def plan(self, plan: Plan) -> None:
        """What is to be planted in the next batch."""
        self.papers.plan = plan
        self._journal.append(Record(plan=plan))

    def strike(self, key: str | None) -> bool:
        """Whether a fault strikes a call with this key."""
        if key is None:
            return True
        struck = self.keys.strike(key)
        if struck:
            self._journal.append(Record(struck=key))
        return struck

    def reset(self) -> None:
        """Forgets everything; the settings are those of the start again."""
        self.book.clear()
        self.keys.clear()
        self.papers.clear()
        self.courier.clear()
        self._alarm.clear()
        self.settings, self.courier.secrets = self._settings_at_start, self._secrets_at_start
        self._journal.append(Record(reset=True))

    def tell(self, charge: Charge, subject: Operation | Dispute, at: float) -> None:
        """Called by the book, before the change is kept."""
        if not self.courier.is_on:
            return
        event = event_of(charge, subject, at)
        if event.delivery is not Delivery.NEVER:
            self._untold.append(event)

    def moved(self, charge: Charge) -> None:
        """Called by the book."""
        self.keep(charge)

    def delay_s(self) -> float:
        """Called by the book."""
        return self.settings.async_delay_s

    def dispute_fee(self) -> int:
        """Called by the book."""
        return self.settings.dispute_fee

    def _look_at(self, charge_id: str) -> None:
        self.book.charge(charge_id, self.now())

    def _told(self, event_id: str) -> None:
        self._journal.append(Record(told=event_id))
        self._journal.when_durable(_nothing)

    def _wait_for_the_clock(self, charge: Charge) -> None:
        at = due_at(charge)
        if at is not None:
            self._alarm.at(at, charge.id)

    def _restore(self, journal: FileJournal) -> FileJournal:
        waiting: dict[str, Event] = {}
        for record in journal.load():
            self._replay(record, waiting)
        charges = [Record(charge=charge) for charge in self.book.as_kept()]
        answers = [Record(answer=answer) for answer in self.keys.answers()]
        events = [Record(events=[event]) for event in waiting.values()]
        batches = [Record(batch=batch) for batch in self.papers.batches()]
        plan = Record(plan=self.papers.plan)
        struck = (Record(struck=key) for key in self.keys.struck())
        journal.start([*charges, *answers, *struck, *events, *batches, plan])
        for charge in self.book.as_kept():
            self.papers.touch(charge.id)
        self.courier.restore(waiting.values())
        return journal

    def _replay(self, record: Record, waiting: dict[str, Event]) -> None:
        if record.reset:
            self.book.clear()
            self.keys.clear()
            self.papers.clear()
            waiting.clear()
        if record.charge is not None:
            self.book.put(record.charge)
        if record.answer is not None:
            self.keys.finish(record.answer)
        if record.struck is not None:
            self.keys.strike(record.struck)
        if record.batch is not None:
            self.papers.put(record.batch)
        if record.plan is not None:
            self.papers.plan = record.plan
        waiting.update((event.id, event) for event in record.events)
        if record.told is not None:
            waiting.pop(record.told, None)


def _nothing() -> None:
    """The disk has it; nobody waits for that."""
