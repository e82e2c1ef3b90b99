"""A `send` for connectors over aiohttp, with the rules of the contract: what is not an answer never reaches a
connector.
"""

from collections.abc import Mapping

import aiohttp

from bezant.psp.contract import PspRefusedToProcess, PspRequest, PspResponse, PspSilence


class HttpSend:
    """Sends to one PSP with one set of credentials."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, headers: Mapping[str, str], timeout_s: float = 10.0
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._headers = headers
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def __call__(self, request: PspRequest) -> PspResponse:
        try:
            async with self._session.request(
                request.method,
                self._base_url + request.path,
                headers={**self._headers, **request.headers},
                params=request.query,
                data=request.form,
                json=request.json,
                timeout=self._timeout,
            ) as response:
                if response.status == 429:
                    raise PspRefusedToProcess
                if response.status >= 500:
                    raise PspSilence(f"HTTP {response.status}")
                return PspResponse(status=response.status, body=await response.json(content_type=None))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise PspSilence(type(error).__name__) from error
