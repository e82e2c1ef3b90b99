"""A PSP in the API's own process that approves at once: what is left is Bezant's own cost."""

import secrets
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from bezant.psp.contract import PspRequest


async def approve(_base_url: str, request: PspRequest, _headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Answers an authorization as the simulator would, with automatic capture where it was asked for."""
    if request.method != "POST":
        return 404, b'{"error":{"type":"invalid_request","code":"not_found","message":"nothing is kept"}}'
    asked = cast(dict[str, Any], request.json)
    answer = {
        "id": f"ch_{secrets.token_hex(12)}",
        "reference": asked["reference"],
        "currency": asked["currency"],
        "authorization": {
            "id": f"op_{secrets.token_hex(12)}",
            "status": "succeeded",
            "amount": asked["amount"],
            "captured": asked["amount"] if asked["capture"] else 0,
        },
    }
    return 201, msgspec.json.encode(answer)
