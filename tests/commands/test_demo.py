"""`bezant demo` as a newcomer runs it: an empty home, one command, and nothing left running."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bezant.base.config import Settings
from bezant.demo.kept import kept_simulator
from tests.support.platform import request
from tests.support.processes import Process, bezant, free_port
from tests.support.waiting import wait_until

TIMEOUT_S = 150.0


@pytest.fixture
def env(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "BEZANT_HOME": str(tmp_path / "home"),
        "BEZANT_DATABASE_URL": database_url,
        "BEZANT_MASTER_KEY": "k" * 32,
    }


def children_of(process: Process) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.popen.pid)], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in listed.stdout.split()]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def demo(tmp_path: Path, env: dict[str, str], *arguments: str) -> tuple[int, str, Any]:
    file = tmp_path / "summary.json"
    with bezant("demo", "--exit", "--json", str(file), *arguments, env=env) as process:
        status = process.wait(TIMEOUT_S)
        return status, process.output(), json.loads(file.read_bytes()) if file.exists() else None


def assert_agreed(status: int, output: str, summary: Any, payments: int) -> None:
    assert status == 0, output
    assert summary["agreed"], summary["failures"]
    assert all(summary["checks"].values())
    assert sum(summary["payments_by_state"].values()) == payments
    assert summary["unresolved"] == 0
    for sums in summary["trial_balance"].values():
        assert sums["debits"] == sums["credits"]
    assert "Everything agrees" in output
    assert "sk_" not in output, "with --exit nobody needs the keys"


def assert_told(summary: Any) -> None:
    """Webhooks went both ways: each failure of the shop led to one more request, each lost answer to a repeat."""
    told, heard = summary["webhooks"]["from_psp"], summary["webhooks"]["to_shop"]
    failed = heard["failed_on_purpose"]
    assert heard["events"] == heard["deliveries"] > summary["payments"]
    assert heard["tries"] >= heard["events"] + sum(failed.values())
    assert heard["repeats_dropped"] >= failed.get("took it, then dropped the connection", 0)
    assert (heard["out_of_order"], heard["forged"]) == (0, 0)
    assert told["requests"] == told["events"] + told["repeats_dropped"] > 0


def test_demo_twice_on_one_home(env: dict[str, str], tmp_path: Path):
    for _ in range(2):
        status, output, summary = demo(tmp_path, env, "--payments", "60")
        assert_agreed(status, output, summary, 60)
        assert_told(summary)
        assert set(summary["webhooks"]["to_shop"]["failed_on_purpose"]) == {
            "answered 500",
            "dropped the connection",
            "took it, then dropped the connection",
        }
        told = summary["webhooks"]["from_psp"]
        assert told["decided"] >= 10
        assert told["repeats_dropped"] >= 1
        assert told["out_of_order"] >= 1
        assert {"captured", "refunded", "failed", "canceled", "authorized"} <= set(summary["payments_by_state"])
        found_out_by = {each["resolved_by"] for each in summary["unknown_outcomes"]}
        assert found_out_by == {"told by webhook", "looked up at the PSP", "sent again, same key"}
        assert {each["outcome"] for each in summary["unknown_outcomes"]} <= {"approved", "declined"}
        assert len(summary["unknown_outcomes"]) >= 10
        assert summary["idempotent_replays"] >= 3


async def test_the_simulators_books_can_be_read_after_the_demo(env: dict[str, str], tmp_path: Path):
    assert demo(tmp_path, env, "--payments", "3")[0] == 0
    settings = Settings.from_env(env)
    async with kept_simulator(settings, free_port()) as reachable:
        url = reachable.psp_urls["simulator"]
        answer = await asyncio.to_thread(request, f"{url}/_simulator/charges", "GET")
        assert len(answer["data"]) == 3
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(request, f"{url}/healthz", "GET")
    elsewhere = replace(settings, psp_urls={"simulator": "http://127.0.0.1:1"})
    async with kept_simulator(elsewhere, free_port()) as reachable:
        assert reachable is elsewhere


def test_demo_makes_its_own_database_and_stops_it(tmp_path: Path):
    home = tmp_path / "home"
    env = {"BEZANT_HOME": str(home)}
    status, output, summary = demo(tmp_path, env, "--payments", "3")
    assert_agreed(status, output, summary, 3)
    with bezant("database", "stop", env=env) as process:
        assert (process.wait(), process.output()) == (0, "was not running\n")


def test_demo_with_stripes_connector(env: dict[str, str], tmp_path: Path):
    status, output, summary = demo(tmp_path, env, "--payments", "12", "--psp", "stripe")
    assert_agreed(status, output, summary, 12)
    assert summary["psp"] == "stripe"
    assert_told(summary)


def test_without_localstripe_it_says_how_to_get_it(env: dict[str, str], tmp_path: Path):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\n")
    code = f"import sys; sys.executable = {str(python)!r}; from bezant.__main__ import main; main()"
    with Process(
        *(os.path.realpath("/proc/self/exe"), "-c", code, "demo", "--psp", "stripe"),
        env={**env, "PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    ) as process:
        assert process.wait(60) == 1
        assert process.output().startswith("error: localstripe, which plays Stripe here, is not installed.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_stays_until_it_is_stopped(number: signal.Signals, env: dict[str, str]):
    port = free_port()
    with bezant("demo", "--payments", "2", "--port", str(port), env=env) as process:
        wait_until(lambda: "Ctrl-C stops everything" in process.output(), TIMEOUT_S, "the demo's last line")
        children = children_of(process)
        assert len(children) == 3
        key = next(word for word in process.output().split() if word.startswith("sk_"))
        bearer = {"Authorization": f"Bearer {key}"}
        assert len(request(f"http://127.0.0.1:{port}/api/v1/payments", "GET", headers=bearer)["data"]) == 2
        process.popen.send_signal(number)
        assert process.wait(60) == 0, process.output()
        assert [pid for pid in children if runs(pid)] == []


def test_children_end_with_a_demo_that_is_killed(env: dict[str, str]):
    with bezant("demo", "--payments", "500", env=env) as process:
        wait_until(lambda: "ready  worker" in process.output(), TIMEOUT_S, "everything to run")
        children = children_of(process)
        assert len(children) == 3
        process.popen.kill()
        wait_until(lambda: not any(map(runs, children)), 30, "the children's end")


def test_interrupted_demo_ends_what_it_started(env: dict[str, str]):
    with bezant("demo", "--payments", "5000", "--exit", env=env) as process:
        wait_until(lambda: "ready  worker" in process.output(), TIMEOUT_S, "everything to run")
        children = children_of(process)
        assert process.terminate(60) == 1, process.output()
        assert "Traceback" not in process.output()
        assert [pid for pid in children if runs(pid)] == []
