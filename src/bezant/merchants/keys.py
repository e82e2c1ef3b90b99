"""API keys: `sk_` speaks for the platform's backend, `pk_` for a browser."""

import hashlib
import secrets
from typing import Final

SCOPES: Final = frozenset(
    {
        "payments:write",
        "payments:read",
        "ledger:read",
        "events:read",
        "operations:write",
        "inbox:read",
        "inbox:write",
        "webhooks:read",
        "webhooks:write",
        "disputes:read",
        "disputes:write",
    }
)
OPERATOR_SCOPES: Final = frozenset(
    {"reconciliation:read", "reconciliation:write"} | (SCOPES - {"payments:write", "operations:write"})
)
"""What a key of the operator's own may do: there are no payments in that book."""

PUBLISHABLE_SCOPES: Final = frozenset({"payments:confirm"})

_PREFIXES: Final = {"secret": "sk_", "publishable": "pk_"}


def new_key(kind: str) -> str:
    """A new key with 256 random bits. Shown once."""
    return _PREFIXES[kind] + secrets.token_urlsafe(32)


def hash_key(key: str) -> bytes:
    """What is stored of a key: with 256 random bits a plain SHA-256 cannot be searched."""
    return hashlib.sha256(key.encode()).digest()


def display(key: str) -> str:
    """The part of a key that may be shown in a list."""
    return key[:9] + "..."
