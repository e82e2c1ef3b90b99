"""One request to a PSP as it is kept for people: redacted, bounded."""

from datetime import datetime

import msgspec

from bezant.base.card_data import redact_card_data
from bezant.base.log import redact_text

_TEXT_MAX = 2_000
_SIGNS_OF_SECRETS = ("secret", "sk_", "pk_", "rk_", "whsec_", "bearer", "basic", "password", "api_key", "://")
"""Without any of them there is nothing that `redact_text` would find besides card data; looking costs a fiftieth."""


class RequestLog(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Headers, which carry the credentials, are not kept."""

    psp: str
    method: str
    path: str
    request: str
    status: int | None
    response: str | None
    error: str | None
    duration_ms: int
    sent_at: datetime


def kept_text(text: str) -> str:
    """`text` without card data and secrets, bounded, and without the NUL that PostgreSQL refuses."""
    bounded = text[: 2 * _TEXT_MAX]  # cut once more at the end, so that no half of a number stays at the edge
    lowered = bounded.lower()
    may_hold_secret = any(sign in lowered for sign in _SIGNS_OF_SECRETS)
    redacted = (redact_text if may_hold_secret else redact_card_data)(bounded)
    return redacted[:_TEXT_MAX].replace("\x00", "\N{REPLACEMENT CHARACTER}")
