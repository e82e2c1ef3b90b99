"""What merchants' servers can do to us, and what nobody can have us do: every request goes over a real socket."""

import asyncio
import datetime as dt
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from email.utils import format_datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bezant.base.db import Database
from bezant.webhooks.addresses import Network
from bezant.webhooks.guard import NOT_ALLOWED, Guard, Lookup, SystemLookup
from bezant.webhooks.send import Sender
from bezant.webhooks.states import Try
from tests.webhooks.world import Receiver

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
BODY = b'{"type":"payment.captured","data":{"name":"one"}}'
HEADERS = {"webhook-id": "evt_1"}


@asynccontextmanager
async def sender(
    allowed: Sequence[Network] = LOOPBACK, lookup: Lookup | None = None, timeout_s: float = 2.0
) -> AsyncIterator[Sender]:
    system = SystemLookup(2)
    made = Sender(Guard(allowed, lookup or system), timeout_s=timeout_s)
    try:
        yield made
    finally:
        await made.close()
        system.close()


@asynccontextmanager
async def listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None,
) -> AsyncIterator[tuple[int, list[int]]]:
    """A bare TCP server: its port, and an entry for each connection that was made to it."""
    connections: list[int] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        try:
            if handle is not None:
                await handle(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], connections
    finally:
        server.close()


@asynccontextmanager
async def receiving(
    answer: Callable[[Receiver], Awaitable[web.StreamResponse]] | None = None,
) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    if answer is not None:
        receiver.answer = lambda _: answer(receiver)
    await receiver.server.start_server(shutdown_timeout=0.1)
    try:
        yield receiver
    finally:
        await receiver.server.close()


async def test_body_url_and_headers_arrive_as_they_are() -> None:
    async with receiving() as receiver, sender() as made:
        tried = await made.post(receiver.url + "/a%2Fb%20c?token=x%26y&z=%C3%B6+1", HEADERS, BODY)
        assert (tried.status, tried.error, tried.answer) == (200, None, b"thanks")
        (got,) = receiver.got
        assert got.body == BODY
        assert got.headers["webhook-id"] == "evt_1"
        assert got.path == "/hook/a/b c"


async def test_redirect_is_a_failure_and_is_not_followed() -> None:
    async with listening() as (port, connections):

        async def answer(_: Receiver) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": f"http://127.0.0.1:{port}/inside"})

        async with receiving(answer) as receiver, sender() as made:
            tried = await made.post(receiver.url, HEADERS, BODY)
        assert tried.status == 307
        assert connections == []


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "https://[::ffff:7f00:1]:{port}/",
        "https://localhost:{port}/",
        "http://127.0.0.1:{port}/",
        "https://0.0.0.0:{port}/",
    ],
)
async def test_address_that_is_not_allowed_is_not_connected_to_however_its_url_got_here(url: str) -> None:
    async with listening() as (port, connections), sender(allowed=()) as made:
        tried = await made.post(url.format(port=port), HEADERS, BODY)
        assert (tried.status, tried.error) == (None, NOT_ALLOWED)
        assert connections == []


@pytest.mark.parametrize("url", ["https://2130706433:{port}/", "https://0x7f.1:{port}/", "https://127.1:{port}/"])
async def test_spelling_that_only_some_readers_know_is_not_connected_to(url: str) -> None:
    async with listening() as (port, connections), sender() as made:
        tried = await made.post(url.format(port=port), HEADERS, BODY)
        assert tried.status is None
        assert tried.error is not None
        assert connections == []


async def test_name_that_is_bound_anew_to_an_inner_address_is_not_connected_to() -> None:
    """First it resolves to a public address, as when the endpoint was made; then to this machine."""
    answers = [["93.184.216.34"], ["127.0.0.1"], ["93.184.216.34", "127.0.0.1"]]

    async def lookup(host: str, port: int) -> Sequence[str]:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async with listening() as (port, connections), sender(allowed=(), lookup=lookup) as made:
        await Guard((), lookup).check(f"https://shop.example:{port}/")
        for _ in range(3):
            tried = await made.post(f"https://shop.example:{port}/", HEADERS, BODY)
            assert (tried.status, tried.error) == (None, NOT_ALLOWED)
        assert connections == []


