"""`bezant account ...`: secrets go in by file, stdin or prompt and never come out; each change has a name to it."""

import json
import os
import pty
import pwd
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.accounts import OWN_KEY, Accountable, accountable
from tests.support.platform import Merchant
from tests.support.verification import assert_verified
from tests.support.waiting import wait_until

KEY, NEXT_KEY = "sim_acme_0123456789", "sim_acme_next_0123456789"
WEBHOOK, NEXT_WEBHOOK = "whsec_0123456789abcdef", "whsec_next_0123456789abcdef"
BECAUSE = ("--reason", "the merchant asked for it")


@pytest.fixture(scope="module")
def place(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accountable]:
    with accountable(module_database_url, tmp_path_factory.mktemp("home")) as place:
        yield place
        assert_verified(place.platform.database_url)
        log = place.platform.apis[0].output()
        assert not [secret for secret in (KEY, NEXT_KEY, WEBHOOK, NEXT_WEBHOOK) if secret in log]


@pytest.fixture
def shop(place: Accountable) -> Merchant:
    return place.platform.merchant()


def said(place: Accountable, *arguments: str, stdin: str = "") -> tuple[int, str]:
    """The exit status of `bezant account ...`, and all that it wrote. No secret is ever in it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BEZANT_")}
    done = subprocess.run(
        [sys.executable, "-m", "bezant", "account", *arguments],
        input=stdin, text=True, capture_output=True, timeout=60, env={**inherited, **place.platform.env}, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert not [secret for secret in (KEY, NEXT_KEY, WEBHOOK, NEXT_WEBHOOK) if secret in output]
    return done.returncode, output


def told(place: Accountable, *arguments: str, stdin: str = "") -> Any:
    """What it says with --json."""
    status, output = said(place, *arguments, "--json", stdin=stdin)
    assert status == 0, output
    return json.loads(output)


def test_the_life_of_an_account(place: Accountable, shop: Merchant, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text(f"# of acme\n\napi_key = {KEY}\nwebhook_secret={WEBHOOK}\n")
    account = told(
        place, "create", "acme", "--merchant", shop.merchant_id, "--psp", "simulator", *BECAUSE, "--secrets",
        str(secrets),
    )  # fmt: skip
    held = shop.create()["payment_id"]
    assert place.psp.requests[-1].key == KEY
    assert account["webhook_path"] == "/internal/webhooks/psp/simulator/acme"
    assert (account["credentials"], len(account["webhook_secrets"])) == (["api_key"], 1)

    rotated = told(place, "rotate-credentials", "acme", *BECAUSE, "--secrets", "-", stdin=f"api_key={NEXT_KEY}")
    assert rotated["webhook_secrets"] == account["webhook_secrets"]
    wait_until(lambda: shop.create() and place.psp.requests[-1].key == NEXT_KEY, 20)

    both = told(place, "add-webhook-secret", "acme", *BECAUSE, "--secret", "-", stdin=f"{NEXT_WEBHOOK}\n")
    newest, former = both["webhook_secrets"]
    left = told(place, "remove-webhook-secret", "acme", former, *BECAUSE)
    assert left["webhook_secrets"] == [newest]

    status, table = said(place, "list")
    assert (status, "acme" in table, shop.merchant_id in table) == (0, True, True)
    status, text = said(place, "show", "acme")
    assert (status, f"webhook_secrets: {newest}\n" in text) == (0, True)

    closed = told(place, "close", "acme", *BECAUSE)
    assert told(place, "list", "--merchant", shop.merchant_id) == [closed]
    shop.create()
    assert place.psp.requests[-1].key == OWN_KEY
    assert shop.do(held, "refunds")["status"] == "succeeded"
    assert place.psp.requests[-1].key == NEXT_KEY

    rows = place.platform.sql("SELECT actor, action, reason FROM audit_log WHERE subject = $1", account["account_id"])
    user = f"os:{pwd.getpwuid(os.getuid()).pw_name}"
    assert {(actor, reason) for actor, _, reason in rows} == {(user, BECAUSE[1])}
    assert len(rows) == 5


def test_secrets_are_asked_for_at_a_terminal_and_not_echoed(place: Accountable, shop: Merchant) -> None:
    name = f"tty-{shop.merchant_id[-12:]}"
    command = ["create", name, "--merchant", shop.merchant_id, "--psp", "simulator", *BECAUSE]
    output = typed(place, command, [("api_key", KEY), ("webhook_secret", WEBHOOK)])
    assert KEY not in output
    assert WEBHOOK not in output
    account = told(place, "show", name)
    assert (account["credentials"], len(account["webhook_secrets"])) == (["api_key"], 1)


def typed(place: Accountable, arguments: list[str], answers: list[tuple[str, str]]) -> str:
    """All that a terminal shows of a command to which somebody answers."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BEZANT_")}
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "bezant", "account", *arguments],
        stdin=there, stdout=there, stderr=there, env={**inherited, **place.platform.env}, start_new_session=True,
    )  # fmt: skip
    os.close(there)
    shown = ""
    while select.select([here], [], [], 60)[0]:
        try:
            shown += os.read(here, 65_536).decode(errors="replace")
        except OSError:  # the terminal is closed
            break
        # The question is shown before the echo is turned off, which also drops what was typed until then.
        if answers and answers[0][0] in shown.rpartition("\n")[2] and not echoes(here):
            os.write(here, answers.pop(0)[1].encode() + b"\n")
    os.close(here)
    assert process.wait(30) == 0, shown
    assert answers == []
    return shown


def echoes(terminal: int) -> bool:
    """Whether a terminal shows what is typed."""
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def test_without_a_terminal_secrets_have_to_be_given(place: Accountable, shop: Merchant) -> None:
    arguments = ("create", "never", "--merchant", shop.merchant_id, "--psp", "stripe", *BECAUSE)
    assert said(place, *arguments) == (1, "error: secret_key is missing: give a file, or - to read stdin.\n")


def test_a_file_that_cannot_be_read_is_one_line(place: Accountable, shop: Merchant, tmp_path: Path) -> None:
    arguments = ("create", "never", "--merchant", shop.merchant_id, "--psp", "simulator", *BECAUSE, "--secrets")
    missing, binary = tmp_path / "missing", tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    assert said(place, *arguments, str(missing)) == (
        1,
        f"error: {missing} cannot be read: No such file or directory.\n",
    )
    assert said(place, *arguments, str(binary)) == (1, f"error: {binary} is not text.\n")
