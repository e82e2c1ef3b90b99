"""Jobs go on, whatever happens to them."""

import asyncio

import pytest

from bezant.jobs.schedule import Job, Schedule, pause_s
from tests.support.waiting import wait_until_async


@pytest.mark.parametrize("every_s", [0.2, 1.0, 30.0])
def test_job_that_fails_for_weeks_is_tried_again_each_minute(every_s: float) -> None:
    assert pause_s(every_s, 0) == every_s
    assert pause_s(every_s, 1) == 2 * every_s
    assert [pause_s(every_s, failures) for failures in (16, 1023, 1024, 100_000)] == [60.0] * 4
    assert pause_s(3600.0, 5) == 3600.0


async def test_job_that_waited_for_something_that_was_cancelled_is_tried_again() -> None:
    runs = 0

    async def wait() -> int:
        nonlocal runs
        runs += 1
        gone: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        gone.cancel()
        return await gone

    async def has_run() -> bool:
        return runs >= 3

    schedule = Schedule([Job("job", wait, every_s=0.0)])
    schedule.start()
    await wait_until_async(has_run)
    async with asyncio.timeout(5):
        await schedule.close(60)
