"""Who sends a request, as the hook that `build` was given makes it out from the key."""

from collections.abc import Awaitable, Callable
from typing import Literal
from uuid import UUID

import msgspec


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """The merchant behind a key, and what the key may do. `rate_per_s` is how many requests a second it may send.

    `is_operator`: it speaks for whoever runs this installation, and not for a merchant.
    """

    merchant_id: UUID
    key_id: UUID
    kind: Literal["secret", "publishable"]
    scopes: frozenset[str]
    rate_per_s: int
    is_operator: bool = False


Authenticate = Callable[[str], Awaitable[Principal]]
"""Gives the principal of a bearer token, or raises Unauthorized. Called for each request, so it has to be quick."""
