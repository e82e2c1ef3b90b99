"""The reports and bank statements that the simulator has ready: it is the bank as well."""

from typing import Final, Literal, cast

from bezant.psp.contract import PspRequest, Send
from bezant.psp.reports import Offered

_PATHS: Final[tuple[tuple[Literal["psp", "bank"], str, str], ...]] = (
    ("psp", "/_simulator/reports", ".csv"),
    ("bank", "/_simulator/statements", ".xml"),
)


async def pull(send: Send) -> list[Offered]:
    """All that there are."""
    offered: list[Offered] = []
    for source, path, ending in _PATHS:
        answer = await send(PspRequest(method="GET", path=path))
        facts = cast(dict[str, list[dict[str, str]]], answer.body)["data"]
        offered += [
            Offered(
                name=fact["id"] + ending, source=source, request=PspRequest(method="GET", path=f"{path}/{fact['id']}")
            )
            for fact in facts
        ]
    return offered
