"""A peer: a connector and a server that it can talk to, with the facts about that server that the suite must know.

The suite demands what `psp/contract.py` says. A server that is known to fall short of the PSP that it stands for
(localstripe forgets idempotency keys) says so in `lacks`, and those tests are skipped with that reason: the connector
is not to blame.
"""

import asyncio
import math
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from bezant.psp.call import Caller
from bezant.psp.connector import Connector
from bezant.psp.contract import Ask, Credentials, Operation, Outcome, Verdict
from bezant.psp.notices import Notice, RawEvent, WebhookRequest, Webhooks
from tests.support.receiver import Receiver


class Lack(StrEnum):
    """What a server cannot do although the PSP can."""

    IDEMPOTENCY_KEYS = "keeps no idempotency keys"
    PARTIAL_CAPTURE = "cannot capture a part"
    MANUAL_CAPTURE = "cannot capture later"
    OVER_CAPTURE = "does not refuse to capture too much"
    OVER_REFUND = "does not refuse to refund too much"
    DECLINES = "declines nothing"
    LOOKUP_AUTHORIZE = "cannot find an authorization by our reference"
    LOOKUP_REFUND = "cannot find a refund by our reference"
    WEBHOOKS = "sends no webhooks"
    FOREIGN_REFUNDS = "makes no refund without us"


@dataclass(frozen=True, kw_only=True)
class Told:
    """Where a peer's server sends its webhooks, and what signs them. `credentials`: of the account that they are of."""

    receiver: Receiver
    secret: str
    credentials: Credentials
    refund: Callable[[str, int], Awaitable[object]] | None = None
    """Gives back a part of a payment, as somebody would in the PSP's dashboard."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One connector under test. `visibility_lag_s`: the server's own, at most the manifest's."""

    connector: Connector
    caller: Caller
    approve: str
    """A payment method that is approved."""
    declines: Mapping[str, str]
    """Payment methods that are declined, and Bezant's code for each."""
    currency: str = "USD"
    lacks: frozenset[Lack] = frozenset()
    visibility_lag_s: float = 0.0
    told: Told | None = None

    @property
    def webhooks(self) -> Webhooks:
        """How the connector reads webhooks."""
        assert self.connector.webhooks is not None
        return self.connector.webhooks

    def accepted(self, request: WebhookRequest, *secrets: str, at: datetime | None = None) -> Sequence[RawEvent]:
        """The events of a webhook, if the connector believes it; by default with the right secret, and now."""
        assert self.told is not None
        now = datetime.now(UTC) if at is None else at
        return self.webhooks.accept(request, secrets or (self.told.secret,), self.told.credentials, now)

    async def hears(self, operation: Operation, verdict: Verdict, psp_reference: str | None) -> list[WebhookRequest]:
        """The webhooks that say this of a payment: at least one."""
        assert self.told is not None

        def says(request: WebhookRequest) -> bool:
            said = [notice for event in self.accepted(request) for notice in self.webhooks.notices(event) or ()]
            return any(
                isinstance(notice, Notice)
                and (notice.operation, notice.outcome.verdict) == (operation, verdict)
                and notice.outcome.psp_reference == psp_reference
                for notice in said
            )

        await self.told.receiver.get(says)
        return [request for request in self.told.receiver.got if says(request)]

    def new(self, operation: Operation = Operation.AUTHORIZE, amount_minor: int = 1000, **fields: object) -> Ask:
        """An ask with a reference that is new in the world."""
        ask = Ask(
            operation=operation,
            reference=f"att_{uuid.uuid4().hex}",
            payment_reference=f"pay_{uuid.uuid4().hex}",
            amount_minor=amount_minor,
            currency=self.currency,
            payment_method=self.approve,
        )
        return msgspec.structs.replace(ask, **fields)

    def on(self, authorized: Outcome, operation: Operation, amount_minor: int, **fields: object) -> Ask:
        """An ask for a later operation on what was authorized."""
        return self.new(operation, amount_minor, psp_reference=authorized.psp_reference, **fields)

    async def do(self, ask: Ask) -> Outcome:
        """Performs it."""
        called = await self.caller.perform(self.connector.manifest.name, ask, send_before=math.inf)
        return called.outcome

    async def look(self, ask: Ask) -> Outcome:
        """What `fetch` finds at this moment."""
        return (await self.caller.fetch(self.connector.manifest.name, ask)).outcome

    async def authorized(self, *, capture: bool = False) -> Outcome:
        """An approved authorization of 1,000."""
        outcome = await self.do(self.new(capture=capture))
        assert outcome.verdict is Verdict.APPROVED, outcome
        return outcome

    async def found(self, ask: Ask) -> Outcome:
        """What `fetch` finds, once the lag that the server is known to have is over."""
        deadline = time.monotonic() + self.visibility_lag_s + 1.0
        while (outcome := await self.look(ask)).verdict is Verdict.NOT_FOUND:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
        return outcome
