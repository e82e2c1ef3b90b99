"""`/_wire/...`: being the dashboard, the customer's bank, the clock, and what goes wrong. JSON in, JSON out."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from tests.support.stripe_wire.faults import Fault
from tests.support.stripe_wire.refusals import Json, Refusal

if TYPE_CHECKING:
    from tests.support.stripe_wire.server import Server


def _fault(server: "Server", name: str, body: Json) -> Json:
    server.faults.plan(Fault(body["fault"]), body["on"], int(body.get("times", 1)))
    return {}


def _search_lag(server: "Server", name: str, body: Json) -> Json:
    server.world.search_lag_s = float(body["seconds"])
    return {}


def _hold(server: "Server", name: str, body: Json) -> Json:
    server.hooks.hold()
    return {}


def _release(server: "Server", name: str, body: Json) -> Json:
    delivered = server.hooks.release(shuffled=bool(body.get("shuffled")), twice=bool(body.get("twice")))
    return {"delivered": delivered}


def _roll(server: "Server", name: str, body: Json) -> Json:
    return {"secret": server.hooks.roll(name, finish=bool(body.get("finish")))}


def _forget(server: "Server", name: str, body: Json) -> Json:
    server.keys_of(body.get("account", server.platform)).forget(body["key"])
    return {}


def _settle(server: "Server", name: str, body: Json) -> Json:
    return server.holder("intents", name).settle(name, approved=bool(body["approved"]))


def _expire(server: "Server", name: str, body: Json) -> Json:
    return server.holder("intents", name).expire(name)


def _dispute(server: "Server", name: str, body: Json) -> Json:
    reason = body.get("reason", "fraudulent")
    return server.holder("intents", name).dispute(name, reason, inquiry=bool(body.get("inquiry")))


def _settle_refund(server: "Server", name: str, body: Json) -> Json:
    return server.holder("refunds", name).settle_refund(name, body["status"])


def _close_dispute(server: "Server", name: str, body: Json) -> Json:
    return server.holder("disputes", name).close_dispute(name, body["status"])


_ROUTES: Final[Mapping[str, Callable[["Server", str, Json], Json]]] = {
    r"/_wire/faults": _fault,
    r"/_wire/search_lag": _search_lag,
    r"/_wire/hold": _hold,
    r"/_wire/release": _release,
    r"/_wire/forget_key": _forget,
    r"/_wire/webhook_endpoints/([^/]+)/roll": _roll,
    r"/_wire/payment_intents/([^/]+)/settle": _settle,
    r"/_wire/payment_intents/([^/]+)/expire": _expire,
    r"/_wire/payment_intents/([^/]+)/dispute": _dispute,
    r"/_wire/refunds/([^/]+)/settle": _settle_refund,
    r"/_wire/disputes/([^/]+)/close": _close_dispute,
}


def steer(server: "Server", path: str, body: Json) -> Json:
    """Do what a test asks for."""
    for pattern, act in _ROUTES.items():
        match = re.fullmatch(pattern, path)
        if match is not None:
            return act(server, match[1] if match.groups() else "", body)
    raise Refusal(404, {"type": "invalid_request_error", "message": f"nothing at {path}"})
