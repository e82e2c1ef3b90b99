"""The parts that need no server: the token bucket, cursors, request ids."""

import asyncio
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.base.errors import InvalidRequest
from bezant.web.body import decode_body, read_body
from bezant.web.exchange import new_request_id
from bezant.web.paging import decode_cursor, encode_cursor
from bezant.web.rate_limit import RateLimit


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_bucket_gives_one_second_of_requests_at_once_and_then_the_rate() -> None:
    clock, key = Clock(), UUID(int=1)
    limit = RateLimit(clock)
    assert [limit.allow(key, 3) for _ in range(5)] == [None, None, None, 1, 1]
    clock.now_s += 1 / 3 + 1e-9
    assert [limit.allow(key, 3) for _ in range(2)] == [None, 1]
    clock.now_s += 100
    assert [limit.allow(key, 3) for _ in range(4)] == [None, None, None, 1]


def test_buckets_of_different_keys_do_not_touch() -> None:
    limit = RateLimit(Clock())
    assert [limit.allow(UUID(int=key), 1) for key in (1, 2, 1)] == [None, None, 1]


def test_key_without_any_rate_never_passes() -> None:
    assert RateLimit(Clock()).allow(UUID(int=1), 0) == 60


def test_number_of_remembered_keys_is_bounded() -> None:
    limit = RateLimit(Clock(), keys_max=2)
    for key in (1, 2, 3):
        assert limit.allow(UUID(int=key), 1) is None
    assert limit.allow(UUID(int=3), 1) == 1
    assert limit.allow(UUID(int=1), 1) is None


@given(st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"])), st.text(st.characters(codec="utf-8")))
def test_cursor_gives_its_position_back(kind: str, position: str) -> None:
    assert decode_cursor(kind, encode_cursor(kind, position), str) == position


def test_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        decode_cursor("events", encode_cursor("payments", "1"), str)


def test_cursor_that_holds_no_position_is_refused():
    with pytest.raises(InvalidRequest):
        decode_cursor("payments", encode_cursor("payments", "x"), int)


@given(st.data())
def test_cursor_that_was_changed_is_refused(data: st.DataObject) -> None:
    cursor = encode_cursor("payments", "0190a0d27b1c7c3a9a421f6d1b1e5a77")
    at = data.draw(st.integers(0, len(cursor) - 2))
    letter = data.draw(st.sampled_from("abcXYZ019-_=+ ").filter(lambda letter: letter != cursor[at]))
    with pytest.raises(InvalidRequest):
        decode_cursor("payments", cursor[:at] + letter + cursor[at + 1 :], str)


@given(st.text())
def test_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        decode_cursor("payments", text, str)


def test_body_nested_beyond_the_stack_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        decode_body(b"[" * 60_000, cast(type[object], Any))


def test_request_ids_are_unique() -> None:
    assert len({new_request_id() for _ in range(100_000)}) == 100_000


@pytest.mark.parametrize("came", [(), (b"{", b" ")], ids=["nothing", "a part"])
async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(came: tuple[bytes, ...]) -> None:
    parts = iter(came)

    async def receive() -> Any:
        for part in parts:
            return {"type": "http.request", "body": part, "more_body": True}
        return await asyncio.Event().wait()

    async with asyncio.timeout(10):
        with pytest.raises(InvalidRequest, match=r"did not arrive within 0\.05 s"):
            await read_body(receive, b"100", 100, wait_max_s=0.05)
