"""The pages where the customer decides: the bank's 3-D Secure check and the wallet. `/3ds/{charge}` and
`/wallet/{charge}`.
"""

from html import escape
from typing import Final
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

from bezant_simulator.api import Answer, HttpRequest, Told
from bezant_simulator.model import Charge, Delivery, Refusal, Stage
from bezant_simulator.wire import Reply
from bezant_simulator.world import World

_HTML: Final = "text/html; charset=utf-8"
_REFUSALS: Final = {
    "3ds": Refusal(
        "card_error", "authentication_failed", "The customer did not pass the check.", "authentication_failed"
    ),
    "wallet": Refusal("card_error", "customer_refused", "The customer refused in the wallet.", "customer_refused"),
}
_TITLES: Final = {"3ds": "Your bank asks", "wallet": "Your wallet asks"}
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>body{{font:16px system-ui,sans-serif;max-width:26rem;margin:15vh auto;padding:0 1rem}}
button{{font:inherit;padding:.6rem 1.4rem;margin-right:.6rem}}</style></head>
<body><main><h1>{title}</h1>{content}</main></body></html>
"""
_QUESTION: Final = """<p>Do you approve <strong>{amount} {currency}</strong> (minor units) for {payment}?</p>
<form method="post"><button name="decision" value="approve" id="approve">Approve</button>
<button name="decision" value="refuse" id="refuse">Refuse</button></form>"""


def answer(world: World, request: HttpRequest) -> Answer:
    """The page, or what follows the customer's decision on it."""
    page, _, charge_id = request.path.strip("/").partition("/")
    charge = world.book.charge(charge_id, world.now())
    if charge is None or charge.page != page:
        return _html(404, "Not found", "<p>There is no such check.</p>")
    if request.method == "GET":
        return _question(charge, page)
    decision = parse_qs(request.body.decode("ascii", "replace")).get("decision", [""])[0]
    if request.method != "POST" or decision not in ("approve", "refuse"):
        return _html(400, "Not understood", "<p>Approve or refuse, please.</p>")
    if not world.book.decide(charge, None if decision == "approve" else _REFUSALS[page], world.now()):
        return _html(409, _TITLES[page], "<p>This was decided before.</p>")
    events = world.keep(charge)
    is_told_first = charge.operations[0].delivery is Delivery.FIRST
    reply = _done(charge, page, decision)
    return Told([event.id for event in events], reply) if is_told_first else reply


def _done(charge: Charge, page: str, decision: str) -> Reply:
    if charge.return_url is None:
        return _html(200, _TITLES[page], f"<p>Done: {escape(decision)}. You may close this page.</p>")
    result = {"charge": charge.id, "result": "approved" if decision == "approve" else "refused"}
    return Reply(303, b"", content_type=_HTML, location=_with_query(charge.return_url, result))


def _question(charge: Charge, page: str) -> Reply:
    if charge.stage is not Stage.CUSTOMER_ACTION:
        return _html(200, _TITLES[page], "<p>This was decided before.</p>")
    payment = escape(charge.payment_reference)
    return _html(200, _TITLES[page], _QUESTION.format(amount=charge.amount, currency=charge.currency, payment=payment))


def _html(status: int, title: str, content: str) -> Reply:
    return Reply(status, _PAGE.format(title=title, content=content).encode(), content_type=_HTML)


def _with_query(url: str, more: dict[str, str]) -> str:
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *more.items()])
    return urlunsplit(parts._replace(query=query))
