"""The only place that speaks HTTP to a PSP.

Guarantees: no transaction is open while a PSP is asked; nothing is sent once the attempt's lease could end before the
answer; every call ends within its time-out; at most `concurrency` calls are in flight; each answer's amount, currency
and reference are checked against what was asked; what was said is logged without secrets. Whatever goes wrong on the
way is an unknown outcome, never a failure.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Literal, Protocol
from urllib.parse import urlencode
from uuid import UUID

import aiohttp
import msgspec

from bezant.base import ids
from bezant.base.db import transaction_is_open
from bezant.base.failpoints import reach
from bezant.base.log import logger
from bezant.psp.connector import Call, Connector
from bezant.psp.contract import (
    Ask,
    Credentials,
    Holding,
    Operation,
    Outcome,
    PspRefusedToProcess,
    PspRequest,
    PspResponse,
    PspSilence,
    Send,
    Verdict,
)
from bezant.psp.disputes import DisputeAsk, DisputeState, EvidenceAsk
from bezant.psp.records import RequestLog, kept_text

ANSWER_MAX_BYTES = 1 << 20
_CONNECT_TIMEOUT_S = 3.0
_SLOWNESS_OF_FILES = 3
"""How many time-outs of a call evidence may take: it is uploaded file by file."""

_LARGE_BYTES = 1 << 19

OnDispute = Literal["fetch", "submit", "accept"]

_log = logger(__name__)

Transport = Callable[[str, PspRequest, Mapping[str, str]], Awaitable[tuple[int, bytes]]]
"""Sends a request to a base URL with headers.

The status and the body. Raises OSError, TimeoutError or aiohttp.ClientError.
"""


class Called(msgspec.Struct, frozen=True):
    """What came of a call: the outcome, and the requests it took."""

    outcome: Outcome
    requests: tuple[RequestLog, ...] = ()


class CalledOnDispute(msgspec.Struct, frozen=True):
    """What came of a call about a dispute, and the requests it took."""

    state: DisputeState
    requests: tuple[RequestLog, ...] = ()


class Endpoint(msgspec.Struct, frozen=True):
    """An account at a PSP, set up for use: where it is called and with which credentials.

    `webhook_secrets`: what its webhooks are verified with, newest first. Without an id it is the platform's own;
    a named one belongs to a merchant.
    """

    connector: Connector
    base_url: str
    credentials: Credentials
    webhook_secrets: tuple[str, ...] = ()
    account_id: UUID | None = None
    merchant_id: UUID | None = None
    name: str | None = None

    def __repr__(self) -> str:
        """Without secrets, wherever it may be printed."""
        account = "own" if self.account_id is None else ids.show(ids.PSP_ACCOUNT, self.account_id)
        return f"Endpoint({self.connector.manifest.name}, {account}, {self.base_url})"


class NamedAccounts(Protocol):
    """Merchants' own accounts at PSPs."""

    @property
    def psps(self) -> Collection[str]:
        """The PSPs at which there can be such accounts."""
        ...

    async def find(self, psp: str, account_id: UUID) -> Endpoint | None:
        """The account at this PSP; None where there is none, or its credentials do not open."""
        ...


class HttpTransport:
    """Pooled, bounded HTTP with aiohttp; redirects are never followed."""

    def __init__(self, *, connections_max: int) -> None:
        self._connections_max = connections_max
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, base_url: str, request: PspRequest, headers: Mapping[str, str]) -> tuple[int, bytes]:
        session = self._session or self._open()
        data: bytes | BytesIO | aiohttp.FormData | None = None
        sent = {**headers, **request.headers}
        if request.form is not None:
            data = urlencode(request.form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        elif request.json is not None:
            data = _in_pieces(msgspec.json.encode(request.json))
            sent["Content-Type"] = "application/json"
        elif request.upload is not None:
            data = aiohttp.FormData(request.upload.fields)
            file = request.upload
            data.add_field(file.name, _in_pieces(file.content), filename=file.file_name, content_type=file.content_type)
        async with session.request(
            request.method,
            base_url + request.path,
            params=request.query or None,
            data=data,
            headers=sent,
            allow_redirects=False,
        ) as response:
            body = await response.content.read(ANSWER_MAX_BYTES + 1)
            while len(body) <= ANSWER_MAX_BYTES and not response.content.at_eof():
                body += await response.content.read(ANSWER_MAX_BYTES + 1 - len(body))
            if len(body) > ANSWER_MAX_BYTES:
                raise PspSilence("the answer is larger than 1 MiB")
            return response.status, body

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections_max, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),
            trust_env=False,
        )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _in_pieces(body: bytes) -> bytes | BytesIO:
    """What is large is written piece by piece, so that other requests are not held up by it."""
    return body if len(body) < _LARGE_BYTES else BytesIO(body)


