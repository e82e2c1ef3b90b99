"""The disputes of one process, joined: what `app.py` needs of them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal
from uuid import UUID

from bezant.audit.record import By, record
from bezant.base import ids
from bezant.base.db import Database
from bezant.base.errors import NotFound
from bezant.disputes import store
from bezant.disputes.act import Acts, Verb
from bezant.disputes.api import DisputesApi
from bezant.disputes.apply import Hear
from bezant.disputes.jobs import dispute_jobs
from bezant.disputes.look import Looks
from bezant.disputes.queries import Queries
from bezant.disputes.render import DisputeView
from bezant.inbox.contract import Handler
from bezant.jobs.schedule import Job
from bezant.psp.call import Caller
from bezant.psp.connector import Connector
from bezant.web import Route

Bearer = Literal["merchant", "platform"]


class Disputes:
    """Notices, commands, calls and jobs. `committed` is told when events may be there."""

    def __init__(
        self,
        database: Database,
        caller: Caller,
        connectors: Iterable[Connector],
        *,
        psp_timeout_s: float,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        connectors = tuple(connectors)
        askable = [c.manifest.name for c in connectors if c.fetch_dispute is not None]
        answering = [c.manifest.name for c in connectors if c.defends]
        self._database = database
        self.acts = Acts(database, caller, answering, timeout_s=psp_timeout_s)
        self.handler: Handler = Hear(askable)
        self.looks = Looks(database, caller, askable, timeout_s=psp_timeout_s)
        self.queries = Queries(database)
        self._api = DisputesApi(database, self.queries, self.acts, committed)
        self._jobs = dispute_jobs(database, self.acts, self.looks, committed)

    def routes(self) -> tuple[Route, ...]:
        """What is served."""
        return self._api.routes()

    def jobs(self) -> Sequence[Job]:
        """What runs in the background."""
        return self._jobs

    async def act(self, dispute_id: UUID, verb: Verb, by: By) -> DisputeView:
        """What a person does for a merchant; written down. Raises NotFound, Busy, Conflict, Unprocessable."""
        async with self._database.transaction() as transaction:
            ready = await self.acts.begin(transaction, None, dispute_id, verb, by)
        await self.acts.perform(ready)
        return await self.queries.show(None, dispute_id)

    async def set_policy(self, merchant_id: UUID, loss: Bearer | None, fee: Bearer | None, by: By) -> tuple[str, str]:
        """Who bears what a merchant loses by disputes, and the PSP's fees, from now on; written down.

        What holds then, of losses and of fees. Raises NotFound.
        """
        async with self._database.transaction() as transaction:
            policy = await store.set_policy(transaction.connection, merchant_id, loss, fee)
            if policy is None:
                raise NotFound("There is no such merchant.")
            subject = ids.show(ids.MERCHANT, merchant_id)
            detail = {"loss": policy[0], "fee": policy[1]}
            await record(transaction, by, "set_dispute_policy", subject, merchant_id, detail)
        return policy
