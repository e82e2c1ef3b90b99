"""The composition root: joins everything once, at the start."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from litestar import Litestar
from prometheus_client import CollectorRegistry

from bezant import __version__
from bezant.base.config import Settings
from bezant.base.db import Database
from bezant.base.failpoints import arm
from bezant.base.garbage import collect_garbage_seldom
from bezant.base.kept_secret import kept_webhook_secrets
from bezant.base.log import configure
from bezant.base.master_key import LOOKED_AT_EVERY_S
from bezant.base.migrate import require_current
from bezant.base.postgres import database_url
from bezant.base.sealed import Sealer
from bezant.disputes.service import Disputes
from bezant.idempotency.jobs import idempotency_jobs
from bezant.inbox.contract import Account, Handlers
from bezant.inbox.service import Inbox
from bezant.jobs.database import database_jobs
from bezant.jobs.schedule import Job, Schedule
from bezant.jobs.statistics import statistics_jobs
from bezant.ledger.api import LedgerApi
from bezant.merchants.service import Merchants
from bezant.outbox.api import EventsApi
from bezant.outbox.jobs import relay_jobs
from bezant.outbox.metrics import RelayMetrics
from bezant.outbox.relay import Relay
from bezant.payments.render import ClientSecrets
from bezant.payments.service import Payments
from bezant.psp.accounts import REFRESHED_EVERY_S, Accounts
from bezant.psp.call import Caller, Endpoint, HttpTransport, Transport
from bezant.psp.notices import DisputeNotice, Notice
from bezant.psp.pulling import HttpDownload, Pulls
from bezant.psp.registry import endpoints
from bezant.reconciliation.service import Reconciliation
from bezant.sinks.configured import configured_sinks
from bezant.supported import CONNECTORS, REPORTS
from bezant.web import build
from bezant.webhooks.setup import MerchantWebhooks

_DRAIN_S = 15.0


class Services:
    """Everything that runs in one process, joined."""

    def __init__(self, settings: Settings, url: str, transport: Transport) -> None:
        self.url = url
        self.metrics = CollectorRegistry()
        self.database = Database(url, connections_max=settings.database_pool_max)
        database = self.database
        self.transport = transport
        self.endpoints: Mapping[str, Endpoint] = endpoints(
            CONNECTORS, settings.psp_urls, settings.psp_credentials, kept_webhook_secrets(settings.home)
        )
        master_keys = settings.master_keys()
        self.sealer = Sealer(master_keys)
        self.accounts = Accounts(database, CONNECTORS, self.endpoints, settings.psp_urls, self.sealer)
        self.caller = Caller(
            self.endpoints,
            transport,
            timeout_s=settings.psp_timeout_s,
            concurrency=settings.psp_concurrency,
            accounts=self.accounts,
        )
        relay_metrics = RelayMetrics(self.metrics)
        self.webhooks = MerchantWebhooks(
            database,
            self.sealer,
            allowed=settings.webhooks_allow_networks,
            retention_days=settings.webhooks_retention_days,
            timeout_s=settings.webhooks_timeout_s,
        )
        self.relay = Relay(database, (*configured_sinks(settings), self.webhooks.sink), relay_metrics)
        manifests = {connector.manifest.name: connector.manifest for connector in CONNECTORS}
        secrets = ClientSecrets(master_keys)
        self.payments = Payments(database, self.caller, secrets, manifests, settings, committed=self.relay.wake)
        self.disputes = Disputes(
            database, self.caller, CONNECTORS, psp_timeout_s=settings.psp_timeout_s, committed=self.relay.wake
        )
        self.merchants = Merchants(database, settings.rate_limit_per_s)
        handlers: Handlers = {Notice: self.payments.facts, DisputeNotice: self.disputes.handler}
        pulls = Pulls(self.endpoints, HttpDownload(), timeout_s=settings.psp_timeout_s)
        self.reconciliation = Reconciliation(database, handlers, settings, REPORTS, pulls, self.payments.ask_again)
        self.inbox = Inbox(
            database,
            accounts=self._account,
            webhooks={c.manifest.name: c.webhooks for c in CONNECTORS},
            handlers=handlers,
            ask=self.payments.ask_again,
            ask_timeout_s=settings.psp_timeout_s,
            rate_per_s=settings.inbox_rate_limit_per_s,
            retention_days=settings.inbox_retention_days,
            committed=self.relay.wake,
        )
        for collector in (self.accounts, self.inbox.metrics, self.webhooks.metrics):
            self.metrics.register(collector)
        jobs = (
            *self.inbox.jobs(),
            *self.webhooks.jobs(),
            *relay_jobs(database, self.relay, relay_metrics),
            *self.payments.jobs(),
            *self.disputes.jobs(),
            *self.reconciliation.jobs(),
            *idempotency_jobs(database, settings.idempotency_retention_days),
            *statistics_jobs(database),
        )
        always = (
            *self.merchants.jobs(),
            *database_jobs(settings),
            Job("psp_accounts.refresh", self.accounts.refresh, every_s=REFRESHED_EVERY_S),
            Job("master_keys.look", master_keys.look, every_s=LOOKED_AT_EVERY_S),
        )
        self.schedule = Schedule((*(jobs if settings.jobs else ()), *always))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Services"]:
        """Open and begin; at the end begin nothing new, finish what is in flight, close."""
        await self.database.open()
        self.schedule.start()
        collect_garbage_seldom()
        try:
            yield self
        finally:
            await self.payments.flow.drain(_DRAIN_S)
            await self.schedule.close(_DRAIN_S)
            await self.inbox.drain(_DRAIN_S)
            await self.relay.close()
            await self.webhooks.drain(_DRAIN_S)
            await self.payments.drain(_DRAIN_S)
            if isinstance(self.transport, HttpTransport):
                await self.transport.close()
            await self.database.close()

    async def _account(self, psp: str, name: str | None) -> Account | None:
        endpoint = await self.accounts.by_name(psp, name)
        return endpoint and Account(
            psp=psp,
            id=endpoint.account_id,
            merchant_id=endpoint.merchant_id,
            webhooks=endpoint.connector.webhooks,
            secrets=endpoint.webhook_secrets,
            credentials=endpoint.credentials,
        )

    async def ready(self) -> None:
        """Whether requests can be served: the database answers and has this version's schema."""
        await require_current(self.url)


def create_services(settings: Settings, transport: Transport | None = None) -> Services:
    """All services of a process, not running yet. Without a transport PSPs are called over HTTP."""
    arm(settings.failpoints)
    return Services(
        settings, database_url(settings), transport or HttpTransport(connections_max=settings.psp_concurrency)
    )


def create_app(settings: Settings, transport: Transport | None = None) -> Litestar:
    """The API on its services."""
    services = create_services(settings, transport)
    routes = (
        *services.payments.routes(),
        *services.disputes.routes(),
        *LedgerApi(services.database).routes(),
        *EventsApi(services.database).routes(),
        *services.inbox.routes(),
        *services.webhooks.routes(),
        *services.reconciliation.routes(),
    )

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with services.running():
            yield

    return build(
        routes,
        services.merchants.authenticate,
        version=__version__,
        ready=services.ready,
        lifespan=(lifespan,),
        registry=services.metrics,
    )


def create_app_from_env() -> Litestar:
    """What the server's processes start: settings from the environment, logs, the API."""
    settings = Settings.from_env()
    configure(settings.log)
    return create_app(settings)
