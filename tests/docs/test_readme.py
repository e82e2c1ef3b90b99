"""README can not rot: its curl commands are run against a live server, and what it lists is what there is."""

import ast
import dataclasses
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bezant.base import errors
from bezant.base.config import Settings
from bezant.commands import command_line
from bezant_simulator.behaviours import of_method
from tests.support.platform import API, Platform, running_platform

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
OWN_CODE = (errors.NotFound, errors.Unauthorized, errors.Unavailable)
STEP = re.compile(r"```sh\n(?P<command>curl [^`]+)```\s+```json status=(?P<status>\d+)\n(?P<answer>[^`]+)```")


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with running_platform(database_url, tmp_path / "home") as platform:
        yield platform


def as_shown(shown: Any, real: Any, place: str = "") -> None:
    """Fails where the answer is not as shown: same fields, same values; `...` stands for anything, times for times."""
    assert type(real) is type(shown), f"{place}: {real!r}"
    if isinstance(shown, dict):
        fields = cast(dict[str, Any], shown)
        assert set(real) == set(fields), place
        for name, value in fields.items():
            as_shown(value, real[name], f"{place}/{name}")
    elif isinstance(shown, list):
        items = cast(list[Any], shown)
        assert len(real) == len(items), place
        for number, item in enumerate(items):
            as_shown(item, real[number], f"{place}/{number}")
    elif isinstance(shown, str) and TIME.fullmatch(shown):
        assert TIME.fullmatch(real), f"{place}: {real}"
    elif isinstance(shown, str) and "..." in shown:
        assert re.fullmatch(re.escape(shown).replace(r"\.\.\.", r"\w+"), real), f"{place}: {real}"
    else:
        assert real == shown, place


def curl(command: str, env: dict[str, str]) -> tuple[int, Any]:
    told = command.strip().replace("curl -s", "curl -s -w '\\n%{http_code}'", 1)
    done = subprocess.run(
        ["bash", "-c", told], env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=True
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_curl_command_is_answered_as_shown(platform: Platform):
    steps = list(STEP.finditer(README))
    assert len(steps) == README.count("```sh\ncurl ") >= 5
    env = {"API": platform.apis[0].url + API, "KEY": platform.merchant().secret_key}
    for step in steps:
        status, answer = curl(step["command"], env)
        assert status == int(step["status"]), answer
        as_shown(json.loads(step["answer"]), answer)
        env.setdefault("PAYMENT", answer.get("payment_id", ""))


def test_every_variable_is_in_the_table():
    fields = {field.name for field in dataclasses.fields(Settings)} - {"psp_urls", "psp_credentials"}
    listed = re.findall(r"\| `(BEZANT_[A-Z_]+)` \|", README)
    assert sorted(listed) == sorted(f"BEZANT_{name.upper()}" for name in fields)


def test_every_command_is_in_the_table():
    names = [
        command.name or getattr(command.callback, "__name__", "") for command in command_line().registered_commands
    ]
    names += [str(group.name) for group in command_line().registered_groups]
    assert len(names) > 10
    assert [name for name in names if f"`bezant {name}" not in README] == []


def test_every_magic_value_is_one():
    named = set(re.findall(r"`(pm_[a-z0-9_]+)`", README))
    assert len(named) > 15
    assert [name for name in named if of_method(name) is None] == []


def test_links_lead_somewhere():
    documents = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{document.relative_to(ROOT)}: {link}"
        for document in documents
        for link in re.findall(r"\]\(([^)#]+)", document.read_text())
        if not link.startswith("http") and not (document.parent / link).exists()
    ]
    assert broken == []


def test_every_error_code_is_in_the_guide():
    """A code is the first argument of an error, where it is raised or where its class hands it on."""
    codes: set[str] = set()
    for path in (ROOT / "src" / "bezant").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                error = getattr(errors, name, None)
                is_error = isinstance(error, type) and issubclass(error, errors.ApiError)
                if (is_error and error not in OWN_CODE) or (name == "__init__" and len(node.args) > 1):
                    codes.add(str(node.args[0].value))
    assert len(codes) > 20
    guide = (ROOT / "docs" / "guides" / "errors.md").read_text()
    assert [code for code in sorted(codes) if f"`{code}`" not in guide] == []
