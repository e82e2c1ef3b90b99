"""An account at the double of Stripe, as the product uses it."""

import math
import uuid
from typing import Any

from bezant.connectors.stripe import CONNECTOR
from bezant.psp.call import Caller, Endpoint, HttpTransport
from bezant.psp.contract import Ask, Credentials, Operation, Outcome, Verdict
from tests.connectors.stripe.stripe_support import ask
from tests.support.stripe_wire.client import KEY


def new(operation: Operation, **changes: Any) -> Ask:
    return ask(operation, **{"reference": f"att_{uuid.uuid4().hex}", "psp_reference": None, **changes})


class Shop:
    """One account at Stripe, as the product uses it."""

    def __init__(self, url: str, connected: str | None, timeout_s: float) -> None:
        fields = {"secret_key": KEY} | ({} if connected is None else {"connected_account": connected})
        self.credentials = Credentials(fields=fields)
        self.transport = HttpTransport(connections_max=8)
        endpoint = Endpoint(CONNECTOR, url, self.credentials)
        self.caller = Caller({"stripe": endpoint}, self.transport, timeout_s=timeout_s, concurrency=8)

    async def do(self, wish: Ask) -> Outcome:
        return (await self.caller.perform("stripe", wish, send_before=math.inf)).outcome

    async def look(self, wish: Ask) -> Outcome:
        return (await self.caller.fetch("stripe", wish)).outcome

    async def authorized(self, **changes: Any) -> Outcome:
        outcome = await self.do(new(Operation.AUTHORIZE, **changes))
        assert outcome.verdict is Verdict.APPROVED, outcome
        return outcome

    async def ready_for(self, operation: Operation) -> Ask:
        """An ask that can be approved."""
        if operation is Operation.AUTHORIZE:
            return new(operation)
        done = await self.authorized(capture=operation is Operation.REFUND)
        return new(operation, psp_reference=done.psp_reference)
