"""Waiting for a condition, with a deadline, instead of sleeping and hoping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_S = 0.02


def wait_until(predicate: Callable[[], T | None], timeout_s: float = 10.0, what: str = "") -> T:
    """The first true value of `predicate()`. Fails the test after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what or inspect.getsource(predicate).strip()}")
        time.sleep(_PAUSE_S)
    return value


async def wait_until_async(predicate: Callable[[], Awaitable[T]], timeout_s: float = 10.0, what: str = "") -> T:
    """The first true value of `await predicate()`. Fails the test after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (value := await predicate()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what or inspect.getsource(predicate).strip()}")
        await asyncio.sleep(_PAUSE_S)
    return value
