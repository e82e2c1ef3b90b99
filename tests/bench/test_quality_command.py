"""The whole of it: a world that is drawn, matched and judged, as the command shows it."""

import json
import math

from typer.testing import CliRunner

from bezant.bench.quality.generate import Wishes
from bezant.bench.quality.run import measure
from bezant.bench.quality.world import Shares
from bezant.commands.bench import group

SMALL = ("--operations", "3000", "--payouts", "300")


def figures(*arguments: str) -> list[dict[str, object]]:
    result = CliRunner().invoke(group, ["reconciliation-quality", *SMALL, "--json", *arguments])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    for line in lines:
        for level in ("lines", "deposits"):
            del line[level]["per_cpu_second"]
    return lines


def test_a_seed_that_was_printed_repeats_its_figures():
    (drawn,) = figures("--seeds", "1")
    assert figures("--seed", str(drawn["seed"])) == [drawn]


def test_seeds_are_drawn_anew_each_time():
    seeds = {line["seed"] for line in figures("--seeds", "3", "--operations", "50", "--payouts", "5")}
    assert len(seeds) == 3


def test_the_tables_name_the_seed_and_every_kind_of_trouble():
    result = CliRunner().invoke(group, ["reconciliation-quality", *SMALL, "--seed", "17", "--show", "1"])
    assert result.exit_code == 0, result.output
    assert "Payouts and entries of bank statements, seed 17" in result.stdout
    assert "one operation in two or three lines" in result.stdout


def test_an_ordinary_world_is_explained_whole():
    quality, _ = measure(Wishes(seed=2, operations=2_000, payouts=0, shares=Shares.usual(0, 0)), lambda _: None)
    score = quality.lines.score
    assert (score.precision, score.recall, score.unlisted, score.lost) == (1, 1, 0, 0)


def test_a_troubled_world_is_explained_well_and_what_is_left_is_listed():
    quality, _ = measure(Wishes(seed=2, operations=4_000, payouts=400), lambda _: None)
    for level in (quality.lines, quality.deposits):
        assert math.isclose(level.score.precision, 1, abs_tol=0.001)
        assert level.score.recall > 0.97
        assert level.score.lost == 0
