"""Who the PSPs of this installation are: connectors joined with their addresses and the platform's own credentials."""

import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from bezant.base.errors import OperatorError
from bezant.psp.account_secrets import WEBHOOK_FIELD
from bezant.psp.call import Endpoint
from bezant.psp.connector import Connector
from bezant.psp.contract import Credentials


def endpoints(
    connectors: Iterable[Connector],
    urls: Mapping[str, str],
    credentials: Mapping[str, Mapping[str, str]],
    webhook_secrets: Mapping[str, str] | None = None,
) -> dict[str, Endpoint]:
    """The platform's own accounts by PSP: those whose credentials are there.

    `webhook_secrets` says what a PSP's webhooks are signed with where nothing is configured. Raises OperatorError for
    an override or credentials of a PSP that does not exist, for a field that it does not know, and for a plain HTTP
    URL beyond loopback where credentials would travel.
    """
    known = {connector.manifest.name: connector for connector in connectors}
    for name in [*urls, *credentials]:
        if name not in known:
            raise OperatorError(f"BEZANT_PSP_{name.upper()}_...: there is no PSP {name!r}; known: {', '.join(known)}.")
    for name, given in credentials.items():
        _refuse_unknown_fields(known[name], given)
    found: dict[str, Endpoint] = {}
    for name, connector in known.items():
        given = dict(credentials.get(name, {}))
        secrets = given.pop(WEBHOOK_FIELD, (webhook_secrets or {}).get(name, ""))
        if all(given.get(field) for field in connector.manifest.credential_fields):
            url = base_url(connector, urls)
            found[name] = Endpoint(connector, url, Credentials(given), separated(secrets))
    return found


def separated(webhook_secrets: str) -> tuple[str, ...]:
    """The secrets of a text that holds several, separated by commas."""
    return tuple(secret for part in webhook_secrets.split(",") if (secret := part.strip()))


def base_url(connector: Connector, urls: Mapping[str, str]) -> str:
    """Where the PSP is called. Raises OperatorError for an override that cannot be used."""
    name, url = connector.manifest.name, urls.get(connector.manifest.name)
    if url is None:
        return connector.manifest.base_url
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise OperatorError(f"BEZANT_PSP_{name.upper()}_URL: an http or https URL without user or query is needed.")
    if parts.scheme == "http" and connector.manifest.credential_fields and not _is_loopback(parts.hostname):
        raise OperatorError(f"BEZANT_PSP_{name.upper()}_URL: credentials are sent over https only, except to loopback.")
    return url.rstrip("/")


def _refuse_unknown_fields(connector: Connector, given: Mapping[str, str]) -> None:
    manifest = connector.manifest
    fields = (*manifest.credential_fields, *manifest.optional_fields)
    for field in given:
        if field not in fields and field != WEBHOOK_FIELD:
            prefix = f"BEZANT_PSP_{manifest.name.upper()}_"
            known = ", ".join(prefix + each.upper() for each in (*fields, WEBHOOK_FIELD, "url"))
            raise OperatorError(f"{prefix}{field.upper()} is not a known variable. Known are {known}.")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