class Caller:
    """Calls PSPs by name, in the platform's own accounts or, where an id says so, in a merchant's."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        transport: Transport,
        *,
        timeout_s: float,
        concurrency: int,
        accounts: NamedAccounts | None = None,
    ) -> None:
        self.endpoints = endpoints
        self.psps = frozenset(endpoints) | frozenset(accounts.psps if accounts is not None else ())
        self._accounts = accounts
        self._transport = transport
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(concurrency)

    async def endpoint(self, psp: str, account_id: UUID | None) -> Endpoint | None:
        """The account; None where it is not set up, which for a merchant's must never mean the platform's own."""
        if account_id is None:
            return self.endpoints.get(psp)
        return None if self._accounts is None else await self._accounts.find(psp, account_id)

    async def perform(self, psp: str, ask: Ask, send_before: float, account_id: UUID | None = None) -> Called:
        """Ask the PSP to do it, unless the monotonic clock is past `send_before`: then nothing is sent."""
        endpoint = await self.endpoint(psp, account_id)
        if endpoint is None:  # nothing was sent, so it may be repeated once the account is set up
            return Called(Outcome(verdict=Verdict.NOT_EXECUTED, detail=not_set_up(psp, account_id)))
        return await self._run(psp, endpoint, endpoint.connector.of(ask.operation), ask, send_before)

    async def fetch(self, psp: str, ask: Ask, account_id: UUID | None = None) -> Called:
        """Ask the PSP what became of it. Moves no money."""
        endpoint = await self.endpoint(psp, account_id)
        if endpoint is None:
            return Called(Outcome(verdict=Verdict.UNKNOWN, detail=not_set_up(psp, account_id)))
        return await self._run(psp, endpoint, endpoint.connector.fetch, ask, None)

    async def holdings(self, psp: str, after: str | None, account_id: UUID | None = None) -> Sequence[Holding]:
        """A page of the account's charges, behind the charge `after`.

        Raises PspSilence, also where the PSP has no such list.
        """
        endpoint = await self.endpoint(psp, account_id)
        if endpoint is None:
            raise PspSilence(not_set_up(psp, account_id))
        if endpoint.connector.holdings is None:
            raise PspSilence(f"{psp} has no list of its charges")
        if transaction_is_open():
            raise AssertionError("a transaction is open across a call to a PSP")
        exchange = _Exchange(endpoint, self._transport, psp, Operation.AUTHORIZE, None)
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await endpoint.connector.holdings(after, exchange.send)
            except (PspRefusedToProcess, TimeoutError, OSError, aiohttp.ClientError, msgspec.ValidationError) as fault:
                raise PspSilence(str(fault) or type(fault).__name__) from fault

    async def on_dispute(
        self, psp: str, ask: DisputeAsk, action: OnDispute, account_id: UUID | None, send_before: float | None = None
    ) -> CalledOnDispute:
        """Look a dispute up, hand evidence in, or accept it; nothing is sent once the clock is past `send_before`."""
        endpoint = await self.endpoint(psp, account_id)
        if endpoint is None:
            return CalledOnDispute(DisputeState(verdict=Verdict.NOT_EXECUTED, detail=not_set_up(psp, account_id)))
        if transaction_is_open():
            raise AssertionError("a transaction is open across a call to a PSP")
        exchange = _Exchange(endpoint, self._transport, psp, f"dispute_{action}", send_before)
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout_s * (_SLOWNESS_OF_FILES if action == "submit" else 1)):
                    state = await _call_on_dispute(endpoint.connector, action, ask, exchange.send)
            except PspRefusedToProcess as refused:
                state = DisputeState(verdict=Verdict.NOT_EXECUTED, detail=str(refused))
            except (PspSilence, TimeoutError, OSError, aiohttp.ClientError) as silence:
                state = DisputeState(verdict=Verdict.UNKNOWN, detail=str(silence) or type(silence).__name__)
            except Exception as fault:  # a fault of the connector: the PSP may have acted all the same
                _log.exception("connector_fault", psp=psp, operation=action, reference=ask.reference)
                state = DisputeState(verdict=Verdict.UNKNOWN, detail=f"connector fault: {type(fault).__name__}")
        return CalledOnDispute(about(ask, state), tuple(exchange.requests))

    async def _run(
        self,
        psp: str,
        endpoint: Endpoint,
        call: Call,
        ask: Ask,
        send_before: float | None,
    ) -> Called:
        if transaction_is_open():
            raise AssertionError("a transaction is open across a call to a PSP")
        exchange = _Exchange(endpoint, self._transport, psp, ask.operation, send_before)
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout_s):
                    outcome = await call(ask, exchange.send)
            except PspRefusedToProcess as refused:
                outcome = Outcome(verdict=Verdict.NOT_EXECUTED, detail=str(refused))
            except (PspSilence, TimeoutError, OSError, aiohttp.ClientError) as silence:
                outcome = Outcome(verdict=Verdict.UNKNOWN, detail=str(silence) or type(silence).__name__)
            except Exception as fault:  # a fault of the connector: the PSP may have acted all the same
                _log.exception("connector_fault", psp=psp, operation=ask.operation, reference=ask.reference)
                outcome = Outcome(verdict=Verdict.UNKNOWN, detail=f"connector fault: {type(fault).__name__}")
        return Called(checked(ask, outcome), tuple(exchange.requests))


class _Exchange:
    """The requests of one call."""

    def __init__(
        self, endpoint: Endpoint, transport: Transport, psp: str, operation: str, send_before: float | None
    ) -> None:
        self._endpoint = endpoint
        self._transport = transport
        self._psp = psp
        self._operation = operation
        self._send_before = send_before
        self.requests: list[RequestLog] = []

    async def send(self, request: PspRequest) -> PspResponse:
        """Send one request. Raises PspSilence and PspRefusedToProcess."""
        if self._send_before is not None and time.monotonic() >= self._send_before:
            raise PspSilence("not sent: the lease would end before the answer")
        reach("call.before_send", (self._operation,))
        headers = self._endpoint.connector.authenticate(self._endpoint.credentials)
        sent_at, began_s = datetime.now(UTC), time.monotonic()
        try:
            status, body = await self._transport(self._base_url(request), request, headers)
        except BaseException as fault:
            # The time-out of the whole call arrives here as a cancellation.
            error = "TimeoutError" if isinstance(fault, asyncio.CancelledError) else type(fault).__name__
            self._keep(request, None, b"", error, sent_at, began_s)
            raise
        finally:
            reach("call.after_send", (self._operation,))
        self._keep(request, status, body, None, sent_at, began_s)
        if status == 429:
            raise PspRefusedToProcess("the PSP refused to process the call (429)")
        if status >= 500:
            raise PspSilence(f"the PSP answered {status}")
        try:
            return PspResponse(status=status, body=msgspec.json.decode(body) if body else None)
        except msgspec.DecodeError as fault:
            raise PspSilence(f"the PSP answered {status} with something that is not JSON") from fault

    def _base_url(self, request: PspRequest) -> str:
        """Where it is sent: the manifest's own address may have a sister; one that the operator gave has none."""
        manifest = self._endpoint.connector.manifest
        if request.host is None or self._endpoint.base_url != manifest.base_url:
            return self._endpoint.base_url
        if request.host not in manifest.hosts:
            raise AssertionError(f"{request.host} is not one of the hosts of {manifest.name}")
        return f"https://{request.host}"

    def _keep(
        self, request: PspRequest, status: int | None, body: bytes, error: str | None, sent_at: datetime, began_s: float
    ) -> None:
        said = request.form if request.form is not None else request.json
        if request.upload is not None:
            said = {**request.upload.fields, request.upload.name: f"{len(request.upload.content)} bytes"}
        self.requests.append(
            RequestLog(
                psp=self._psp,
                method=request.method,
                path=kept_text(request.path + ("?" + urlencode(request.query) if request.query else "")),
                request=kept_text(msgspec.json.encode(said).decode()) if said is not None else "",
                status=status,
                response=kept_text(body.decode("utf-8", "replace")) if status is not None else None,
                error=error,
                duration_ms=int((time.monotonic() - began_s) * 1000),
                sent_at=sent_at,
            )
        )


