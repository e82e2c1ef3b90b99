"""The composition root: joins everything once, at the start."""

import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from litestar import Litestar

from bezant import __version__
from bezant.base.batch import Batcher
from bezant.base.config import Settings
from bezant.base.db import WAIT_MAX_S, Database
from bezant.base.failpoints import arm
from bezant.base.log import configure
from bezant.base.migrate import require_current
from bezant.base.postgres import database_url
from bezant.base.sealed import Sealer
from bezant.connectors import simulator, stripe
from bezant.idempotency.claims import Reply
from bezant.idempotency.jobs import idempotency_jobs
from bezant.jobs.database import database_jobs
from bezant.jobs.schedule import Job, Schedule
from bezant.jobs.statistics import statistics_jobs
from bezant.ledger.api import LedgerApi
from bezant.merchants.service import Merchants
from bezant.outbox.api import EventsApi
from bezant.payments.accept import Accept, Accepted, Terms
from bezant.payments.api import PaymentsApi
from bezant.payments.apply import Apply, Recording
from bezant.payments.attempts_api import AttemptsApi
from bezant.payments.changes import Ages
from bezant.payments.command import Command
from bezant.payments.flow import Flow
from bezant.payments.jobs import payment_jobs
from bezant.payments.queries import Queries
from bezant.payments.render import ClientSecrets
from bezant.payments.resolve import Resolution
from bezant.payments.sync import Sync, SyncTerms
from bezant.psp.accounts import REFRESHED_EVERY_S, Accounts
from bezant.psp.call import Caller, Endpoint, HttpTransport, Transport
from bezant.psp.registry import endpoints
from bezant.web import build

CONNECTORS = (simulator.CONNECTOR, stripe.CONNECTOR)
LEASE_MARGIN_S = 5.0
_DRAIN_S = 15.0


class Services:
    """Everything that runs in one process, joined."""

    def __init__(self, settings: Settings, url: str, transport: Transport) -> None:
        self.url = url
        self.database = Database(url, connections_max=settings.database_pool_max)
        database = self.database
        self.transport = transport
        self.endpoints: Mapping[str, Endpoint] = endpoints(CONNECTORS, settings.psp_urls, settings.psp_credentials)
        ages = Ages(settings.authorization_age_s, settings.action_age_s)
        master_keys = settings.master_keys()
        secrets = ClientSecrets(master_keys)
        self.sealer = Sealer(master_keys)
        self.accounts = Accounts(database, CONNECTORS, self.endpoints, settings.psp_urls, self.sealer)
        lease_s = settings.psp_timeout_s + LEASE_MARGIN_S
        terms = Terms(
            lease_s=lease_s,
            call_timeout_s=settings.psp_timeout_s,
            window_s=settings.authorize_window_s,
            ages=ages,
            manifests={connector.manifest.name: connector.manifest for connector in CONNECTORS},
            own_psps=frozenset(self.endpoints),
            secrets=secrets,
        )
        self.caller = Caller(
            self.endpoints,
            transport,
            timeout_s=settings.psp_timeout_s,
            concurrency=settings.psp_concurrency,
            accounts=self.accounts,
        )
        accept = Batcher[Command, Accepted](
            Accept(database, terms),
            lambda command: command.merchant_id,
            wait_max_s=WAIT_MAX_S,
            abandoned=lambda command, accepted: self.flow.withdraw(command, accepted),
        )
        self.record = Batcher[Recording, Reply](
            Apply(database, ages, secrets), lambda recording: recording.merchant_id, waiting_max=100_000
        )
        sync_terms = SyncTerms(
            lease_s=lease_s, call_timeout_s=settings.psp_timeout_s, window_s=settings.authorize_window_s
        )
        self.sync = Sync(database, self.caller, self.record, sync_terms)
        self.flow = Flow(database, accept, self.record, self.caller, self.sync, secrets)
        self.merchants = Merchants(database, settings.rate_limit_per_s)
        self.queries = Queries(database, secrets)
        self.resolution = Resolution(database, self.record)
        self.secrets = secrets
        jobs = (
            *payment_jobs(database, self.sync, ages, settings.sync_interval_s),
            *idempotency_jobs(database, settings.idempotency_retention_days),
            *statistics_jobs(database),
        )
        read_accounts = Job("psp_accounts.refresh", self.accounts.refresh, every_s=REFRESHED_EVERY_S)
        always = (*self.merchants.jobs(), *database_jobs(settings), read_accounts)
        self.schedule = Schedule((*(jobs if settings.jobs else ()), *always))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Services"]:
        """Open and begin; at the end begin nothing new, finish what is in flight, close."""
        await self.database.open()
        self.schedule.start()
        _collect_garbage_seldom()
        try:
            yield self
        finally:
            await self.flow.drain(_DRAIN_S)
            await self.schedule.close(_DRAIN_S)
            await self.sync.drain(_DRAIN_S)
            if isinstance(self.transport, HttpTransport):
                await self.transport.close()
            await self.database.close()

    async def ready(self) -> None:
        """Whether requests can be served: the database answers and has this version's schema."""
        await require_current(self.url)


def _collect_garbage_seldom() -> None:
    """What lives as long as the process is never looked at again, and young objects less often: a tenth of the CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


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
        *PaymentsApi(services.flow, services.queries, services.secrets).routes(),
        *AttemptsApi(services.resolution).routes(),
        *LedgerApi(services.database).routes(),
        *EventsApi(services.database).routes(),
    )

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with services.running():
            yield

    return build(
        routes, services.merchants.authenticate, version=__version__, ready=services.ready, lifespan=(lifespan,)
    )


def create_app_from_env() -> Litestar:
    """What the server's processes start: settings from the environment, logs, the API."""
    settings = Settings.from_env()
    configure(settings.log)
    return create_app(settings)
