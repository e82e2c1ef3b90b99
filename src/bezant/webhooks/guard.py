"""Looks names up, and lets requests go to allowed addresses only.

The rule stands where the socket is made: whatever a name resolved to before, and whichever way a URL spells its
address, a connection is only opened to an address that was checked at that moment. `https` may go to public addresses,
and to the networks that the operator allows; `http` only to the latter.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

from bezant.webhooks.addresses import Network, Target, UrlRefused, is_public, is_within, parse_target

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""All addresses of a name. Raises OSError where there is none."""

NOT_ALLOWED: Final = "the URL leads to an address that is not allowed"
_CREATION_WAIT_S: Final = 3.0


class AddressNotAllowed(OSError):
    """A connection to this address is refused, without saying which one a name led to: that is the operator's."""

    def __init__(self) -> None:
        super().__init__(NOT_ALLOWED)


class SystemLookup:
    """Asks the system's resolver, on threads of its own: a name server that does not answer holds up nobody else."""

    def __init__(self, threads_max: int) -> None:
        self._threads = ThreadPoolExecutor(threads_max, thread_name_prefix="webhook-lookup")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(address[4][0]) for address in found))

    def close(self) -> None:
        """Begin no more look-ups."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Guard:
    """Decides by the operator's networks; public ones besides."""

    def __init__(self, allowed: Sequence[Network], lookup: Lookup) -> None:
        self._allowed = tuple(allowed)
        self._lookup = lookup

    def allows(self, scheme: str, address: str) -> bool:
        """Whether a connection for this scheme may be opened to `address`."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return is_within(parsed, self._allowed) or (scheme == "https" and is_public(parsed))

    async def check(self, url: str) -> Target:
        """Where `url` leads. Raises UrlRefused if that is known to be nowhere events may go.

        A name that does not resolve now is let pass: it is looked up again, and checked, before each connection.
        """
        target = parse_target(url)
        if target.scheme != "https" and not self._allowed:
            raise UrlRefused("The URL must begin with https://.")
        if target.literal is not None:
            found: Sequence[str] = (str(target.literal),)
        else:
            try:
                found = await asyncio.wait_for(self._lookup(target.host, target.port), _CREATION_WAIT_S)
            except (OSError, TimeoutError):
                found = ()
        if not all(self.allows(target.scheme, address) for address in found):
            if target.scheme != "https":
                raise UrlRefused("The URL must begin with https://.")
            raise UrlRefused("The URL leads to an address that is not public. Use one that the internet can reach.")
        return target

    def resolver(self, scheme: str) -> AbstractResolver:
        """What the HTTP client asks for the addresses of a name."""
        return _Resolver(self, scheme, self._lookup)

    def socket_factory(self, scheme: str) -> Callable[[Any], socket.socket]:
        """What the HTTP client makes its sockets with."""

        def make(address_info: Any) -> socket.socket:
            family, kind, protocol, _, address = address_info
            if not self.allows(scheme, address[0]):
                raise AddressNotAllowed
            return socket.socket(family, kind, protocol)

        return make


class _Resolver(AbstractResolver):
    """Gives the addresses of a name if all of them are allowed: one bad address is a sign of an attack."""

    def __init__(self, guard: Guard, scheme: str, lookup: Lookup) -> None:
        self._guard = guard
        self._scheme = scheme
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._lookup(host, port)
        if not all(self._guard.allows(self._scheme, address) for address in addresses):
            raise AddressNotAllowed
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
            if family in (socket.AF_UNSPEC, socket.AF_INET6 if ":" in address else socket.AF_INET)
        ]

    async def close(self) -> None:
        return
