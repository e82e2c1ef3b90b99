"""Who the PSPs of this installation are: connectors joined with their addresses and credentials."""

import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from bezant.base.errors import OperatorError
from bezant.psp.call import Endpoint
from bezant.psp.connector import Connector
from bezant.psp.contract import Credentials


def endpoints(
    connectors: Iterable[Connector], urls: Mapping[str, str], credentials: Mapping[str, Mapping[str, str]]
) -> dict[str, Endpoint]:
    """The connectors whose credentials are there, by name.

    Raises OperatorError for an override or credentials of a PSP that does not exist, and for a plain HTTP URL
    beyond loopback where credentials would travel.
    """
    known = {connector.manifest.name: connector for connector in connectors}
    for name in [*urls, *credentials]:
        if name not in known:
            raise OperatorError(f"BEZANT_PSP_{name.upper()}_...: there is no PSP {name!r}; known: {', '.join(known)}.")
    return {
        name: Endpoint(connector, _base_url(name, connector, urls), Credentials(credentials.get(name, {})))
        for name, connector in known.items()
        if all(credentials.get(name, {}).get(field) for field in connector.manifest.credential_fields)
    }


def _base_url(name: str, connector: Connector, urls: Mapping[str, str]) -> str:
    url = urls.get(name)
    if url is None:
        return connector.manifest.base_url
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise OperatorError(f"BEZANT_PSP_{name.upper()}_URL: an http or https URL without user or query is needed.")
    if parts.scheme == "http" and connector.manifest.credential_fields and not _is_loopback(parts.hostname):
        raise OperatorError(f"BEZANT_PSP_{name.upper()}_URL: credentials are sent over https only, except to loopback.")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
