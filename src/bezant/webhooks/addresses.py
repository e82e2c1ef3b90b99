"""Which URLs and addresses a merchant may send us to. Pure.

Without this anybody with a key could have requests made inside the operator's network: to a cloud's metadata service,
to a database, to this API itself. The text of a URL is only the first sight: what counts is the address that is
connected to, whatever its spelling and whenever the name was looked up.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

import msgspec

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_PORTS: Final = {"https": 443, "http": 80}
_PRINTABLE: Final = re.compile(r"[!-~]+")
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"  # a longer one no resolver takes
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

# What `is_global` lets pass though nobody's server is there: IETF protocol assignments and relays of 6to4.
_IPV4_REFUSED: Final = (ip_network("192.0.0.0/24"), ip_network("192.88.99.0/24"))
# Only 2000::/3 is handed out to anybody; within it what wraps IPv4 addresses (Teredo, 6to4) or is for documents.
_IPV6_PUBLIC: Final = IPv6Network("2000::/3")
_IPV6_REFUSED: Final = tuple(ip_network(n) for n in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
_NAT64: Final = IPv6Network("64:ff9b::/96")


class UrlRefused(Exception):
    """The URL is none that events are sent to. The message says why, and how to mend it."""


class Target(msgspec.Struct, frozen=True):
    """Where a URL leads. `host` is in lower case, without brackets; `literal` is its address if it is one."""

    scheme: str
    host: str
    port: int
    literal: Address | None


def parse_target(url: str) -> Target:
    """Where `url` leads. Raises UrlRefused for anything that two readers could understand differently."""
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise UrlRefused("The URL may only have printable ASCII characters: encode others, names as xn--...")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlRefused("The URL is malformed.") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise UrlRefused("The URL must look like https://host/path.")
    if "@" in parts.netloc:
        raise UrlRefused("The URL may not hold a user name or a password; requests are signed instead.")
    if "#" in url:
        raise UrlRefused("The URL may not have a fragment, which is never sent.")
    if port == 0:
        raise UrlRefused("The URL's port is not one.")
    host = parts.hostname.lower()
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], _literal(host, "[" in parts.netloc))


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet; those that wrap an IPv4 address count as that one."""
    plain = unwrapped(address)
    if isinstance(plain, IPv4Address):
        return plain.is_global and not plain.is_multicast and not any(plain in network for network in _IPV4_REFUSED)
    return plain in _IPV6_PUBLIC and plain.is_global and not any(plain in network for network in _IPV6_REFUSED)


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks."""
    plain = unwrapped(address)
    return any(plain in network for network in networks if network.version == plain.version)


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, mapped or behind NAT64; else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _literal(host: str, in_brackets: bool) -> Address | None:
    """The address that `host` spells out. Spellings that only some readers know (127.1, 0x7f000001) are refused."""
    if in_brackets:
        try:
            address = IPv6Address(host)
        except ValueError:
            raise UrlRefused("The URL's host is not an IPv6 address.") from None
        if address.scope_id is not None:
            raise UrlRefused("The URL's host may not name a network interface.")
        return address
    if not _NAME.fullmatch(host) or len(host) > 253:
        raise UrlRefused("The URL's host is not a name.")
    if not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return None
    try:
        literal = ip_address(host)
    except ValueError:
        raise UrlRefused("The URL's host ends in a number but is not an IPv4 address like 192.0.2.1.") from None
    return literal
