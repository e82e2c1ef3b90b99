"""Large and hostile files: refused where they are no files, and never in memory as a whole."""

import json
import sys
from typing import Any

import pytest

from tests.support.platform import sql
from tests.support.processes import Process

BOUND_MIB = 60


def measured(database_url: str, what: str, size: int) -> Any:
    arguments = (sys.executable, "-m", "tests.reconciliation.files.measured", what, str(size))
    with Process(*arguments, env={"FILES_DATABASE_URL": database_url}) as process:
        assert process.wait(240) == 0, process.output()
        return json.loads(next(line for line in process.output().splitlines() if '"mib"' in line))


def test_a_report_of_many_lines_is_loaded_in_little_memory(database_url: str):
    found = measured(database_url, "report", 60_000)
    assert (found["state"], found["lines"]) == ("loaded", 60_000)
    assert found["mib"] < BOUND_MIB
    (size,) = sql(database_url, "SELECT size_bytes FROM report_files")[0]
    assert size > 3_000_000


@pytest.mark.parametrize(
    ("what", "mebibytes"),
    [("laughs", 0), ("outside", 0), ("endless text", 120), ("endless cell", 120), ("endless record", 40)],
)
def test_a_hostile_file_is_refused_in_little_memory_and_leaves_nothing(database_url: str, what: str, mebibytes: int):
    found = measured(database_url, what, mebibytes)
    assert found["state"] == "refused", found
    assert found["mib"] < BOUND_MIB
    assert "root:" not in found["reason"]
    assert sql(database_url, "SELECT count(*) FROM bank_lines") == [(0,)]
    assert sql(database_url, "SELECT count(*) FROM psp_lines") == [(0,)]
