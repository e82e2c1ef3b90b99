"""`bezant bench payments|ledger|webhooks|relay|reconciliation|reconciliation-quality`."""

from typing import Annotated, Final

import typer
import uvloop
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bezant.base.postgres import database_url
from bezant.bench.figures import Figures
from bezant.bench.ledger import bench_ledger
from bezant.bench.payments import PaymentsBench, bench_payments
from bezant.bench.quality import report as quality_report
from bezant.bench.quality.generate import Wishes
from bezant.bench.quality.run import Quality, draw_seed, measure
from bezant.bench.quality.world import Shares
from bezant.bench.reconciliation import bench_reconciliation
from bezant.bench.relay import bench_relay
from bezant.bench.webhooks import WebhooksBench, bench_webhooks
from bezant.commands.start import load_settings

group = typer.Typer(
    help="Benchmarks on databases of their own, beside `pgbench -N -c 16 -j 1` on the same server in the same run.",
    no_args_is_help=True,
)
Json = Annotated[bool, typer.Option("--json", help="One line of JSON per figure.")]
_WIDTH_MIN: Final = 132
"""Columns of the tables: narrower ones cannot be read."""

UnitSeconds = Annotated[int, typer.Option(min=1, help="How long pgbench runs.")]


@group.command("payments")
def payments(
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure.")] = 15,
    connections: Annotated[int, typer.Option(min=1, max=4096, help="Connections of the closed loop.")] = 256,
    rate: Annotated[float | None, typer.Option(help="Open loop at this many payments a second instead.")] = None,
    preload: Annotated[int, typer.Option(min=0, help="Payments to make before measuring.")] = 0,
    simulator_url: Annotated[str | None, typer.Option(help="A running simulator to call over HTTP.")] = None,
    pgbench_seconds: UnitSeconds = 10,
    json: Json = False,
) -> None:
    """Create with automatic capture over HTTP, to the stored reply."""
    wanted = PaymentsBench(
        seconds=seconds,
        connections=connections,
        rate_per_s=rate,
        preload=preload,
        simulator_url=simulator_url,
        pgbench_seconds=pgbench_seconds,
    )
    url = database_url(load_settings())
    _show([uvloop.run(bench_payments(url, wanted, _progress))], json)


@group.command("ledger")
def ledger(
    batch: Annotated[list[int] | None, typer.Option(min=1, max=20_000, help="Journals a statement.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure each.")] = 10,
    pgbench_seconds: UnitSeconds = 10,
    json: Json = False,
) -> None:
    """Post journals of three entries, balances and triggers included."""
    url = database_url(load_settings())
    batches = tuple(batch or (128, 1_000, 8_000))
    _show(uvloop.run(bench_ledger(url, batches, seconds, pgbench_seconds, _progress)), json)


@group.command("webhooks")
def webhooks(
    events: Annotated[int, typer.Option(min=100, help="Events of the storm.")] = 20_000,
    rate: Annotated[float, typer.Option(min=1, help="Events a second of the steady stream.")] = 500,
    seconds: Annotated[float, typer.Option(min=1, help="How long payments and the steady stream are measured.")] = 15,
    pgbench_seconds: UnitSeconds = 10,
    json: Json = False,
) -> None:
    """Webhooks of a PSP: a storm with repeats and forgeries, each event applied once, then a steady stream."""
    wanted = WebhooksBench(events=events, rate_per_s=rate, seconds=seconds, pgbench_seconds=pgbench_seconds)
    url = database_url(load_settings())
    _show(uvloop.run(bench_webhooks(url, wanted, _progress)), json)


@group.command("relay")
def relay(
    events: Annotated[int, typer.Option(min=1000, help="Events that lie in the outbox.")] = 60_000,
    seconds: Annotated[float, typer.Option(min=1, help="How long payments are measured.")] = 15,
    pgbench_seconds: UnitSeconds = 10,
    json: Json = False,
) -> None:
    """Relay events to each sink of BEZANT_SINK_*, beside a bare producer with the same settings, and payments."""
    settings = load_settings()
    url = database_url(settings)
    _show(uvloop.run(bench_relay(url, settings, events, seconds, pgbench_seconds, _progress)), json)


