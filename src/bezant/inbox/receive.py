"""Takes webhooks in: verify, keep, answer. Nothing is done with an event before it is committed and answered for.

What was answered with 200 is committed. Whatever happens before that, the PSP sends it again, and it is kept once.
"""

from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.batch import Batcher
from bezant.base.db import WAIT_MAX_S, Database, DatabaseError
from bezant.base.errors import ContentTooLarge, InvalidRequest, NotFound, RateLimited, Unavailable
from bezant.base.failpoints import reach
from bezant.base.log import logger
from bezant.inbox import store
from bezant.inbox.contract import Account, Accounts
from bezant.inbox.metrics import InboxMetrics
from bezant.psp.notices import RawEvent, WebhookRefused, WebhookRequest
from bezant.web import Call, RateLimit, Reply, json_reply

Arriving = tuple[Account, RawEvent]

_EVENT_ID_MAX: Final = 255
_TYPE_MAX: Final = 100
_YEARS: Final = range(2000, 2200)
_BATCH_MAX: Final = 128
_TAKEN: Final = json_reply(200, {"received": True})

_log = logger(__name__)


class Arrival(msgspec.Struct, frozen=True):
    """The events of one request, by the ids under which they are kept."""

    account: Account
    events: dict[UUID, RawEvent]


class Keep:
    """Keeps batches of arrivals, one statement each. Repeating a batch keeps nothing more."""

    def __init__(self, database: Database, arrived: Callable[[], None]) -> None:
        self._database = database
        self._arrived = arrived

    async def __call__(self, arrivals: Sequence[Arrival]) -> Sequence[int]:
        """How many events of each arrival are new."""
        arriving: dict[UUID, Arriving] = {}
        for arrival in arrivals:
            for event_id, raw in arrival.events.items():
                arriving.setdefault(event_id, (arrival.account, raw))
        async with self._database.statement() as connection:
            reach("inbox.before_commit")
            new = await store.insert_new(connection, arriving)
        reach("inbox.after_commit")
        if new:
            self._arrived()
        counts: list[int] = []
        for arrival in arrivals:
            mine = new & arrival.events.keys()
            counts.append(len(mine))
            new -= mine
        return counts


class Receive:
    """The calls that PSPs make."""

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        metrics: InboxMetrics,
        arrived: Callable[[], None],
        *,
        rate_per_s: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._accounts = accounts
        self._metrics = metrics
        self._rate_per_s = rate_per_s
        self._rate_limit = RateLimit()
        self._now = now
        self._keep = Batcher[Arrival, int](
            Keep(database, arrived), lambda arrival: _key(arrival.account), size_max=_BATCH_MAX, wait_max_s=WAIT_MAX_S
        )

    async def own(self, call: Call) -> Reply:
        """Take a webhook for the platform's own account."""
        return await self._take(call, None)

    async def named(self, call: Call) -> Reply:
        """Take a webhook for a named account."""
        return await self._take(call, call.path_params["psp_account"])

    async def _take(self, call: Call, name: str | None) -> Reply:
        account = await self._accounts(call.path_params["psp"], name)
        if account is None:
            raise NotFound("There is no such account at a PSP, or it takes no webhooks.")
        try:
            arrival = self._verified(call, account)
            self._require_rate(account)
            new = await self._keep.submit(arrival) if arrival.events else 0
        except (ContentTooLarge, InvalidRequest, RateLimited, Unavailable) as refusal:
            self._metrics.received(account.psp, refusal.code)
            raise
        except DatabaseError:
            self._metrics.received(account.psp, "unavailable")
            raise
        self._metrics.received(account.psp, "accepted", new)
        self._metrics.received(account.psp, "duplicate", len(arrival.events) - new)
        return _TAKEN

    def _verified(self, call: Call, account: Account) -> Arrival:
        """What came, once the account's own scheme has verified every byte of it."""
        if len(call.body) > account.webhooks.body_max_bytes:
            limit = account.webhooks.body_max_bytes
            raise ContentTooLarge("content_too_large", f"The body may have at most {limit} bytes.")
        if not account.secrets:
            _log.warning("webhook_without_secret", psp=account.psp)
            raise InvalidRequest("signature_invalid", "No webhook secret is set up for this account.")
        request = WebhookRequest(call.body, call.headers)
        try:
            events = account.webhooks.accept(request, account.secrets, account.credentials, self._now())
        except WebhookRefused as refusal:
            raise InvalidRequest(refusal.code, str(refusal)) from refusal
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as fault:
            _log.warning("webhook_unreadable", psp=account.psp, error=type(fault).__name__)
            raise InvalidRequest(
                "invalid_request", "The body is verified, but not of a shape that is known."
            ) from fault
        return Arrival(account, {_kept_id(account, event): event for event in events})

    def _require_rate(self, account: Account) -> None:
        """After the signature, so that a forger cannot use up what is the PSP's."""
        wait_s = self._rate_limit.allow(_key(account), self._rate_per_s)
        if wait_s is not None:
            text = f"This account may be told of {self._rate_per_s} webhooks a second."
            raise RateLimited("rate_limited", text, retry_after_s=wait_s)


def _key(account: Account) -> Hashable:
    """What tells accounts apart: each has its own share of what is let in."""
    return account.id or account.psp


def _kept_id(account: Account, event: RawEvent) -> UUID:
    """The id under which an event is kept once. Raises InvalidRequest for what cannot be kept."""
    if not (1 <= len(event.event_id) <= _EVENT_ID_MAX and event.event_id.isprintable()):
        raise InvalidRequest("invalid_request", f"An event's id has 1 to {_EVENT_ID_MAX} printable characters.")
    if not (1 <= len(event.type) <= _TYPE_MAX and event.type.isprintable()):
        raise InvalidRequest("invalid_request", f"An event's type has 1 to {_TYPE_MAX} printable characters.")
    if event.occurred_at.tzinfo is None or event.occurred_at.year not in _YEARS:
        raise InvalidRequest("invalid_request", "An event's time is not of this century, or without its offset.")
    return ids.dated(event.occurred_at, account.psp, account.id.hex if account.id else "", event.event_id)
