"""What is decided about deliveries: when to try again, whom to serve next, when to give an endpoint up. Pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from bezant.webhooks.states import DeliveryStatus

RETRY_AFTER: Final = tuple(
    timedelta(seconds=seconds) for seconds in (5, 60, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""The waits after each failed try, a little over three days in sum; what fails after the last one has failed."""

JITTER: Final = 0.1
"""By which part a wait may be shorter or longer, so that what failed together does not come back together."""

DISABLE_AFTER: Final = timedelta(days=5)
HURRY_AFTER: Final = timedelta(minutes=5)
"""An endpoint that answers again after so long gets at once what would have waited for its next try."""

ENDPOINTS_MAX: Final = 16
IN_FLIGHT_MAX: Final = 256
ENDPOINT_IN_FLIGHT_MAX: Final = 8
WEAK_IN_FLIGHT_MAX: Final = 2
"""Requests of a process at a time to an endpoint that fails, is slow, or of which it knows nothing yet."""

BUSY: Final = frozenset({429, 503})
"""The answers whose `Retry-After` is heeded."""

_GONE: Final = 410

SECRETS_MAX: Final = 5
"""Secrets of an endpoint that may sign at the same time."""

TEST_EVENT: Final = "webhook_endpoint.test"

_NO_WAIT: Final = timedelta()
_EVENT_TYPE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*(\.\*)?")


class Standing(msgspec.Struct, frozen=True):
    """How a delivery stands after a try."""

    status: DeliveryStatus
    tries: int
    next_try_at: datetime | None = None


class Candidate(msgspec.Struct, frozen=True):
    """An endpoint for which something is due. `only_manual`: it is disabled, only what was asked for goes there.

    `in_flight` are the requests of all processes to it, `own` those of this one.
    """

    endpoint_id: UUID
    in_flight: int
    own: int
    is_failing: bool
    only_manual: bool = False


def is_success(status: int | None) -> bool:
    """Whether the merchant's server has taken the event. A redirect has not."""
    return status is not None and 200 <= status < 300


def is_gone(status: int | None) -> bool:
    """Whether the merchant's server wants no more events, as Standard Webhooks say."""
    return status == _GONE


def after_try(
    tries: int,
    scheduled_at: datetime | None,
    succeeded: bool,
    now: datetime,
    spread: float,
    retry_after: timedelta | None = None,
) -> Standing:
    """How a delivery stands after a try.

    A try that was brought forward is free: it neither uses up the schedule nor shifts it. `spread`, from 0 to 1, places
    the next try within the jitter. A server that asks for `retry_after` is left alone for so long, but for no longer
    than the longest wait of the schedule.
    """
    least = min(retry_after or _NO_WAIT, RETRY_AFTER[-1]) * (1 + JITTER * spread)
    if succeeded:
        return Standing(DeliveryStatus.DELIVERED, tries if scheduled_at is not None else tries + 1)
    if scheduled_at is not None:
        return Standing(DeliveryStatus.PENDING, tries, max(scheduled_at, now + max(RETRY_AFTER[0], least)))
    if tries >= len(RETRY_AFTER):
        return Standing(DeliveryStatus.FAILED, tries + 1)
    wait = RETRY_AFTER[tries] * (1 - JITTER + 2 * JITTER * spread)
    return Standing(DeliveryStatus.PENDING, tries + 1, now + max(wait, least))


def is_event_filter(text: str) -> bool:
    """Whether `text` names an event type, or all of a kind as in `payment.*`."""
    return _EVENT_TYPE.fullmatch(text) is not None


def wants(event_types: Sequence[str], event_type: str) -> bool:
    """Whether an endpoint with these filters is sent events of this type. No filter: every type."""
    return not event_types or any(
        event_type.startswith(wanted[:-1]) if wanted.endswith(".*") else event_type == wanted for wanted in event_types
    )


def is_given_up(failing_since: datetime | None, now: datetime) -> bool:
    """Whether an endpoint that failed once more is to be disabled."""
    return failing_since is not None and now - failing_since >= DISABLE_AFTER


def is_back(failing_since: datetime | None, now: datetime) -> bool:
    """Whether an endpoint that answers now was away for so long that what waits shall not wait for its schedule."""
    return failing_since is not None and now - failing_since >= HURRY_AFTER


def shares(
    candidates: Sequence[Candidate], is_quick: Mapping[UUID, bool], weak_in_flight: int, free: int
) -> Mapping[UUID, int]:
    """How many deliveries each endpoint may start now; in turns, so that none fills the slots while others wait.

    Only an endpoint that is known to be quick gets its full share. Those that fail or are slow get half of all slots in
    sum: however many there are of them, what is healthy finds a slot.
    """
    weak_free = max(0, IN_FLIGHT_MAX // 2 - weak_in_flight)
    room: dict[UUID, int] = {}
    weak: set[UUID] = set()
    for candidate in candidates:
        quick = None if candidate.is_failing else is_quick.get(candidate.endpoint_id)
        room_here = (ENDPOINT_IN_FLIGHT_MAX if quick else WEAK_IN_FLIGHT_MAX) - candidate.own
        room[candidate.endpoint_id] = max(0, min(room_here, ENDPOINT_IN_FLIGHT_MAX - candidate.in_flight))
        if candidate.is_failing or quick is False:
            weak.add(candidate.endpoint_id)
    given = dict.fromkeys(room, 0)
    while free > 0:
        before = free
        for endpoint_id, most in room.items():
            if free == 0 or given[endpoint_id] >= most:
                continue
            if endpoint_id in weak:
                if weak_free == 0:
                    continue
                weak_free -= 1
            given[endpoint_id] += 1
            free -= 1
        if free == before:
            break
    return {endpoint_id: share for endpoint_id, share in given.items() if share}
