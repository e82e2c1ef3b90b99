"""A PSP in the API's own process that answers at once: what is left is Bezant's own cost."""

import secrets
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from bezant.psp.contract import PspRequest

PENDING_METHOD = "pm_card_async"


async def approve(_base_url: str, request: PspRequest, _headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Answers an authorization as the simulator would: with automatic capture where it was asked for, or decided later.

    A charge has its reference in its name, so that whoever makes up webhooks need not ask for it.
    """
    if request.method != "POST":
        return 404, b'{"error":{"type":"invalid_request","code":"not_found","message":"nothing is kept"}}'
    asked = cast(dict[str, Any], request.json)
    is_pending = asked["payment_method"] == PENDING_METHOD
    answer = {
        "id": charge_of(asked["reference"]),
        "reference": asked["reference"],
        "currency": asked["currency"],
        "authorization": {
            "id": f"op_{secrets.token_hex(12)}",
            "status": "pending" if is_pending else "succeeded",
            "amount": asked["amount"],
            "captured": asked["amount"] if asked["capture"] and not is_pending else 0,
        },
    }
    return 201, msgspec.json.encode(answer)


def charge_of(reference: str) -> str:
    """The name of the charge that was made under this reference."""
    return f"ch_{reference.removeprefix('att_')}"
