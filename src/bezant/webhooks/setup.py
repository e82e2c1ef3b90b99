"""Everything about merchant webhooks that runs in one process, joined."""

from collections.abc import Sequence

from bezant.base.batch import Batcher
from bezant.base.db import Database
from bezant.base.sealed import Sealer
from bezant.jobs.schedule import Job
from bezant.web import Route
from bezant.webhooks.addresses import Network
from bezant.webhooks.api import WebhooksApi
from bezant.webhooks.deliveries import Deliveries
from bezant.webhooks.delivery.backlog import Backlog
from bezant.webhooks.delivery.deliver import Deliverer
from bezant.webhooks.delivery.fan_out import FanOut
from bezant.webhooks.delivery.jobs import webhook_jobs
from bezant.webhooks.delivery.metrics import DeliveryMetrics
from bezant.webhooks.delivery.record import Record, Tried
from bezant.webhooks.endpoints import Endpoints
from bezant.webhooks.events import WebhookEventsApi
from bezant.webhooks.guard import Guard, Lookup, SystemLookup
from bezant.webhooks.rules import IN_FLIGHT_MAX
from bezant.webhooks.send import TIMEOUT_S, Sender

_CHECKS_MAX = 16
_RECORDS_WAITING_MAX = 2 * IN_FLIGHT_MAX


class MerchantWebhooks:
    """The API's routes, the relay's sink, the jobs, the metrics.

    `allowed`: networks that are not public and may be sent to all the same, also without TLS.
    """

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        *,
        allowed: Sequence[Network] = (),
        retention_days: int = 30,
        timeout_s: float = TIMEOUT_S,
        lookup: Lookup | None = None,
    ) -> None:
        self._database = database
        # Apart, so that nobody who names hosts to the API whose name servers are silent holds up what is delivered.
        self._lookups = SystemLookup(IN_FLIGHT_MAX), SystemLookup(_CHECKS_MAX)
        guard, checking = (Guard(allowed, lookup or own) for own in self._lookups)
        self.metrics = DeliveryMetrics()
        record = Batcher[Tried, None](
            Record(database), lambda tried: tried.claimed.merchant_id, waiting_max=_RECORDS_WAITING_MAX
        )
        self.deliverer = Deliverer(database, Sender(guard, timeout_s=timeout_s), sealer, record, self.metrics)
        self.sink = FanOut(database, self.deliverer.wake)
        self._endpoints = Endpoints(database, sealer, checking)
        self._backlog = Backlog(database, retention_days)

    def routes(self) -> tuple[Route, ...]:
        """The HTTP calls."""
        api = WebhooksApi(self._database, self._endpoints, Deliveries(self._database), self.deliverer.wake.set)
        return (*api.routes(), *WebhookEventsApi(self._database).routes())

    def jobs(self) -> Sequence[Job]:
        """What runs in the background."""
        return webhook_jobs(self.deliverer, self._backlog)

    async def drain(self, timeout_s: float) -> None:
        """After the jobs have ended: wait for the requests that are being made."""
        await self.deliverer.drain(timeout_s)
        for lookup in self._lookups:
            lookup.close()
