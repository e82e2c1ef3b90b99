"""One request to a PSP as it is kept for people: redacted, bounded."""

from datetime import datetime

import msgspec

from bezant.base.card_data import redact_card_data

_TEXT_MAX = 2_000


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
    """`text` without card data, bounded, and without the NUL that PostgreSQL refuses."""
    return redact_card_data(text[:_TEXT_MAX]).replace("\x00", "\N{REPLACEMENT CHARACTER}")
