"""Bodies that are read piece by piece, and calls that only the operator may make."""

import asyncio
import http.client
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from litestar.types import HTTPRequestEvent, Receive

from bezant.base.errors import ContentTooLarge, InvalidRequest
from bezant.web.body import DisconnectedError, stream_body
from tests.web.sample import Client

FILE = "/api/v1/things/file"
SIZE = 2_500_000


def sent_in_chunks(api: Client, *chunks: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)
    try:
        connection.request("POST", FILE, iter(chunks), {"Authorization": "Bearer sk_operator"}, encode_chunked=True)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_a_stream_comes_whole_in_many_pieces(api: Client):
    answer = api.send("POST", FILE, b"x" * SIZE, key="sk_operator", content_type="text/csv")
    assert (answer.status, answer.json["bytes"]) == (200, SIZE)
    assert answer.json["pieces"] > 5


def test_a_stream_of_unknown_length_comes_whole(api: Client):
    status, counted = sent_in_chunks(api, b"one", b"two", b"three")
    assert (status, b'"bytes":11' in counted) == (200, True)


def test_a_stream_is_not_searched_for_card_data_nor_for_json(api: Client):
    body = b"4111 1111 1111 1111"
    assert api.send("POST", FILE, body, key="sk_operator", content_type="text/csv").json["bytes"] == len(body)


def test_what_is_announced_too_large_is_refused_unread(api: Client):
    answer = api.send("POST", FILE, b"", key="sk_operator", content_length="3000001")
    assert (answer.status, answer.json["code"]) == (413, "content_too_large")


def test_what_turns_out_too_large_is_refused_and_nothing_is_answered_twice(api: Client):
    assert sent_in_chunks(api, *([b"x" * 500_000] * 7))[0] == 413


def test_a_stream_that_nobody_reads_is_answered(api: Client):
    answer = api.send("POST", f"{FILE}?unread=1", b"x" * SIZE, key="sk_operator")
    assert answer.status == 204


def test_a_packed_stream_is_refused(api: Client):
    answer = api.send("POST", FILE, b"x", key="sk_operator", content_encoding="gzip")
    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")


def test_a_merchants_key_may_not_speak_for_the_operator_whatever_its_scopes(api: Client):
    answer = api.send("POST", FILE, b"x", key="sk_all")
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert "operator" in answer.json["detail"]


def test_the_reference_shows_a_stream_as_bytes_and_without_an_idempotency_key(api: Client):
    operation = api.send("GET", "/api/v1/openapi.json").json["paths"][FILE]["post"]
    assert list(operation["requestBody"]["content"]) == ["application/octet-stream"]
    assert [each["name"] for each in operation["parameters"]] == []


def arriving(*pieces: bytes, then_hang_up: bool = False) -> Receive:
    """What a server hands over: pieces, and then nothing more for ever."""
    left = list(pieces)

    async def receive() -> HTTPRequestEvent:
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": True}
        if then_hang_up:
            return {"type": "http.disconnect"}  # type: ignore[typeddict-item,return-value]
        return await asyncio.get_running_loop().create_future()

    return receive  # type: ignore[return-value]


async def drained(stream: AsyncIterator[bytes]) -> int:
    return sum([len(piece) async for piece in stream])


async def test_who_sends_a_byte_now_and_then_is_not_waited_for():
    async def receive() -> HTTPRequestEvent:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(InvalidRequest, match="too slowly"):
        await asyncio.wait_for(drained(stream_body(receive, None, 10**6, wait_max_s=0.2)), 10)  # type: ignore[arg-type]


async def test_what_has_come_buys_time():
    with pytest.raises(InvalidRequest, match="too slowly"):
        await drained(stream_body(arriving(), None, 10**6, wait_max_s=0.05))
    began_at_s = asyncio.get_running_loop().time()
    with pytest.raises(InvalidRequest, match="too slowly"):
        await drained(stream_body(arriving(b"x" * 500), None, 10**6, wait_max_s=0.05, rate_min=1_000))
    assert asyncio.get_running_loop().time() - began_at_s > 0.5


async def test_who_hangs_up_ends_the_stream():
    with pytest.raises(DisconnectedError):
        await drained(stream_body(arriving(b"x", then_hang_up=True), None, 10**6))


async def test_a_length_that_is_none_is_refused():
    with pytest.raises(ContentTooLarge):
        await drained(stream_body(arriving(), b"-1", 10**6))