@group.command("reconciliation-quality")
def reconciliation_quality(
    seed: Annotated[
        list[int] | None, typer.Option(min=0, help="Repeat this world; may be given several times.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many worlds to draw, where no --seed is given.")] = 3,
    operations: Annotated[int, typer.Option(min=1, help="Operations of each, at least.")] = 100_000,
    payouts: Annotated[int, typer.Option(min=0, help="Payouts of each, at least.")] = 10_000,
    merchants: Annotated[int | None, typer.Option(min=1, max=1_000, help="Merchants of each [1 to 60].")] = None,
    trouble: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of orders in some trouble; of payouts half as many again.")
    ] = 0.08,
    show: Annotated[int, typer.Option(min=0, help="Show so many mistakes of each kind, with their records.")] = 0,
    json: Json = False,
) -> None:
    """Precision and recall of matching on invented worlds whose truth is known. Needs no database."""
    results: list[Quality] = []
    console = Console()
    console.width = max(console.width, _WIDTH_MIN)
    for number in seed or [draw_seed() for _ in range(seeds)]:
        wishes = Wishes(
            seed=number,
            operations=operations,
            payouts=payouts,
            merchants=merchants,
            shares=Shares.usual(trouble, trouble * 1.5),
        )
        quality, world = measure(wishes, _progress)
        results.append(quality)
        if json:
            typer.echo(quality_report.line(quality))
            continue
        console.print(quality_report.table(quality, quality.lines, "Operations and lines of PSP reports"))
        console.print(quality_report.table(quality, quality.deposits, "Payouts and entries of bank statements"))
        for line in quality_report.examples(quality, world, show):
            typer.echo(line)
    if not json:
        console.print(quality_report.summary(results))


@group.command("reconciliation")
def reconciliation(
    lines: Annotated[list[int] | None, typer.Option(min=1_000, help="Lines of the report; several sizes.")] = None,
    pgbench_seconds: UnitSeconds = 10,
    json: Json = False,
) -> None:
    """Load a PSP's report and the bank's statement, match, post and settle, beside the ledger; matching alone."""
    sizes = tuple(lines or (10_000, 100_000))
    url = database_url(load_settings())
    _show(uvloop.run(bench_reconciliation(url, sizes, pgbench_seconds, _progress)), json)


def _progress(step: str) -> None:
    Console(stderr=True).print(f"[dim]{step} ...[/]")


def _show(figures: list[Figures], json: bool) -> None:
    if json:
        for figure in figures:
            typer.echo(figure.line())
        return
    title = f"{figures[0].cores} cores; pgbench -N: {figures[0].pgbench_tps:,.0f} transactions/s"
    table = Table(title=title, box=SIMPLE, collapse_padding=True)
    table.add_column("benchmark", no_wrap=True)
    columns = {
        "per second": [f"{f.per_second:,.0f}" for f in figures],
        "ratio": [f"{f.ratio_to_pgbench:.2f}" for f in figures],
        "to payments": [_shown(f.ratio_to_payments, ".2f") for f in figures],
        "to ledger": [_shown(f.ratio_to_ledger, ".2f") for f in figures],
        "p50 ms": [_shown(f.p50_ms or None, ".1f") for f in figures],
        "p99 ms": [_shown(f.p99_ms or None, ".1f") for f in figures],
        "CPU us API": [_shown(f.cpu_us_api, ".0f") for f in figures],
        "CPU us database": [_shown(f.cpu_us_database, ".0f") for f in figures],
        "MB": [_shown(f.memory_mb, ".0f") for f in figures],
        "failed": [_shown(f.failures or None, "d") for f in figures],
    }
    measured = {name: values for name, values in columns.items() if any(values)}
    for name in measured:
        table.add_column(name, justify="right", min_width=max(map(len, name.split())))
    for figure, values in zip(figures, zip(*measured.values(), strict=True), strict=True):
        table.add_row(figure.name, *values)
    console = Console()
    console.width = max(console.width, _WIDTH_MIN)
    console.print(table)


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
