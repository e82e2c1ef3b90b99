"""Asks PSPs which reports they have ready, and brings them as a stream."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

import aiohttp
import msgspec

from bezant.base.db import transaction_is_open
from bezant.psp.call import Endpoint
from bezant.psp.contract import PspRequest, PspResponse, PspSilence
from bezant.psp.reports import Offered

LIST_MAX_BYTES: Final = 16 << 20
_CONNECT_TIMEOUT_S: Final = 3.0
_PIECE_BYTES: Final = 1 << 18


class Download(Protocol):
    """Sends a request to a base URL with headers: the status, and the body as it comes."""

    def __call__(
        self, base_url: str, request: PspRequest, headers: Mapping[str, str], /
    ) -> AbstractAsyncContextManager[tuple[int, AsyncIterator[bytes]]]: ...


class HttpDownload:
    """Downloads with aiohttp, on a connection for each; redirects are not followed."""

    @asynccontextmanager
    async def __call__(
        self, base_url: str, request: PspRequest, headers: Mapping[str, str], /
    ) -> AsyncGenerator[tuple[int, AsyncIterator[bytes]]]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.request(
                request.method,
                base_url + request.path,
                params=request.query or None,
                headers={**headers, **request.headers},
                allow_redirects=False,
            ) as response,
        ):
            yield response.status, response.content.iter_chunked(_PIECE_BYTES)


class Pulls:
    """The platform's own accounts at PSPs that can be asked for reports."""

    def __init__(self, endpoints: Mapping[str, Endpoint], download: Download, *, timeout_s: float) -> None:
        self._endpoints = {name: each for name, each in endpoints.items() if each.connector.pull is not None}
        self._download = download
        self._timeout_s = timeout_s

    @property
    def psps(self) -> Collection[str]:
        """Their names."""
        return self._endpoints.keys()

    async def offered(self, psp: str) -> Sequence[Offered]:
        """What the PSP has ready. Raises PspSilence."""
        endpoint = self._endpoints[psp]
        pull = endpoint.connector.pull
        assert pull is not None
        _refuse_open_transaction()

        async def send(request: PspRequest) -> PspResponse:
            headers = endpoint.connector.authenticate(endpoint.credentials)
            body = bytearray()
            async with self._download(endpoint.base_url, request, headers) as (status, pieces):
                async for piece in pieces:
                    body += piece
                    if len(body) > LIST_MAX_BYTES:
                        raise PspSilence(f"the list is larger than {LIST_MAX_BYTES:,} bytes")
            if status >= 400:
                raise PspSilence(f"the PSP answered {status}")
            return PspResponse(status=status, body=msgspec.json.decode(body) if body else None)

        try:
            async with asyncio.timeout(self._timeout_s):
                return await pull(send)
        except (TimeoutError, OSError, aiohttp.ClientError, msgspec.MsgspecError) as fault:
            raise PspSilence(str(fault) or type(fault).__name__) from fault

    async def pieces(self, psp: str, offered: Offered) -> AsyncIterator[bytes]:
        """The file, piece by piece; each must come in time. Raises PspSilence."""
        endpoint = self._endpoints[psp]
        _refuse_open_transaction()
        headers = endpoint.connector.authenticate(endpoint.credentials)
        try:
            async with self._download(endpoint.base_url, offered.request, headers) as (status, body):
                if status != 200:
                    raise PspSilence(f"the PSP answered {status}")
                while True:
                    async with asyncio.timeout(self._timeout_s):
                        piece = await anext(body, b"")
                    if not piece:
                        return
                    yield piece
        except (TimeoutError, OSError, aiohttp.ClientError) as fault:
            raise PspSilence(str(fault) or type(fault).__name__) from fault


def _refuse_open_transaction() -> None:
    if transaction_is_open():
        raise AssertionError("a transaction is open across a call to a PSP")
