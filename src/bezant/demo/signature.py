"""How a merchant verifies a webhook, by the Standard Webhooks specification alone: written from its text.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
from collections.abc import Mapping
from typing import Final

TOLERANCE_S: Final = 300
_PREFIX: Final = "whsec_"


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, now_s: float) -> bool:
    """Whether somebody who knows the secret has signed this body a short time ago."""
    message_id, signed_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not signed_at.isascii() or not signed_at.isdigit() or abs(now_s - int(signed_at)) > TOLERANCE_S:
        return False
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    digest = hmac.digest(key, f"{message_id}.{signed_at}.".encode() + body, "sha256")
    expected = b"v1," + base64.b64encode(digest)
    signatures = headers.get("webhook-signature", "").encode("utf-8", "replace").split()
    return any(hmac.compare_digest(expected, signature) for signature in signatures)
