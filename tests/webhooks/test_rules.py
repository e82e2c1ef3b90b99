"""When deliveries are tried again, whom a worker serves next, when an endpoint is given up."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.webhooks.rules import (
    DISABLE_AFTER,
    ENDPOINT_IN_FLIGHT_MAX,
    HURRY_AFTER,
    IN_FLIGHT_MAX,
    RETRY_AFTER,
    WEAK_IN_FLIGHT_MAX,
    Candidate,
    after_try,
    is_back,
    is_event_filter,
    is_given_up,
    is_success,
    shares,
    wants,
)
from bezant.webhooks.states import DeliveryStatus

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_delivery_is_tried_eleven_times_over_a_little_more_than_three_days():
    now, tries, waits = NOW, 0, list[timedelta]()
    while True:
        standing = after_try(tries, None, succeeded=False, now=now, spread=0.5)
        tries = standing.tries
        if standing.status is DeliveryStatus.FAILED:
            break
        assert standing.next_try_at is not None
        waits.append(standing.next_try_at - now)
        now = standing.next_try_at
    hours = [5 / 3600, 1 / 60, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24]
    assert waits == [timedelta(hours=h) for h in hours]
    assert tries == 11
    assert timedelta(days=3) < now - NOW < timedelta(days=3, hours=6)


@given(tries=st.integers(0, len(RETRY_AFTER) - 1), spread=st.floats(0, 1))
def test_jitter_moves_a_wait_by_a_tenth_at_most(tries: int, spread: float):
    standing = after_try(tries, None, succeeded=False, now=NOW, spread=spread)
    assert standing.next_try_at is not None
    assert 0.899 <= (standing.next_try_at - NOW) / RETRY_AFTER[tries] <= 1.101


def test_what_failed_together_does_not_come_back_together():
    times = {after_try(3, None, succeeded=False, now=NOW, spread=n / 10).next_try_at for n in range(10)}
    assert len(times) == 10


def test_a_success_settles_a_delivery_whenever_it_comes():
    for tries in range(12):
        standing = after_try(tries, None, succeeded=True, now=NOW, spread=0.5)
        assert (standing.status, standing.next_try_at) == (DeliveryStatus.DELIVERED, None)


def test_a_try_that_was_brought_forward_neither_uses_up_the_schedule_nor_shifts_it():
    scheduled_at = NOW + timedelta(hours=9)
    standing = after_try(10, scheduled_at, succeeded=False, now=NOW, spread=0.5)
    assert (standing.status, standing.tries, standing.next_try_at) == (DeliveryStatus.PENDING, 10, scheduled_at)


def test_a_try_that_was_brought_forward_for_too_short_is_not_repeated_at_once():
    standing = after_try(3, NOW - timedelta(seconds=1), succeeded=False, now=NOW, spread=0.5)
    assert standing.next_try_at == NOW + RETRY_AFTER[0]


def waits(tries: int, retry_after: timedelta, spread: float = 0.0) -> timedelta:
    standing = after_try(tries, None, succeeded=False, now=NOW, spread=spread, retry_after=retry_after)
    assert standing.next_try_at is not None
    return standing.next_try_at - NOW


def test_a_server_that_wants_to_be_left_alone_is_for_a_day_at_most():
    assert waits(0, timedelta(hours=1)) == timedelta(hours=1)
    assert timedelta(hours=1) < waits(0, timedelta(hours=1), spread=1) <= timedelta(hours=1.1)
    assert waits(0, timedelta(days=400)) == RETRY_AFTER[-1]


def test_a_server_does_not_bring_the_schedule_forward():
    assert waits(3, timedelta(seconds=1), spread=0.5) == RETRY_AFTER[3]
    assert waits(3, timedelta(), spread=0.5) == RETRY_AFTER[3]


def test_what_has_used_up_its_schedule_has_failed_whatever_the_server_wants():
    standing = after_try(10, None, succeeded=False, now=NOW, spread=0.5, retry_after=timedelta(seconds=5))
    assert (standing.status, standing.next_try_at) == (DeliveryStatus.FAILED, None)


@pytest.mark.parametrize(("hours", "wait_h"), [(1, 9), (12, 12)])
def test_a_try_that_was_brought_forward_waits_for_the_schedule_and_for_the_server(hours: int, wait_h: int):
    scheduled_at = NOW + timedelta(hours=9)
    standing = after_try(10, scheduled_at, succeeded=False, now=NOW, spread=0, retry_after=timedelta(hours=hours))
    assert (standing.tries, standing.next_try_at) == (10, NOW + timedelta(hours=wait_h))


@pytest.mark.parametrize(("status", "taken"), [(200, True), (204, True), (299, True), (199, False), (301, False)])
@pytest.mark.parametrize("more", [None, 302, 400, 410, 429, 500])
def test_only_2xx_means_taken(status: int, taken: bool, more: int | None):
    assert is_success(status) is taken
    assert not is_success(more)


@pytest.mark.parametrize(
    ("event_types", "wanted", "unwanted"),
    [
        ([], ["payment.captured", "refund.created", "webhook_endpoint.disabled"], []),
        (["payment.captured"], ["payment.captured"], ["payment.captured.twice", "payment.capture", "refund.created"]),
        (["payment.*"], ["payment.captured", "payment.failed"], ["payments.captured", "payment", "refund.created"]),
        (["refund.*", "dispute.won"], ["refund.failed", "dispute.won"], ["dispute.lost", "payment.failed"]),
    ],
)
def test_filters_say_which_events_are_sent(event_types: list[str], wanted: list[str], unwanted: list[str]):
    assert all(wants(event_types, kind) for kind in wanted)
    assert not any(wants(event_types, kind) for kind in unwanted)


@pytest.mark.parametrize(
    "text", ["*", "", "payment.", "Payment.captured", "payment.*.x", "payment*", "pay ment", "a.b\n"]
)
def test_what_is_no_filter_is_not_taken_for_one(text: str):
    assert not is_event_filter(text)


def test_an_endpoint_is_given_up_when_it_fails_five_days_after_it_began_to():
    assert not is_given_up(None, NOW)
    assert not is_given_up(NOW - DISABLE_AFTER + timedelta(seconds=1), NOW)
    assert is_given_up(NOW - DISABLE_AFTER, NOW)


def test_an_endpoint_that_was_away_for_a_while_is_back():
    assert not is_back(None, NOW)
    assert not is_back(NOW - HURRY_AFTER + timedelta(seconds=1), NOW)
    assert is_back(NOW - HURRY_AFTER, NOW)


def candidates(count: int, *, in_flight: int = 0, is_failing: bool = False, first: int = 0) -> list[Candidate]:
    return [Candidate(UUID(int=first + n), in_flight, in_flight, is_failing) for n in range(count)]


def quick(found: list[Candidate]) -> dict[UUID, bool]:
    return {candidate.endpoint_id: True for candidate in found}


def test_one_endpoint_gets_no_more_than_its_share_however_much_is_free():
    (one,) = candidates(1)
    assert shares([one], quick([one]), 0, IN_FLIGHT_MAX) == {one.endpoint_id: ENDPOINT_IN_FLIGHT_MAX}


def test_what_is_in_flight_counts():
    (one,) = candidates(1, in_flight=5)
    assert shares([one], quick([one]), 0, IN_FLIGHT_MAX) == {one.endpoint_id: ENDPOINT_IN_FLIGHT_MAX - 5}
    assert shares(candidates(1, in_flight=50), {}, 0, IN_FLIGHT_MAX) == {}
    of_others = [Candidate(one.endpoint_id, 7, 0, is_failing=False)]
    assert shares(of_others, {}, 0, IN_FLIGHT_MAX) == {one.endpoint_id: 1}


def test_when_little_is_free_everybody_gets_one_before_anybody_gets_two():
    many = candidates(10)
    assert set(shares(many, quick(many), 0, 10).values()) == {1}


def test_failing_slow_and_unknown_endpoints_get_few_at_a_time():
    failing, slow, unknown = candidates(1, is_failing=True), candidates(1, first=9), candidates(1, first=19)
    known = quick(failing) | {slow[0].endpoint_id: False}
    given = shares([*failing, *slow, *unknown], known, 0, IN_FLIGHT_MAX)
    assert list(given.values()) == [WEAK_IN_FLIGHT_MAX] * 3


def test_a_thousand_hanging_endpoints_leave_half_of_the_slots_to_the_others():
    weak, healthy = candidates(1_000, is_failing=True), candidates(100, first=5_000)
    given = shares([*weak, *healthy], quick(healthy), 0, IN_FLIGHT_MAX)
    assert sum(given.get(c.endpoint_id, 0) for c in weak) <= IN_FLIGHT_MAX // 2
    assert all(given.get(c.endpoint_id, 0) >= 1 for c in healthy)
    later = shares([*weak, *healthy], quick(healthy), IN_FLIGHT_MAX // 2, IN_FLIGHT_MAX // 2)
    assert not any(c.endpoint_id in later for c in weak)
    assert sum(later.values()) == IN_FLIGHT_MAX // 2


@given(
    st.lists(
        st.builds(Candidate, st.uuids(), st.integers(0, 12), st.integers(0, 12), st.booleans()),
        max_size=60,
        unique_by=lambda c: c.endpoint_id,
    ),
    st.integers(0, 300),
    st.integers(0, 300),
)
def test_no_share_is_ever_too_large(found: list[Candidate], weak_in_flight: int, free: int):
    given_now = shares(found, quick(found), weak_in_flight, free)
    assert sum(given_now.values()) <= free
    for candidate in found:
        most = WEAK_IN_FLIGHT_MAX if candidate.is_failing else ENDPOINT_IN_FLIGHT_MAX
        share = given_now.get(candidate.endpoint_id, 0)
        assert share <= max(0, min(most - candidate.own, ENDPOINT_IN_FLIGHT_MAX - candidate.in_flight))
