"""A process that dies anywhere on the way of evidence or an acceptance: the PSP hears it once, and so do the books."""

import http.client
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.disputes import heard, open_dispute
from tests.support.platform import Platform, running_platform
from tests.support.verification import assert_verified
from tests.support.waiting import wait_until

POINTS = [
    ("submit", "call.before_send:dispute_submit"),
    ("submit", "call.after_send:dispute_submit"),
    ("submit", "dispute_record.before_commit:submit"),
    ("accept", "call.after_send:dispute_accept"),
    ("accept", "dispute_record.before_begin:accept"),
    ("accept", "dispute_record.after_commit:accept"),
]


@pytest.fixture(scope="module")
def platform(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    env = {"BEZANT_PSP_TIMEOUT_S": "0.5"}
    with running_platform(module_database_url, tmp_path_factory.mktemp("home"), webhooks=True, env=env) as platform:
        yield platform


@pytest.mark.parametrize(("verb", "point"), POINTS, ids=[point for _, point in POINTS])
def test_what_was_begun_is_done_once_by_whoever_comes_after(platform: Platform, verb: str, point: str) -> None:
    shop, api = platform.merchant(), platform.apis[0]
    payment = shop.create().json
    open_dispute(platform, payment)
    path = f"/disputes/{heard(shop, payment, 'needs_response')['dispute_id']}"
    assert shop.call("POST", f"{path}/evidence", {"texts": {"customer_name": "Jenny Rosen"}}).status == 200
    api.kill()
    api.launch(BEZANT_FAILPOINTS=f"{point}=kill")
    api.wait_until_ready()
    with pytest.raises((OSError, http.client.HTTPException)):
        shop.call("POST", f"{path}/{verb}", {}, "the key")
    assert api.process is not None
    assert api.process.wait(20) == -9

    api.kill()
    api.launch()
    api.wait_until_ready()
    status = {"submit": "under_review", "accept": "accepted"}[verb]
    done = wait_until(lambda: _done(shop.get(path).json), 40, "the action to be known")
    assert (done["status"], done["action"]["action"]) == (status, verb)
    again = shop.call("POST", f"{path}/{verb}", {}, "the key")
    assert (again.status, again.replayed, again["status"]) == (200, True, status)
    (at_psp,) = _disputes_at_psp(platform, payment)
    assert at_psp["status"] == status
    assert_verified(platform.database_url)


def _done(dispute: Any) -> Any:
    return dispute if dispute["action"] and dispute["action"]["status"] == "approved" else None


def _disputes_at_psp(platform: Platform, payment: Any) -> list[Any]:
    with urllib.request.urlopen(f"{platform.simulator.url}/_simulator/charges", timeout=10) as answer:
        charges = json.load(answer)["data"]
    return [dispute for charge in charges if charge["id"] == payment["psp_reference"] for dispute in charge["disputes"]]
