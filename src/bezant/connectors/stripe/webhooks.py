"""Who signed an event of Stripe's.

The header (https://docs.stripe.com/webhooks/signature) is `Stripe-Signature: t=<unix>,v1=<hex>[,v1=...]`, where `v1` is
HMAC-SHA256 over `<t>.<raw body>` under the endpoint's whole secret. Other schemes are ignored.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from bezant.connectors.stripe.calls import CONNECTED_ACCOUNT
from bezant.connectors.stripe.events import notices
from bezant.psp.contract import Credentials
from bezant.psp.notices import TOLERANCE_S, RawEvent, WebhookRefused, WebhookRequest, Webhooks

HEADER: Final = "stripe-signature"

_SIGNED_AT = re.compile(r"[0-9]{1,12}")
_MODE = re.compile(r"[rs]k_(live|test)_")

_Name = Annotated[str, Meta(pattern=r"^[!-~]+$", max_length=255)]
_UnixTime = Annotated[int, Meta(ge=0, le=253_402_300_799)]
_Time = Annotated[datetime, Meta(tz=True)]


class _Envelope(msgspec.Struct, frozen=True):
    """What every event has. `created` is a text in events of API v2."""

    id: _Name
    type: _Name
    created: _UnixTime | _Time
    account: str | None = None
    livemode: bool | None = None


def accept(
    request: WebhookRequest, secrets: Sequence[str], credentials: Credentials, now: datetime
) -> Sequence[RawEvent]:
    """The event of a request that one of the secrets has signed, a short time ago, for this account.

    Stripe tells each endpoint for connected accounts of all of them: what is another's comes to that one's address too,
    and nothing of it is kept here. Nor is anything of their test mode, of which it tells an endpoint of live mode as
    well: their owners pay there with money that does not exist, under any reference they like.
    """
    signed_at = _verified(request, secrets)
    if abs(now.timestamp() - signed_at) > TOLERANCE_S:
        raise WebhookRefused("signature_stale", "the request was signed more than five minutes ago, or in the future")
    try:
        event = msgspec.json.decode(request.body, type=_Envelope)
    except msgspec.DecodeError as fault:
        raise WebhookRefused("invalid_request", f"not an event of Stripe's: {fault}") from fault
    expected = credentials.fields.get(CONNECTED_ACCOUNT) or None
    if (event.account is None) != (expected is None):
        raise WebhookRefused("invalid_request", f"an event of {event.account or 'the platform itself'}")
    if event.account != expected:
        return ()
    if _is_of_the_other_mode(event, credentials):
        if event.account is not None and not event.livemode:
            return ()
        raise WebhookRefused("invalid_request", f"an event of {'live' if event.livemode else 'test'} mode")
    at = event.created if isinstance(event.created, datetime) else datetime.fromtimestamp(event.created, UTC)
    return (RawEvent(event_id=event.id, type=event.type, occurred_at=at.astimezone(UTC), body=request.body),)


def _is_of_the_other_mode(event: _Envelope, credentials: Credentials) -> bool:
    """Whether the account's key is of live mode and the event of test mode, or the other way round."""
    mode = _MODE.match(credentials.fields.get("secret_key", ""))
    return mode is not None and event.livemode is not None and event.livemode is not (mode[1] == "live")


def _verified(request: WebhookRequest, secrets: Sequence[str]) -> int:
    """When the request was signed, if any of its signatures is by any of the secrets."""
    fields = [field.partition("=") for field in request.headers.get(HEADER, "").split(",")]
    times = [value for name, _, value in fields if name == "t"]
    signatures = [value.encode("utf-8", "replace") for name, _, value in fields if name == "v1"]
    is_whole = all(equals for _, equals, _ in fields)
    if not is_whole or len(times) != 1 or not _SIGNED_AT.fullmatch(times[0]) or not signatures:
        raise WebhookRefused("signature_invalid", "the Stripe-Signature header is missing or cannot be read")
    signed = times[0].encode() + b"." + request.body
    for secret in secrets:
        if not secret.strip():
            continue  # anybody can sign with an empty key
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()
        if any(hmac.compare_digest(expected, signature) for signature in signatures):
            return int(times[0])
    raise WebhookRefused("signature_invalid", "no signature is by a secret of this account")


WEBHOOKS: Final = Webhooks(accept=accept, notices=notices)
