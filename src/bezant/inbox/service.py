"""The inbox of one process, joined: what `app.py` needs of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bezant.base.db import Database
from bezant.inbox.api import InboxApi
from bezant.inbox.apply import Apply
from bezant.inbox.contract import Accounts, AskPsp, Handlers
from bezant.inbox.jobs import Bell, inbox_jobs
from bezant.inbox.metrics import InboxMetrics
from bezant.inbox.receive import Receive
from bezant.inbox.records import Records
from bezant.jobs.schedule import Job
from bezant.psp.notices import Webhooks
from bezant.web import Route

APPLY_BATCH_MAX: Final = 64
"""Small enough that whoever sends a webhook meanwhile is answered within 20 ms by the same process."""

_LEASE_MARGIN_S: Final = 20.0


class Inbox:
    """Receives, applies, shows.

    `webhooks`: how each PSP's are read; also of those that are no longer set up. `committed` is told when events were
    applied, so that what they made known can go on at once.
    """

    def __init__(
        self,
        database: Database,
        *,
        accounts: Accounts,
        webhooks: Mapping[str, Webhooks],
        handlers: Handlers,
        ask: AskPsp,
        ask_timeout_s: float,
        rate_per_s: int,
        retention_days: int,
        committed: Callable[[], None] = lambda: None,
        batch_max: int = APPLY_BATCH_MAX,
    ) -> None:
        self._bell = Bell()
        self.metrics = InboxMetrics()
        self.records = Records(database)
        self._apply = Apply(
            database,
            webhooks,
            handlers,
            ask,
            self.metrics,
            batch_max=batch_max,
            lease_s=ask_timeout_s + _LEASE_MARGIN_S,
            more_is_due=self._bell.hurry,
            committed=committed,
        )
        receive = Receive(database, accounts, self.metrics, self._bell.ring, rate_per_s=rate_per_s)
        body_max = max((each.body_max_bytes for each in webhooks.values()), default=0)
        self._api = InboxApi(receive, self.records, self._bell.ring, body_max)
        self._jobs = inbox_jobs(database, self._apply, self._bell, handlers, self.metrics, retention_days)

    def routes(self) -> tuple[Route, ...]:
        """What is served."""
        return self._api.routes()

    def jobs(self) -> Sequence[Job]:
        """What runs in the background."""
        return self._jobs

    async def drain(self, timeout_s: float) -> None:
        """Wait for what PSPs are being asked; call it once the jobs have ended and before the database closes."""
        await self._apply.rereads.drain(timeout_s)