async def _call_on_dispute(connector: Connector, action: OnDispute, ask: DisputeAsk, send: Send) -> DisputeState:
    if action == "submit" and isinstance(ask, EvidenceAsk) and connector.submit_evidence is not None:
        return await connector.submit_evidence(ask, send)
    if action == "accept" and connector.accept_dispute is not None:
        return await connector.accept_dispute(ask, send)
    if action == "fetch" and connector.fetch_dispute is not None:
        return await connector.fetch_dispute(ask, send)
    return DisputeState(verdict=Verdict.NOT_EXECUTED, detail=f"{connector.manifest.name} cannot be asked to {action}")


def about(ask: DisputeAsk, state: DisputeState) -> DisputeState:
    """`state`, unless it is about another dispute than was asked about: then an unknown one that says so."""
    told = state.notice
    if told is None or told.dispute_reference == ask.dispute_reference:
        return state
    detail = f"asked about {ask.dispute_reference}, answered about {told.dispute_reference}"
    return DisputeState(verdict=Verdict.UNKNOWN, detail=detail)


def not_set_up(psp: str, account_id: UUID | None) -> str:
    """Why nothing can be asked of an account."""
    if account_id is None:
        return f"no PSP named {psp} is set up"
    return f"the account {ids.show(ids.PSP_ACCOUNT, account_id)} at {psp} cannot be used"