async def test_allowed_name_is_connected_to_at_the_address_that_was_checked() -> None:
    asked: list[str] = []

    async def lookup(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with receiving() as receiver, sender(lookup=lookup) as made:
        tried = await made.post(f"http://shop.internal:{receiver.server.port}/hook", HEADERS, BODY)
    assert tried.status == 200
    assert receiver.got[0].headers["host"].startswith("shop.internal:")
    assert asked == ["shop.internal"]


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as (port, connections), receiving() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        async with sender() as made:
            tried = await made.post(receiver.url, HEADERS, BODY)
    assert tried.status == 200
    assert connections == []


async def test_cookies_are_not_kept() -> None:
    async def answer(_: Receiver) -> web.StreamResponse:
        return web.Response(headers={"Set-Cookie": "merchant=other; Path=/"})

    async with receiving(answer) as receiver, sender() as made:
        for _ in range(2):
            await made.post(receiver.url, HEADERS, BODY)
    assert all("cookie" not in got.headers for got in receiver.got)


async def test_answer_is_kept_as_it_comes_and_never_unpacked() -> None:
    async def answer(_: Receiver) -> web.StreamResponse:
        return web.Response(body=gzip.compress(b"0" * 10_000_000), headers={"Content-Encoding": "gzip"})

    async with receiving(answer) as receiver, sender() as made:
        tried = await made.post(receiver.url, HEADERS, BODY)
    assert tried.status == 200
    assert tried.answer is not None
    assert b"0000" not in tried.answer
    assert len(tried.answer) <= 1024


@pytest.mark.parametrize("pause_s", [0.0, 0.2])
async def test_answer_without_end_is_not_waited_for(pause_s: float) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            writer.write(b"x" if pause_s else b"x" * 65_536)
            await writer.drain()
            await asyncio.sleep(pause_s)

    async with listening(endless) as (port, _), sender(timeout_s=1) as made:
        tried = await asyncio.wait_for(made.post(f"http://127.0.0.1:{port}/", HEADERS, BODY), 5)
    assert (tried.status, tried.error) == (200, None)
    assert tried.answer is not None
    assert len(tried.answer) == 1024 if not pause_s else 0 < len(tried.answer) < 100


async def test_answer_is_kept_without_card_data_and_secrets() -> None:
    async def answer(_: Receiver) -> web.StreamResponse:
        return web.Response(text="card 4111 1111 1111 1111, key sk_live_abcdefghijklmnop")

    async with receiving(answer) as receiver, sender() as made:
        tried = await made.post(receiver.url, HEADERS, BODY)
    assert tried.answer is not None
    assert b"4111" not in tried.answer
    assert b"abcdefgh" not in tried.answer


@pytest.mark.parametrize("before", range(1004, 1024))
async def test_no_part_of_a_card_number_is_kept_at_the_edge(before: int) -> None:
    text = "x" * (before - 1) + " 4111111111111111 " + "x" * 100

    async def answer(_: Receiver) -> web.StreamResponse:
        return web.Response(text=text)

    async with receiving(answer) as receiver, sender() as made:
        tried = await made.post(receiver.url, HEADERS, BODY)
    assert tried.answer is not None
    assert b"41" not in tried.answer


async def says(raw: bytes) -> Try:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()

    async with listening(handle) as (port, _), sender(timeout_s=1) as made:
        return await made.post(f"http://127.0.0.1:{port}/", HEADERS, BODY)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "the connection was closed before an answer came"),
        (b"HTTP/1.1 200", "the connection was closed before an answer came"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 99999 OK\r\n\r\n", "the answer is not HTTP"),
    ],
)
async def test_what_is_no_answer_is_a_failed_try_with_its_reason(raw: bytes, error: str) -> None:
    tried = await says(raw)
    assert (tried.status, tried.answer, tried.error) == (None, None, error)


async def test_answer_that_breaks_off_counts_by_its_status() -> None:
    tried = await says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthan")
    assert (tried.status, tried.error) == (200, None)


def busy(retry_after: str, status: int = 429) -> bytes:
    return f"HTTP/1.1 {status} Busy\r\nRetry-After: {retry_after}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")


async def test_busy_server_says_for_how_long_it_wants_to_be_left_alone() -> None:
    for status in (429, 503):
        assert (await says(busy("120", status))).retry_after == dt.timedelta(seconds=120)
    at = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    tried = await says(busy(format_datetime(at, usegmt=True)))
    assert tried.retry_after is not None
    assert dt.timedelta(minutes=59) < tried.retry_after <= dt.timedelta(hours=1)
    assert (await says(busy("Sun, 06 Nov 1994 08:49:37 GMT"))).retry_after == dt.timedelta()


