"""Disputes at the simulator, as its dashboard makes them, and documents to bring against them."""

import json
import zlib
from base64 import b64encode
from typing import Any

from bezant.app import Services
from bezant.base.ids import new_id
from bezant.inbox.contract import Applied, Told
from bezant.psp.call import HttpTransport
from bezant.psp.disputes import DisputeAsk
from tests.support.platform import Merchant, Platform, request
from tests.support.waiting import wait_until

Json = dict[str, Any]


def open_dispute(platform: Platform, payment: Any, **body: object) -> Json:
    """The customer's bank disputes a payment."""
    charge_id = payment["psp_reference"]
    answer = request(
        f"{platform.simulator.url}/_simulator/charges/{charge_id}/dispute", "POST", json.dumps(body).encode()
    )
    assert answer.status == 201, answer
    return answer.json


def goes_on(platform: Platform, dispute: Json, verb: str) -> None:
    """The bank does something: win, lose, escalate, review, expire, reopen."""
    answer = request(f"{platform.simulator.url}/_simulator/disputes/{dispute['id']}/{verb}", "POST", b"{}")
    assert answer.status == 200, answer


def tell(platform: Platform, dispute: Json) -> None:
    """Have said here how a dispute stands at the simulator, where that tells nobody by itself."""

    async def told(services: Services) -> None:
        ask = DisputeAsk(reference="dsp", dispute_reference=dispute["id"], psp_reference=None)
        called = await services.caller.on_dispute("simulator", ask, "fetch", None)
        assert isinstance(services.transport, HttpTransport)
        await services.transport.close()
        assert called.state.notice is not None, called
        of = Told(event_id=new_id(), psp="simulator", psp_account_id=None, notice=called.state.notice)
        async with services.database.transaction() as transaction:
            (effect,) = await services.disputes.handler(transaction, [of])
        assert isinstance(effect, Applied), effect

    platform.with_services(told)


def heard(shop: Merchant, payment: Any, *statuses: str, timeout_s: float = 20.0) -> Json:
    """The one dispute of a payment, once it has one of the statuses."""

    def reached() -> Json | None:
        found = shop.get("/disputes", payment_id=payment["payment_id"]).json["data"]
        assert len(found) <= 1, found
        return found[0] if found and found[0]["status"] in statuses else None

    return wait_until(reached, timeout_s, f"the dispute to be {' or '.join(statuses)}")


def file(field: str, content: bytes, name: str = "document.pdf") -> Json:
    """A document as the API takes it."""
    return {"field": field, "name": name, "content": b64encode(content).decode()}


def pdf(*objects: bytes) -> bytes:
    """A PDF with these objects in it."""
    body = b"".join(b"%d 0 obj\n%b\nendobj\n" % (n, each) for n, each in enumerate(objects, 1))
    return b"%PDF-1.7\n" + body + b"trailer\n<< /Root 1 0 R >>\n%%EOF\n"


def png(payload: bytes = b"") -> bytes:
    """A PNG of one pixel; `payload` stands behind its end."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = chunk(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"") + payload


def jpeg(payload: bytes = b"") -> bytes:
    """The frame of a JPEG, with a stuffed byte and a restart in its image; `payload` stands behind its end."""
    image = b"\x12\xff\x00\x34\xff\xd0\x56"
    return b"\xff\xd8\xff\xe0\x00\x04ab\xff\xda\x00\x02" + image + b"\xff\xd9" + payload