def checked(ask: Ask, outcome: Outcome) -> Outcome:
    """`outcome`, unless it claims something else than was asked: then an unknown one that says so."""
    if outcome.verdict is not Verdict.APPROVED:
        return outcome
    contradiction = contradiction_of(ask, outcome)
    if contradiction is None:
        return outcome
    return Outcome(verdict=Verdict.UNKNOWN, contradiction=contradiction)


def contradiction_of(ask: Ask, outcome: Outcome) -> str | None:
    """What an approved outcome says that was not asked for; None where it agrees."""
    if outcome.currency is not None and outcome.currency != ask.currency:
        return f"asked in {ask.currency}, answered in {outcome.currency}"
    if outcome.reference is not None and outcome.reference != ask.reference:
        return f"asked as {ask.reference}, answered as {outcome.reference}"
    amount_minor = outcome.amount_minor
    if ask.operation is Operation.AUTHORIZE:
        if outcome.psp_reference is None or amount_minor is None:
            return "an approved authorization without a reference or an amount"
        if not 0 < amount_minor <= ask.amount_minor or outcome.captured_minor > amount_minor:
            return f"asked {ask.amount_minor}, answered {amount_minor} authorized, {outcome.captured_minor} captured"
        if outcome.captured_minor and not ask.capture:
            return f"captured {outcome.captured_minor}, but only an authorization was asked"
    elif ask.operation is not Operation.CANCEL and amount_minor != ask.amount_minor:
        return f"asked {ask.amount_minor}, answered {amount_minor}"
    return None
