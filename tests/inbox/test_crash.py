"""A process dies at each named point: what was answered is there, and everything is applied once."""

import http.client

import pytest

from tests.inbox.acme import body_of, event
from tests.inbox.conftest import Acme

BODY = body_of(*(event(f"evt_{n}", f"r{n}") for n in range(5)))
REFS = [f"r{n}" for n in range(5)]


@pytest.mark.parametrize(("point", "kept"), [("inbox.before_commit", 0), ("inbox.after_commit", 5)])
def test_what_was_not_answered_is_sent_again_and_kept_once(quiet: Acme, point: str, kept: int):
    with quiet.process(f"{point}=kill") as (url, process):
        with pytest.raises((OSError, http.client.HTTPException)):
            quiet.post(BODY, url=url)
        assert process.wait() == -9
    assert quiet.count() == kept
    with quiet.process() as (url, _):
        assert quiet.post(BODY, url=url).status == 200
        quiet.is_settled()
    assert quiet.count() == 5
    assert quiet.booked() == REFS


@pytest.mark.parametrize(("point", "applied"), [("inbox_apply.before_commit", 0), ("inbox_apply.after_commit", 5)])
def test_what_was_answered_is_applied_once_by_whoever_comes_next(deaf: Acme, point: str, applied: int):
    assert deaf.post(BODY).status == 200
    with deaf.process_that_dies(f"{point}=kill") as process:
        assert process.wait() == -9
    assert len(deaf.booked()) == applied
    with deaf.process():
        deaf.is_settled()
    assert deaf.booked() == REFS
