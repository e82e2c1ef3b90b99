"""Everything the simulator holds at run time: the book, the keys, the journal behind them, and its settings."""

import time
from pathlib import Path
from typing import Final, Literal

import msgspec

from bezant_simulator.book import Book
from bezant_simulator.journal import FileJournal, Journal, MemoryJournal, Record
from bezant_simulator.keys import Keys, StoredAnswer
from bezant_simulator.model import Charge

HOLD_S: Final = 60.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set from outside. `outage`: what every call of the API gets instead of an answer, unexecuted.

    `visibility_lag_s`: how long after an operation a look-up by reference does not show it yet. `async_delay_s`: when
    what is pending is decided. `hold_s`: how long a call that is never answered keeps its connection.
    """

    visibility_lag_s: float = 0.0
    async_delay_s: float = 3.0
    hold_s: float = HOLD_S
    outage: Literal["timeout", "reset", "500", "rate_limit"] | None = None


class World:
    """The state, and the only way to change it for good."""

    def __init__(self, settings: Settings, state: Path | None) -> None:
        self.book = Book()
        self.keys = Keys()
        self.settings = settings
        self._settings_at_start = settings
        self._journal: Journal = MemoryJournal() if state is None else self._restore(FileJournal(state))

    @property
    def journal(self) -> Journal:
        """What answers must wait for."""
        return self._journal

    def now(self) -> float:
        """The simulator's clock, in seconds since 1970."""
        return time.time()

    def keep(self, charge: Charge | None = None, answer: StoredAnswer | None = None) -> None:
        """Makes a change last."""
        if answer is not None:
            self.keys.finish(answer)
        self._journal.append(Record(charge=charge, answer=answer))

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
        self.settings = self._settings_at_start
        self._journal.append(Record(reset=True))

    def _restore(self, journal: FileJournal) -> FileJournal:
        for record in journal.load():
            self._replay(record)
        charges = [Record(charge=charge) for charge in self.book.charges(self.now())]
        answers = [Record(answer=answer) for answer in self.keys.answers()]
        journal.start([*charges, *answers, *(Record(struck=key) for key in self.keys.struck())])
        return journal

    def _replay(self, record: Record) -> None:
        if record.reset:
            self.book.clear()
            self.keys.clear()
        if record.charge is not None:
            self.book.put(record.charge)
        if record.answer is not None:
            self.keys.finish(record.answer)
        if record.struck is not None:
            self.keys.strike(record.struck)
