"""A storm: duplicates, shuffled, forged, unknown, over two processes of which one dies again and again."""

import http.client
import random
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tests.inbox.acme import body_of, event
from tests.inbox.conftest import Acme
from tests.support.waiting import wait_until

EVENTS = 1_200
SENDERS = 8
DEATHS = 3


def wait_for_answers(sent: Sequence[Future[None]], count: int) -> None:
    wait_until(lambda: sum(each.done() for each in sent) >= count, 60, f"{count} answers")


def test_every_genuine_event_is_applied_once_through_a_storm_of_deaths(quiet: Acme):
    dice = random.Random(4711)
    known = [body_of(event(f"evt_{n}", f"r{n:04}")) for n in range(EVENTS)]
    unknown = [body_of(event(f"news_{n}", type_="news")) for n in range(EVENTS // 100)]
    genuine = [*known, *unknown, *dice.sample(known, EVENTS * 3 // 10)]
    dice.shuffle(genuine)
    forged = [body_of(event(f"forged_{n}", f"f{n}")) for n in range(EVENTS // 100)]
    urls: list[str] = []

    def send(body: bytes) -> None:
        for turn in range(200):
            try:
                if quiet.post(body, url=urls[turn % 2]).status == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass  # a process has died; the PSP sends again
        raise AssertionError("never taken")

    with quiet.server() as url, ThreadPoolExecutor(SENDERS) as senders:
        urls.append(url)
        sent: list[Future[None]] = []
        for death in range(DEATHS):
            with quiet.process() as (mortal, process):
                urls[1:] = [mortal]
                share = genuine[death * len(genuine) // DEATHS : (death + 1) * len(genuine) // DEATHS]
                sent += [senders.submit(send, body) for body in share]
                wait_for_answers(sent, len(sent) - len(share) // 2)
                process.kill()
        for body in forged:
            assert quiet.post(body, secret="forged", url=url).status == 400
        for each in sent:
            each.result(60)
        quiet.is_settled()
    assert quiet.booked() == [f"r{n:04}" for n in range(EVENTS)]
    counts = dict(quiet.sql("SELECT status, count(*) FROM inbox_events GROUP BY status"))
    assert counts == {"applied": EVENTS, "unknown": EVENTS // 100}
