"""A tiny application of sample routes, served by uvicorn in a thread, and a client that shows every byte."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import msgspec
import uvicorn

from bezant import web
from bezant.base.errors import Conflict, Unauthorized, Unavailable

MERCHANT = UUID(int=1)
KEYS = {
    "sk_all": web.Principal(
        merchant_id=MERCHANT,
        key_id=UUID(int=1),
        kind="secret",
        scopes=frozenset({"things:read", "things:write"}),
        rate_per_s=10_000_000,
    ),
    "sk_read": web.Principal(
        merchant_id=MERCHANT,
        key_id=UUID(int=2),
        kind="secret",
        scopes=frozenset({"things:read"}),
        rate_per_s=10_000_000,
    ),
    "sk_slow": web.Principal(
        merchant_id=MERCHANT, key_id=UUID(int=3), kind="secret", scopes=frozenset({"things:read"}), rate_per_s=2
    ),
    "sk_operator": web.Principal(
        merchant_id=UUID(int=2),
        key_id=UUID(int=5),
        kind="secret",
        scopes=frozenset({"things:write"}),
        rate_per_s=10_000_000,
        is_operator=True,
    ),
    "pk_all": web.Principal(
        merchant_id=MERCHANT, key_id=UUID(int=4), kind="publishable", scopes=frozenset(), rate_per_s=10_000_000
    ),
}


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a thing costs."""

    value: Annotated[int, msgspec.Meta(ge=1, le=999_999_999_999)]
    currency: str


class NewThing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A thing to be made."""

    name: str
    price: Price
    labels: dict[str, str] = {}
    sizes: list[int] = []


class Thing(msgspec.Struct, frozen=True):
    """A thing."""

    thing_id: str
    name: str
    key: str | None


class Counted(msgspec.Struct, frozen=True):
    """What came."""

    pieces: int
    bytes: int


class Filters(web.PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How things are looked for."""

    name: Annotated[str, msgspec.Meta(max_length=20, description="The `name`.")] | None = None


class Gates:
    """What a test opens to let waiting handlers go on."""

    def __init__(self) -> None:
        self.waiting = 0
        self.open = threading.Event()
        self.is_ready = True


async def create(call: web.Call) -> web.Reply:
    """Make a thing.

    Described <in> more `detail`.
    """
    new = call.read(NewThing)
    return web.json_reply(201, Thing("thg_1", new.name, call.idempotency_key), {"Idempotent-Replayed": "true"})


async def show(call: web.Call) -> web.Reply:
    """Show a thing."""
    if call.path_params["thing_id"] == "broken":
        raise RuntimeError("secret inner state")
    if call.path_params["thing_id"] == "taken":
        raise Conflict("invalid_state", "The thing is taken.", param="/thing_id")
    return web.json_reply(200, Thing(call.path_params["thing_id"], call.headers["user-agent"], None))


async def find(call: web.Call) -> web.Reply:
    """Find things."""
    filters = call.read_query(Filters)
    after = web.decode_cursor("things", filters.cursor, str) if filters.cursor else "start"
    things = [Thing(after, filters.name or "", str(filters.limit))]
    return web.json_reply(200, web.Page(things, True, web.encode_cursor("things", "thg_9")))


async def receive(call: web.Call) -> web.Reply:
    """Take a notice."""
    return web.Reply(200, call.body, content_type="application/octet-stream")


async def count(call: web.Call) -> web.Reply:
    """Count what comes."""
    if "unread" in call.query:
        return web.Reply(204)
    pieces = [len(piece) async for piece in call.stream]
    return web.json_reply(200, Counted(len(pieces), sum(pieces)))


async def authenticate(token: str) -> web.Principal:
    if token not in KEYS:
        raise Unauthorized
    return KEYS[token]


def routes(gates: Gates) -> tuple[web.Route, ...]:
    async def wait(_call: web.Call) -> web.Reply:
        """Wait until the test says so."""
        gates.waiting += 1
        await asyncio.to_thread(gates.open.wait, 30)
        return web.Reply(204)

    return (
        web.Route(
            "POST", "/things", create, scope="things:write", idempotency="required", request=NewThing,
            responses={201: Thing}, errors={409: ("invalid_state",)},
        ),
        web.Route("POST", "/things/{thing_id}/touch", show, scope="things:write", responses={200: Thing}),
        web.Route("GET", "/things", find, scope="things:read", query=Filters, responses={200: web.Page[Thing]}),
        web.Route("GET", "/things/{thing_id}", show, scope="things:read", publishable=True, responses={200: Thing}),
        web.Route("GET", "/wait", wait, scope="things:read", responses={204: None}),
        web.Route("POST", "/webhooks", receive, prefix="/internal", opaque_body=True, body_max=300_000),
        web.Route(
            "POST", "/things/file", count, scope="things:write", operator=True, streamed=True, body_max=3_000_000,
            responses={200: Counted},
        ),
    )  # fmt: skip


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Plain HTTP/1.1 with a secret key, unless told otherwise."""

    def __init__(self, port: int) -> None:
        self.port = port

    def send(
        self, method: str, path: str, body: bytes | None = None, *, key: str | None = "sk_all", **headers: str
    ) -> Answer:
        sent = {"user-agent": "test"} | ({"authorization": f"Bearer {key}"} if key else {})
        if body is not None:
            sent |= {"content-type": "application/json", "idempotency-key": "key-1"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {name: value for name, value in sent.items() if value})
            response = connection.getresponse()
            return Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def send_raw(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(request)
            reply = b""
            while b"\r\n\r\n" not in reply:
                if not (part := connection.recv(65536)):
                    break
                reply += part
            return reply


def wait_for(condition: Any, deadline_s: float = 10.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)


@contextmanager
def serving(gates: Gates, in_flight_max: int = 100) -> Iterator[Client]:
    async def ready() -> None:
        if not gates.is_ready:
            raise Unavailable

    app = web.build(routes(gates), authenticate, version="1.2.3", ready=ready, in_flight_max=in_flight_max)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, **web.UVICORN_OPTIONS))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield Client(listener.getsockname()[1])
    finally:
        gates.open.set()
        server.should_exit = True
        thread.join(timeout=20)
        listener.close()
