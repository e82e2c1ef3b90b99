"""The command line from outside: its words, its exit statuses, its ends."""

import json
import urllib.request
from pathlib import Path

import pytest

from tests.support.processes import bezant, free_port
from tests.support.waiting import wait_until

KEY = "k" * 32


@pytest.fixture
def env(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "BEZANT_HOME": str(tmp_path / "home"),
        "BEZANT_DATABASE_URL": database_url,
        "BEZANT_MASTER_KEY": KEY,
        "BEZANT_LOG": "json",
    }


def finished(*arguments: str, env: dict[str, str]) -> tuple[int, str]:
    with bezant(*arguments, env=env) as process:
        return process.wait(60), process.output()


@pytest.mark.parametrize("arguments", [("migrate",), ("serve",), ("worker",), ("simulator",), ("database", "url")])
def test_unknown_variable_stops_every_command_with_one_line(arguments: tuple[str, ...], env: dict[str, str]):
    status, output = finished(*arguments, env={**env, "BEZANT_HOM": "x"})
    assert (status, output) == (
        1,
        "error: BEZANT_HOM is not a known variable. Did you mean BEZANT_HOME or BEZANT_LOG?\n",
    )


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_older_schema_is_refused(command: str, env: dict[str, str], empty_database_url: str):
    status, output = finished(command, env={**env, "BEZANT_DATABASE_URL": empty_database_url})
    assert (status, output) == (1, "error: The database is empty: run `bezant migrate`.\n")


def test_migrate_may_be_repeated(env: dict[str, str], empty_database_url: str):
    env["BEZANT_DATABASE_URL"] = empty_database_url
    status, output = finished("migrate", env=env)
    assert status == 0
    assert output.startswith("applied 0001_")
    assert finished("migrate", env=env) == (0, "The schema is current.\n")


def test_serve_without_master_key_names_what_is_missing(env: dict[str, str]):
    del env["BEZANT_MASTER_KEY"]
    status, output = finished("serve", env=env)
    assert status == 1
    assert output.startswith("error: BEZANT_MASTER_KEY is missing.")
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_answers_and_ends_cleanly_on_sigterm(workers: str, env: dict[str, str]):
    port = free_port()
    with bezant("serve", "--port", str(port), "--workers", workers, env=env) as server:
        server.wait_for_http(f"http://127.0.0.1:{port}/readyz")
        assert server.terminate() == 0, server.output()
        assert "Traceback" not in server.output()


def test_worker_ends_cleanly_on_sigterm(env: dict[str, str]):
    with bezant("worker", env=env) as worker:
        wait_until(lambda: "worker running" in worker.output(), what="the worker's first line")
        assert worker.terminate() == 0, worker.output()


def test_database_that_is_not_ours_is_not_stopped(env: dict[str, str]):
    assert finished("database", "url", env=env) == (0, env["BEZANT_DATABASE_URL"] + "\n")
    status, output = finished("database", "stop", env=env)
    assert (status, output) == (1, "error: BEZANT_DATABASE_URL is set: that database is not Bezant's to stop.\n")


def test_key_of_a_new_merchant_opens_the_api_until_it_is_revoked(env: dict[str, str]):
    status, output = finished("merchant", "create", "--name", "Shop", "--currency", "USD", "--json", env=env)
    assert status == 0, output
    created = json.loads(output)
    assert created["merchant_id"].startswith("mer_")
    assert created["publishable_key"].startswith("pk_")

    status, output = finished("key", "list", "--merchant", created["merchant_id"], "--json", env=env)
    assert status == 0, output
    assert created["secret_key"] not in output
    (secret,) = [key for key in json.loads(output) if key["kind"] == "secret"]

    port = free_port()
    with bezant("serve", "--port", str(port), env=env) as server:
        server.wait_for_http(f"http://127.0.0.1:{port}/readyz")
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/v1/payments", headers={"Authorization": f"Bearer {created['secret_key']}"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            assert json.load(reply)["data"] == []
        assert created["secret_key"] not in server.output()

    merchant = ("--merchant", created["merchant_id"])
    assert finished("key", "revoke", *merchant, secret["key_id"], env=env)[0] == 0
    status, output = finished("key", "revoke", *merchant, secret["key_id"], env=env)
    assert (status, output[:6]) == (1, "error:")
