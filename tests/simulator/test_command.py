"""`bezant simulator`: its webhooks with nothing configured, with options, with the environment."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bezant.base.kept_secret import kept_webhook_secrets
from bezant.connectors.simulator.webhooks import accept
from bezant.psp.contract import Credentials
from bezant.psp.notices import WebhookRefused, WebhookRequest
from tests.support.processes import bezant
from tests.support.simulator import client
from tests.support.waiting import wait_until
from tests.support.webhook_receiver import Received, Receiver, receiving


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        yield each


@contextmanager
def simulator(home: Path, *options: str, **env: str) -> Iterator[str]:
    """Its URL. It is ended with SIGTERM."""
    with bezant("simulator", "--port=0", *options, env={"BEZANT_HOME": str(home), **env}) as process:
        said = wait_until(lambda: re.search(r"listening on (http\S+)", process.output()), 30.0, "the simulator")
        yield said[1]
        assert process.terminate() == 0


async def sell(url: str) -> str:
    async with client(url) as psp:
        return (await psp.create()).body["id"]


def is_signed_with(request: Received, *secrets: str) -> bool:
    try:
        return bool(accept(WebhookRequest(request.body, request.headers), secrets, Credentials(), datetime.now(UTC)))
    except WebhookRefused:
        return False


def contents(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_with_nothing_configured_it_signs_with_what_its_home_keeps(tmp_path: Path, receiver: Receiver) -> None:
    with simulator(tmp_path, f"--webhook-url={receiver.url}") as url:
        (request,) = await receiver.wait_for("charge.approved", await sell(url))
    assert is_signed_with(request, kept_webhook_secrets(tmp_path)["simulator"])
    assert not is_signed_with(request, kept_webhook_secrets(tmp_path / "another")["simulator"])


@pytest.mark.parametrize("how", ["option", "environment"])
async def test_it_signs_with_what_it_is_given(tmp_path: Path, receiver: Receiver, how: str) -> None:
    options, env = [f"--webhook-url={receiver.url}"], dict[str, str]()
    if how == "option":
        options.append("--webhook-secret=new, old")
    else:
        env["BEZANT_PSP_SIMULATOR_WEBHOOK_SECRET"] = "new, old"
    with simulator(tmp_path, *options, **env) as url:
        (request,) = await receiver.wait_for("charge.approved", await sell(url))
    assert is_signed_with(request, "new")
    assert is_signed_with(request, "old")
    assert contents(tmp_path) == [], "no secret is made where none is needed"


async def test_without_a_url_events_wait_for_a_start_with_one(tmp_path: Path, receiver: Receiver) -> None:
    state = f"--state={tmp_path / 'state'}"
    with simulator(tmp_path, state, "--webhook-url=") as url:
        charge = await sell(url)
        async with client(url) as psp:
            (event,) = (await psp.call("GET", "/_simulator/events")).body["data"]
    assert (event["charge"], event["told"], event["tries"]) == (charge, False, 0)
    with simulator(tmp_path, state, f"--webhook-url={receiver.url}"):
        assert len(await receiver.wait_for("charge.approved", charge)) == 1


async def test_where_nobody_listens_it_goes_on_quietly(tmp_path: Path) -> None:
    with bezant("simulator", "--port=0", env={"BEZANT_HOME": str(tmp_path)}) as process:
        said = wait_until(lambda: re.search(r"listening on (http\S+)", process.output()), 30.0, "the simulator")
        await sell(said[1])
        assert process.terminate() == 0
        assert process.output() == f"Simulator listening on {said[1]}\n"


@pytest.mark.parametrize(
    ("option", "message"), [("--webhook-secret=,", "need a secret"), ("--webhook-url=nowhere", "must look like")]
)
def test_what_cannot_work_is_one_clear_line(tmp_path: Path, option: str, message: str) -> None:
    with bezant("simulator", "--port=0", option, env={"BEZANT_HOME": str(tmp_path)}) as process:
        assert process.wait(30) == 1
        assert re.fullmatch(rf"bezant simulator: .*{message}.*\n", process.output())
