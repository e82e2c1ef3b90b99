"""Stands before a PSP, passes every request on, and remembers with which key it came.

Questions for new reports and statements are passed on and not remembered: the platform's own account asks for them
by itself.
"""

import http.client
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import msgspec

_PAPERS = ("/_simulator/reports", "/_simulator/statements")


class Seen(msgspec.Struct, frozen=True):
    """One request: its method, its path, and the key that it carried."""

    method: str
    path: str
    key: str


class KeysSeen:
    """What came by so far, in order of arrival."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Seen] = []

    def keys(self, path: str = "") -> set[str]:
        """The keys of the requests whose path holds `path`."""
        return {seen.key for seen in list(self.requests) if path in seen.path}


@contextmanager
def keys_seen(psp_url: str) -> Generator[KeysSeen]:
    """A listener of its own, for as long as the block lasts."""
    target = urlsplit(psp_url).netloc

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if not self.path.startswith(_PAPERS):
                remembered.requests.append(Seen(self.command, self.path, key))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(target, timeout=30)
            try:
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
                connection.request(self.command, self.path, body or None, {**headers, "Connection": "close"})
                answer = connection.getresponse()
                raw = answer.read()
            except (OSError, http.client.HTTPException):
                self.close_connection = True
                return  # the PSP hung up: so do we
            finally:
                connection.close()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.getheader("Content-Type", "application/json"))
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            pass

    for method in ("GET", "POST", "DELETE"):
        setattr(Passing, f"do_{method}", Passing.pass_on)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
    server.daemon_threads = True
    remembered = KeysSeen(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield remembered
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
