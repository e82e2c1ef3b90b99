"""The payments of one process, joined: what `app.py` needs of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

from bezant.base import ids
from bezant.base.batch import Batcher, Item, Result, Run
from bezant.base.config import Settings
from bezant.base.db import WAIT_MAX_S, Database
from bezant.idempotency.claims import Reply
from bezant.inbox.contract import Reread
from bezant.jobs.schedule import Job
from bezant.payments.accept import Accept, Accepted, Terms
from bezant.payments.api import PaymentsApi
from bezant.payments.apply import Apply, Recording
from bezant.payments.attempts_api import AttemptsApi
from bezant.payments.changes import Ages
from bezant.payments.command import Command
from bezant.payments.facts import Facts
from bezant.payments.flow import Flow
from bezant.payments.jobs import payment_jobs
from bezant.payments.queries import Queries
from bezant.payments.render import ClientSecrets
from bezant.payments.resolve import Resolution
from bezant.payments.sync import Sync, SyncTerms
from bezant.psp.call import Caller
from bezant.psp.contract import Manifest, Outcome
from bezant.psp.log import keep_requests
from bezant.web import Route

LEASE_MARGIN_S: Final = 5.0
"""How long after a call's time-out its attempt may not be taken up by others."""


class Payments:
    """Commands, what becomes of them, and what PSPs tell of them. `committed` is told when events may be there."""

    def __init__(
        self,
        database: Database,
        caller: Caller,
        secrets: ClientSecrets,
        manifests: Mapping[str, Manifest],
        settings: Settings,
        *,
        committed: Callable[[], None],
    ) -> None:
        self._database = database
        self._caller = caller
        self._secrets = secrets
        lease_s = settings.psp_timeout_s + LEASE_MARGIN_S
        ages = Ages(settings.authorization_age_s, settings.action_age_s)
        terms = Terms(
            lease_s=lease_s,
            call_timeout_s=settings.psp_timeout_s,
            window_s=settings.authorize_window_s,
            ages=ages,
            manifests=manifests,
            own_psps=frozenset(caller.endpoints),
            secrets=secrets,
        )
        accept = Batcher[Command, Accepted](
            _and_then(Accept(database, terms), committed),
            lambda command: command.merchant_id,
            wait_max_s=WAIT_MAX_S,
            abandoned=lambda command, accepted: self.flow.withdraw(command, accepted),
        )
        self.record = Batcher[Recording, Reply](
            _and_then(Apply(database, ages, secrets), committed),
            lambda recording: recording.merchant_id,
            waiting_max=100_000,
        )
        self._sync = Sync(
            database,
            caller,
            self.record,
            SyncTerms(lease_s=lease_s, call_timeout_s=settings.psp_timeout_s, window_s=settings.authorize_window_s),
        )
        self.flow = Flow(database, accept, self.record, caller, self._sync, secrets)
        self.facts = Facts(ages, manifests)
        self.resolution = Resolution(database, self.record)
        self._queries = Queries(database, secrets)
        self._jobs = payment_jobs(database, self._sync, ages, settings.sync_interval_s)

    async def ask_again(self, psp: str, psp_account_id: UUID | None, reread: Reread) -> Outcome:
        """What the PSP says now of what it was told to have done. The exchange is logged with the attempt.

        Raises DatabaseLost where it cannot be.
        """
        called = await self._caller.fetch(psp, reread.ask, psp_account_id)
        attempt_id = ids.parse(ids.ATTEMPT, reread.ask.reference)
        if attempt_id is not None:
            _, merchant_id = reread.payment
            async with self._database.transaction() as transaction:
                await keep_requests(transaction, [(merchant_id, attempt_id, log) for log in called.requests])
        return called.outcome

    def routes(self) -> tuple[Route, ...]:
        """What is served."""
        return (
            *PaymentsApi(self.flow, self._queries, self._secrets).routes(),
            *AttemptsApi(self.resolution).routes(),
        )

    def jobs(self) -> Sequence[Job]:
        """What runs in the background."""
        return self._jobs

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is being looked at; call it once the jobs have ended."""
        await self._sync.drain(timeout_s)


def _and_then(run: Run[Item, Result], committed: Callable[[], None]) -> Run[Item, Result]:
    """`run`, and once it has committed, word of it."""

    async def run_and_tell(items: Sequence[Item]) -> Sequence[Result | BaseException]:
        results = await run(items)
        committed()
        return results

    return run_and_tell