@pytest.mark.parametrize(
    "retry_after", ["", "soon", "-5", "1.5", "9" * 40, "Sun, 99 Nov 1994 08:49:37 GMT", "1 Jan 2026 0:0:0 +" + "9" * 20]
)
async def test_wish_that_cannot_be_read_is_none(retry_after: str) -> None:
    tried = await says(busy(retry_after))
    assert (tried.status, tried.error, tried.retry_after) == (429, None, None)


async def test_wish_of_a_server_that_is_not_busy_is_none() -> None:
    for status in (200, 301, 500):
        assert (await says(busy("120", status))).retry_after is None


async def test_server_that_is_down_and_name_that_is_unknown_are_failed_tries() -> None:
    async with listening() as (port, _):
        pass
    async with sender() as made:
        down = await made.post(f"http://127.0.0.1:{port}/", HEADERS, BODY)
        unknown = await made.post("https://no-such-name.invalid/", HEADERS, BODY)
    assert down.error == "no connection could be made: Connection refused"
    assert unknown.error == "the host name does not resolve"


async def test_silent_server_and_silent_name_server_are_given_up_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def lookup(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    async with listening(silent) as (port, _), sender(timeout_s=0.2, lookup=lookup) as made:
        by_address = await made.post(f"http://127.0.0.1:{port}/", HEADERS, BODY)
        by_name = await made.post("https://shop.example/", HEADERS, BODY)
    for tried in (by_address, by_name):
        assert tried.error == "no answer within 0.2 s"
        assert 200 <= tried.latency_ms < 1_000


async def test_no_request_is_made_while_a_transaction_is_open(database_url: str) -> None:
    database = Database(database_url, connections_max=1)
    await database.open()
    try:
        async with receiving() as receiver, sender() as made:
            with pytest.raises(RuntimeError, match="transaction"):
                async with database.transaction():
                    await made.post(receiver.url, HEADERS, BODY)
            assert receiver.got == []
    finally:
        await database.close()


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self._certificate = self._built(self._name, self._key, [], is_authority=True)
        self.file = folder / "authority.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, *names: x509.GeneralName, days: int = 30) -> ssl.SSLContext:
        """A server's side of TLS, with a certificate for these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        certificate = self._built(subject, key, names, days=days)
        path = self._folder / "server.pem"
        plain = serialization.NoEncryption()
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        path.write_bytes(key.private_bytes(pem, pkcs8, plain) + certificate.public_bytes(pem))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _built(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        names: Sequence[x509.GeneralName],
        *,
        is_authority: bool = False,
        days: int = 30,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=60))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())


@asynccontextmanager
async def receiving_by_tls(context: ssl.SSLContext) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    receiver.server = TestServer(receiver.server.app, scheme="https")
    await receiver.server.start_server(ssl=context, shutdown_timeout=0.1)
    try:
        yield receiver
    finally:
        await receiver.server.close()


LOCAL = x509.IPAddress(ip_address("127.0.0.1"))


async def tried_by_tls(
    authority: Authority, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, *, is_trusted: bool = True
) -> tuple[Try, Receiver]:
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with receiving_by_tls(context) as receiver, sender() as made:
        return await made.post(f"https://127.0.0.1:{receiver.server.port}/hook", HEADERS, BODY), receiver


async def test_server_with_a_valid_certificate_is_sent_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    tried, receiver = await tried_by_tls(authority, authority.context(LOCAL), monkeypatch)
    assert (tried.status, tried.error) == (200, None)
    assert len(receiver.got) == 1


async def test_certificate_of_an_unknown_authority_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    tried, receiver = await tried_by_tls(authority, authority.context(LOCAL), monkeypatch, is_trusted=False)
    assert tried.status is None
    assert tried.error is not None
    assert tried.error.startswith("the certificate is not valid")
    assert receiver.got == []


async def test_certificate_of_another_name_or_past_its_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    for context in (authority.context(x509.DNSName("other.example")), authority.context(LOCAL, days=-1)):
        tried, receiver = await tried_by_tls(authority, context, monkeypatch)
        assert tried.status is None
        assert tried.error is not None
        assert tried.error.startswith("the certificate is not valid")
        assert receiver.got == []


async def test_server_that_speaks_no_tls_is_a_failed_try() -> None:
    async with receiving() as receiver, sender() as made:
        tried = await made.post(f"https://127.0.0.1:{receiver.server.port}/hook", HEADERS, BODY)
    assert (tried.status, tried.error) == (None, "no TLS connection could be made")
