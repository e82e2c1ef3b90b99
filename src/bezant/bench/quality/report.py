"""What was measured, for people who keep books, and as JSON for machines."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from bezant.bench.quality.run import Level, Quality
from bezant.bench.quality.score import Mistake
from bezant.bench.quality.world import World
from bezant.reconciliation.matching.model import Deposit, Id, Line, Operation, Payout

_PADDING: Final = (0, 1, 0, 0)

Record = Operation | Line | Payout | Deposit


def line(quality: Quality) -> str:
    """One line of JSON."""
    told = {
        "name": "reconciliation-quality",
        "seed": quality.seed,
        "operations": quality.operations,
        "accounts": quality.accounts,
        "payouts": quality.payouts,
        "troubled_share": round(quality.troubled, 4),
        "lines": _level(quality.lines),
        "deposits": _level(quality.deposits),
    }
    return msgspec.json.encode(told).decode()


def table(quality: Quality, level: Level, title: str) -> Table:
    """What became of each kind of trouble."""
    shown = Table(
        title=f"{title}, seed {quality.seed}", show_footer=True, title_justify="left", box=SIMPLE_HEAD, padding=_PADDING
    )
    score = level.score
    shown.add_column("what is out of the ordinary", "all", no_wrap=True)
    for heading, footer in (
        ("truths", score.truths),
        ("found", score.right),
        ("recall", f"{score.recall:.3%}"),
        ("ambiguous", sum(row.ambiguous for row in score.rows)),
        ("break", sum(row.broken for row in score.rows)),
        ("unlisted", score.unlisted),
        ("wrong", score.explained - score.right),
        ("nothing", sum(row.nothing for row in score.rows)),
        ("listed", sum(row.nothing_listed for row in score.rows)),
    ):
        shown.add_column(heading, footer if isinstance(footer, str) else _count(footer), justify="right", no_wrap=True)
    for row in score.rows:
        counts = (row.ambiguous, row.broken, row.unlisted, row.wrong, row.nothing, row.nothing_listed)
        recall = f"{row.right / row.truths:.2%}" if row.truths else ""
        shown.add_row(row.trouble.value, _count(row.truths), _count(row.right), recall, *map(_count, counts))
    return shown


def summary(results: Sequence[Quality]) -> Table:
    """A row per seed and level."""
    shown = Table(title="Quality of reconciliation", title_justify="left", box=SIMPLE_HEAD, padding=_PADDING)
    for heading in (
        "seed",
        "records",
        "in trouble",
        "precision",
        "recall",
        "wrong",
        "missed",
        "not listed",
        "per CPU second",
    ):
        shown.add_column(heading, justify="right", no_wrap=True)
    for quality in results:
        for what, level in (("lines", quality.lines), ("deposits", quality.deposits)):
            score = level.score
            shown.add_row(
                str(quality.seed),
                f"{level.records:,} {what}",
                f"{quality.troubled:.1%}" if what == "lines" else "",
                f"{score.precision:.4%}",
                f"{score.recall:.3%}",
                str(score.explained - score.right),
                str(score.truths - score.right),
                str(max(score.unlisted, score.lost)),
                f"{level.records / level.seconds:,.0f}",
            )
    return shown


def examples(quality: Quality, world: World, each: int) -> Iterator[str]:
    """So many mistakes of every kind, with all that is known of their records."""
    by_id = _by_id(world)
    for level in (quality.lines, quality.deposits):
        seen: Counter[tuple[str, str]] = Counter()
        for mistake in level.score.mistakes:
            seen[mistake.trouble, mistake.what] += 1
            if seen[mistake.trouble, mistake.what] <= each:
                yield from _told(mistake, by_id)


def _told(mistake: Mistake, by_id: Mapping[Id, Record]) -> Iterator[str]:
    said = mistake.rule or ", ".join(mistake.listed)
    yield f"{mistake.trouble.value}: {mistake.what} ({said})"
    for record_id in (*sorted(mistake.ours, key=str), *sorted(mistake.theirs, key=str)):
        yield f"    {by_id[record_id]}"


def _by_id(world: World) -> Mapping[Id, Record]:
    found: dict[Id, Record] = {each.id: each for book in world.books for each in (*book.operations, *book.lines)}
    found |= {each.id: each for each in (*world.payouts, *world.deposits)}
    return found


def _level(level: Level) -> dict[str, object]:
    score = level.score
    return {
        "records": level.records,
        "per_cpu_second": round(level.records / level.seconds),
        "precision": score.precision,
        "recall": score.recall,
        "explained": score.explained,
        "right": score.right,
        "explainable": score.truths,
        "not_listed": score.unlisted,
        "neither_explained_nor_listed": score.lost,
        "kinds": {row.trouble.name.lower(): _kind(msgspec.to_builtins(row)) for row in score.rows},
    }


def _kind(row: dict[str, object]) -> dict[str, object]:
    del row["trouble"]
    return row


def _count(number: int) -> str:
    return f"{number:,}" if number else ""
