"""The double over HTTP: who calls, under which key, what goes wrong, and the answer."""

import asyncio
import base64
import json
from http import HTTPStatus
from typing import Final, Literal
from urllib.parse import urlencode

from aiohttp import web

from tests.support.stripe_wire import api
from tests.support.stripe_wire.book import Account, Cause
from tests.support.stripe_wire.control import steer
from tests.support.stripe_wire.faults import Fault, Faults
from tests.support.stripe_wire.forms import check, parse, required
from tests.support.stripe_wire.hooks import Hooks
from tests.support.stripe_wire.keys import Keys
from tests.support.stripe_wire.objects import API_VERSION, encode, new_id
from tests.support.stripe_wire.refusals import Json, Refusal, forbidden, invalid, unauthorized

SLOW_S: Final = 1.3
CONNECTED: Final = frozenset({"acct_1Tea", "acct_1Coffee"})
"""Accounts that have given the platform's key access to them."""

_BROKEN: Final = Refusal(500, {"type": "api_error", "message": "An unknown error occurred."})
_BEFORE: Final = {
    Fault.DOWN: Refusal(503, {"type": "api_error", "message": "Try again later."}, is_kept=False),
    Fault.BUSY: Refusal(429, {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests."}),
    Fault.LOCKED: Refusal(
        409, {"type": "invalid_request_error", "code": "lock_timeout", "message": "Another request holds this object."}
    ),
}

Answer = tuple[int, bytes]


class _Cut(Exception):
    """The connection ends here, without an answer."""


async def _form_of(request: web.Request) -> Json:
    """What is asked; of a file only its looks."""
    if request.content_type == "multipart/form-data":
        parts = await request.post()
        return {
            name: {"filename": part.filename, "type": part.content_type, "size": len(part.file.read())}
            if isinstance(part, web.FileField)
            else part
            for name, part in parts.items()
        }
    return parse(request.query_string if request.method == "GET" else (await request.read()).decode())


class Server:
    """All of it."""

    def __init__(self, url: str, search_lag_s: float) -> None:
        self.platform = "acct_1Platform"
        self.world = api.World(search_lag_s)
        self.hooks = Hooks(self.platform)
        self.faults = Faults()
        self._url = url
        self._accounts: dict[str, Account] = {}
        self._keys: dict[str, Keys] = {}

    def application(self) -> web.Application:
        """Its routes."""
        application = web.Application(client_max_size=1 << 20)
        application.router.add_route("*", "/v1/webhook_endpoints{rest:.*}", self._endpoints)
        application.router.add_route("*", "/v1/{rest:.*}", self._call)
        application.router.add_get("/_wire/health", self._health)
        application.router.add_route("*", "/_wire/3ds/{name}", self._authenticate)
        application.router.add_post("/_wire/{rest:.*}", self._steer)
        application.on_cleanup.append(self._clean_up)
        return application

    def account(self, name: str) -> Account:
        """An account, made when it is first named."""
        if name not in self._accounts:
            self._accounts[name] = Account(name, lambda pi: f"{self._url}/_wire/3ds/{pi}", self.hooks.tell)
        return self._accounts[name]

    def keys_of(self, account: str) -> Keys:
        """The idempotency keys of an account."""
        return self._keys.setdefault(account, Keys())

    def holder(self, kind: Literal["intents", "refunds", "disputes"], name: str) -> Account:
        """The account that has this object. What happens now, nobody asked for by the API."""
        for account in self._accounts.values():
            if name in getattr(account, kind):
                return account.because_of(Cause())
        raise Refusal(404, {"type": "invalid_request_error", "message": f"nobody has {name}"})

    async def _call(self, request: web.Request) -> web.Response:
        request_id = new_id("req")
        headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
        try:
            (status, body), replayed = await self._answer(request, request_id)
        except Refusal as refusal:
            (status, body), replayed = (refusal.status, encode(refusal.body)), False
        except _Cut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=HTTPStatus.OK)
        key = request.headers.get("Idempotency-Key")
        headers |= {} if key is None else {"Idempotency-Key": key}
        headers |= {"Idempotent-Replayed": "true"} if replayed else {}
        return web.Response(status=status, body=body, headers=headers, content_type="application/json")

    async def _answer(self, request: web.Request, request_id: str) -> tuple[Answer, bool]:
        name = self._who(request)
        fault = self.faults.strike(f"{request.method} {request.path}")
        if fault is Fault.RESET:
            raise _Cut
        if fault is not None and fault in _BEFORE:
            raise _BEFORE[fault]
        endpoint, thing = api.find(request.method, request.path)
        form = await _form_of(request)
        key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
        keys = self.keys_of(name)
        kept = None if key is None else keys.claim(key, json.dumps([request.path, form], sort_keys=True))
        if kept is not None:
            return kept, True
        try:
            answer = await self._execute(endpoint, name, thing, form, Cause(request_id, key), fault)
        except Refusal:
            if key is not None:
                keys.forget(key)
            raise
        if key is not None:
            keys.keep(key, answer)
        if fault is Fault.LOST:
            raise _Cut
        return answer, False

    async def _execute(
        self, endpoint: api.Endpoint, account: str, thing: str, form: Json, cause: Cause, fault: Fault | None
    ) -> Answer:
        """What the endpoint says. Raises refusals that no key keeps."""
        if fault is Fault.SLOW:
            await asyncio.sleep(SLOW_S)
        if fault is Fault.UNDONE:
            return _BROKEN.status, encode(_BROKEN.body)
        try:
            answer = 200, encode(endpoint(self.world, self.account(account).because_of(cause), thing, form))
        except Refusal as refusal:
            if not refusal.is_kept:
                raise
            answer = refusal.status, encode(refusal.body)
        return (_BROKEN.status, encode(_BROKEN.body)) if fault is Fault.BROKEN else answer

    def _who(self, request: web.Request) -> str:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        key = base64.b64decode(given).decode().rstrip(":") if scheme == "Basic" else given
        if not key.startswith("sk_test_"):
            raise unauthorized("Invalid API Key provided")
        if request.headers.get("Stripe-Version", API_VERSION) != API_VERSION:
            raise invalid("Invalid Stripe API version", None, None)
        account = request.headers.get("Stripe-Account", self.platform)
        if account != self.platform and account not in CONNECTED:
            raise forbidden(account)
        return account

    async def _endpoints(self, request: web.Request) -> web.Response:
        try:
            self._who(request)
            if request.method == "DELETE":
                return self._json(self.hooks.remove(request.path.rpartition("/")[2]))
            form = parse((await request.read()).decode())
            known = {"connect": "boolean", "enabled_events": "list", "url": "string", "api_version": "string"}
            check(form, known)
            required(form, "enabled_events")
            connect = form.get("connect") == "true"
            return self._json(self.hooks.add(required(form, "url"), form["enabled_events"], connect=connect))
        except Refusal as refusal:
            return self._json(refusal.body, refusal.status)

    async def _authenticate(self, request: web.Request) -> web.Response:
        """The bank's page: GET shows it, POST answers it and sends the customer back to the shop."""
        name = request.match_info["name"]
        account = self.holder("intents", name)
        if request.method == "GET":
            buttons = "".join(f'<button name="answer" value="{a}">{a}</button>' for a in ("approve", "refuse"))
            return web.Response(text=f'<form method="post">{buttons}</form>', content_type="text/html")
        answer = (await request.post()).get("answer")
        approved = answer == "approve"
        try:
            intent = account.authenticate(name, approved=approved)
        except Refusal as refusal:
            if refusal.status != HTTPStatus.PAYMENT_REQUIRED:
                return self._json(refusal.body, refusal.status)
            intent, approved = account.intent(name), False
        back: Json = {
            "payment_intent": name,
            "payment_intent_client_secret": intent["client_secret"],
            "redirect_status": "succeeded" if approved else "failed",
        }
        url = account.return_urls.get(name)
        if url is None:
            return web.Response(text="Go back to the shop.")
        return web.Response(status=303, headers={"Location": f"{url}{'&' if '?' in url else '?'}{urlencode(back)}"})

    async def _steer(self, request: web.Request) -> web.Response:
        body: Json = json.loads(await request.read() or b"{}")
        try:
            return self._json(steer(self, request.path, body))
        except Refusal as refusal:
            return self._json(refusal.body, refusal.status)

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _clean_up(self, application: web.Application) -> None:
        await self.hooks.close()

    @staticmethod
    def _json(thing: Json, status: int = 200) -> web.Response:
        return web.Response(status=status, body=encode(thing), content_type="application/json")
