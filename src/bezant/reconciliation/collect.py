"""Collects from the ledger what PSPs must still report: captures, refunds, refunds that failed, disputes.

Off the money path: journals are looked through behind the commit-safe horizon, each once, in the order of their
transactions. A payment costs nothing for being reconciled later.
"""

from typing import Final

from bezant.base.db import Database
from bezant.reconciliation import store

_WINDOW_TX: Final = 1_000
_WINDOW_MAX_TX: Final = 1 << 24
_ENOUGH: Final = 20_000
"""Operations that one statement should bring at most: within the statement time-out even on a busy machine."""


class Collect:
    """Brings what is new. Several processes may do it: the cursor's row lock lets one at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._window_tx = _WINDOW_TX

    async def __call__(self) -> int:
        """Collect until there is nothing more behind the horizon; how many operations it was."""
        collected = 0
        while True:
            async with self._database.transaction(bulk=True) as transaction:
                found, is_done = await store.collect(transaction, self._window_tx)
            collected += found
            if is_done:
                return collected
            if found > _ENOUGH:
                self._window_tx = max(1, self._window_tx // 2)
            elif found < _ENOUGH // 4:
                self._window_tx = min(_WINDOW_MAX_TX, self._window_tx * 4)
